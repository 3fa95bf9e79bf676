"""Building: chunks are kept, never made twice, and give the same bytes wherever they are made."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from expunge.ensembles import Plan, build, pretrain, read_measured, retrain
from expunge.ensembles.build import train_chunk
from expunge.errors import StoreError
from expunge.suites import ForgetSet, Suite


@pytest.fixture
def small(suite: Suite) -> Suite:
    """The suite with one epoch and chunks of four: another digest, so nothing of it is shipped."""
    return replace(suite, recipe=replace(suite.recipe, epochs=1), chunk=4, models=8, subsets=8)


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_bytes_do_not_depend_on_the_number_of_workers(
    small: Suite, forget: ForgetSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for workers in (1, 2):
        monkeypatch.setenv("EXPUNGE_STORE", str(tmp_path / str(workers)))
        for plan in (Plan(small, "pretrained"), Plan(small, "subset"), Plan(small, "oracle", forget)):
            build(plan, 8, workers=workers)
        made.append(files(tmp_path / str(workers)))
    assert made[0] == made[1]
    assert len(made[0]) == 10  # three manifests; weights, margins, correct; margins, masks; margins, correct


def test_a_finished_chunk_is_never_made_again(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["expunge.ensembles.build"]  # the package's name `build` is the function
    plan, trained = Plan(small, "pretrained"), []
    train_chunk(plan, 1)

    def counting(plan: Plan, chunk: int) -> None:
        trained.append(chunk)
        train_chunk(plan, chunk)

    monkeypatch.setattr(module, "train_chunk", counting)
    artefact = build(plan, 8)
    assert trained == [0]
    assert artefact.meta["models"] == 8
    assert not (artefact.folder / "chunks").exists()


def test_an_ensemble_grows_by_what_it_lacks(small: Suite) -> None:
    plan = Plan(small, "pretrained")
    four = build(plan, 3).array("margins").copy()
    assert len(four) == 4  # whole chunks
    eight = build(plan, 8).array("margins")
    assert eight[:4].tobytes() == four.tobytes()
    assert pretrain(small, 2, first=5).origin.models == (5, 6)


def test_oracles_never_saw_the_forget_set_and_are_kept_with_their_weights(small: Suite, forget: ForgetSet) -> None:
    oracle = retrain(small, forget, 4)
    assert oracle.origin.forget_set == forget.key
    assert read_measured(Plan(small, "oracle", forget), 0, 4).margins.shape == (4, 1797)


def test_margins_that_were_never_made_are_asked_for_by_name(small: Suite) -> None:
    with pytest.raises(StoreError, match="run `expunge build digits` first"):
        read_measured(Plan(small, "pretrained"), 0, 4)

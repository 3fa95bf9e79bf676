"""Building: chunks are kept, never made twice, and give the same bytes wherever they are made."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from expunge.ensembles import Plan, build, pretrain, read_margins, retrain
from expunge.ensembles.builds import build_all, train_chunk
from expunge.errors import StoreError
from expunge.store import user_store
from expunge.suites import ForgetSet, Suite


@pytest.fixture
def small(suite: Suite) -> Suite:
    """The suite with one epoch and chunks of four: another digest, so nothing of it is shipped."""
    return replace(suite, recipe=replace(suite.recipe, epochs=1), chunk=4, models=8, subsets=8)


def files(folder: Path) -> dict[str, bytes]:
    """What a store holds, without its locks and its own name."""
    found = [file for file in folder.rglob("*") if file.is_file() and file.suffix != ".lock" and file.name != ".store"]
    return {str(file.relative_to(folder)): file.read_bytes() for file in found}


@pytest.mark.faults
def test_bytes_do_not_depend_on_the_number_of_workers(
    small: Suite, forget: ForgetSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans, made = (Plan(small, "pretrained"), Plan(small, "subset"), Plan(small, "oracle", forget)), []
    for workers in (1, 2):
        monkeypatch.setenv("EXPUNGE_STORE", str(tmp_path / str(workers)))
        build_all([(plan, 8) for plan in plans], workers=workers)
        made.append(files(tmp_path / str(workers)))
    assert made[0] == made[1]
    joined = [name for name in made[0] if "chunks" not in name]
    assert len(joined) == 9  # three manifests; margins, correct; margins, masks; margins, correct
    assert len(made[0]) - len(joined) == 2 * 10  # of two chunks each; pretrained ones also hold weights


def test_a_finished_chunk_is_never_made_again(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, trained = Plan(small, "pretrained"), []
    train_chunk(plan, 1)

    def counting(plan: Plan, chunk: int) -> list[str]:
        trained.append(chunk)
        return train_chunk(plan, chunk)

    monkeypatch.setattr("expunge.ensembles.builds.train_chunk", counting)
    artefact = build(plan, 8)
    assert trained == [0]
    assert artefact.meta["models"] == 8
    build(plan, 8)
    assert trained == [0]


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
    assert read_margins(Plan(small, "oracle", forget), 0, 4).values.shape == (4, 1797)


def test_margins_that_were_never_made_are_asked_for_by_name(small: Suite) -> None:
    makes = r"xp.pretrain\(suite, models=8\)"  # all 8: a bench of 4 needs 4 held-out oracles beside the first 4
    with pytest.raises(StoreError, match=rf"suite 'digits' \([0-9a-f]{{16}}\).*{makes}"):
        read_margins(Plan(small, "pretrained"), 0, 4)


@pytest.mark.parametrize("file", ["margins.npy", "manifest.json", "chunks/0001/weights.safetensors"])
def test_what_is_damaged_is_told_and_made_anew_with_the_same_bytes(small: Suite, own_store: Path, file: str) -> None:
    plan, said = Plan(small, "pretrained"), list[str]()
    folder = build(plan, 8).folder
    before = files(own_store)
    (folder / file).write_bytes(b"not what it was")
    if "chunks" in file:
        (folder / "manifest.json").unlink()
    build(plan, 8, say=said.append)
    assert files(own_store) == before
    assert len(said) == 1
    assert file.rpartition("/")[2] in said[0]
    assert said[0].endswith("it is made anew")


def test_weights_whose_chunk_was_deleted_are_trained_again(small: Suite, own_store: Path) -> None:
    plan = Plan(small, "pretrained")
    folder = build(plan, 8).folder
    before = pretrain(small, 8).state()
    shutil.rmtree(folder / "chunks")
    after = pretrain(small, 8).state()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_margins_that_came_without_weights_are_not_taken_for_models(small: Suite, own_store: Path) -> None:
    plan = Plan(small, "pretrained")
    margins = np.zeros((8, small.data.examples), np.float32)
    user_store().write(plan.key, {"margins": margins}, {"models": 8, "imported": {"from": "a folder"}})
    assert read_margins(plan, 0, 8).correct is None
    with pytest.raises(StoreError, match="imported from a folder, and no weights"):
        pretrain(small, 4)


def test_another_digest_in_the_store_is_named(small: Suite) -> None:
    build(Plan(small, "pretrained"), 4)
    other = replace(small, version=2)
    with pytest.raises(StoreError, match="holds other suites, or this one as it was"):
        read_margins(Plan(other, "pretrained"), 0, 4)

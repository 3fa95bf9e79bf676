"""The whole attack on a suite that trains in a blink: what it writes, what it refuses, and that it goes on."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from expunge.attacks import ATTACKS
from expunge.attacks.condensing.condensed import Condensing
from expunge.attacks.contributions import Owners
from expunge.attacks.removal import Attacked
from expunge.attacks.usability import Usability, check, images_within_budget, run
from expunge.bench.plan import plan_bench
from expunge.bench.run import run_bench
from expunge.errors import BadSetting, StoreError, UnknownName
from expunge.records import Score, read_scores
from expunge.reports import report
from expunge.reports.usability import report_usability
from expunge.store import at_store
from expunge.suites import Suite, load_suite
from tests.attacks.small import small

QUICK = Usability(
    condensing=Condensing(images=1, iterations=2, width=4),
    models=3,
    methods=(Attacked("gradient-ascent"), Attacked("amnesiac", {"epochs": 0})),
    defences=("membership", "pixel-grid", "loss-outliers"),
    honest=100,
    rounds=2,
    draws=2,
)


def values(scores: list[Score], metric: str, request: str = "attack") -> dict[tuple[str, str], float | None]:
    return {
        (str(score.subject.config.get("attack.batching")), score.subject.method): score.value
        for score in scores
        if score.metric == metric and score.subject.config.get("attack.request", "attack") == request
    }


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Score], Path]:
    """What the attack found, and a folder with its output and the store that it wrote."""
    folder = tmp_path_factory.mktemp("attacked")
    with at_store(folder / "store"), pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPUNGE_DEVICE", "cpu")
        return run(small(), QUICK, folder / "out"), folder


@pytest.fixture
def scores(attacked: tuple[list[Score], Path], tmp_path: Path, own_store: Path) -> list[Score]:
    """What the attack found; its output lies in ``tmp_path``, and what it computed in the test's own store."""
    found, folder = attacked
    shutil.copytree(folder / "out", tmp_path, dirs_exist_ok=True)
    shutil.copytree(folder / "store", own_store, dirs_exist_ok=True)
    return found


def test_every_question_of_the_page_has_its_records(scores: list[Score], tmp_path: Path) -> None:
    assert {score.metric for score in scores} >= {
        "accuracy-drop",
        "excess-drop",
        "klom",
        "victims-gain",
        "trained-alone-accuracy",
        "steps-to-forget",
        "forget-loss",
        "accuracy-by-round",
        "auroc",
        "tpr-at-1-fpr",
    }
    assert read_scores(tmp_path / "scores.jsonl") == scores
    labels = {"retraining", "gradient-ascent", "amnesiac, epochs=0"}
    assert {label for _, label in values(scores, "accuracy-drop")} == labels
    assert (tmp_path / "condensed-0.npz").is_file()
    with np.load(tmp_path / "pictures.npz") as pictures:
        assert pictures["condensed"].shape == pictures["real"].shape == (10, 8, 8)


def test_a_second_run_trains_nothing_and_says_the_same(
    scores: list[Score], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was computed before")

    for place in (
        "ensembles.builds.train_chunk",
        "ensembles.builds.log_chunk",
        "attacks.removal.unlearn_chunk",
        "attacks.contributions.condense",
        "attacks.evidence.informativeness",
        "attacks.evidence.steps_to_forget",
        "attacks.screening._suspicions",
        "attacks.rounds._in_rounds",
    ):
        monkeypatch.setattr(f"expunge.{place}", never)
    assert run(small(), QUICK, tmp_path / "again") == scores


@pytest.mark.usefixtures("common_store")
def test_no_iterations_inject_the_records_themselves_so_the_attack_is_its_honest_control(tmp_path: Path) -> None:
    suite = small()
    config = replace(
        QUICK, condensing=Condensing(images=1, iterations=0), batchings=("shuffled",), defences=(), rounds=1
    )
    found = run(suite, config, tmp_path)
    gain = next(score for score in found if score.metric == "victims-gain")
    assert gain.value == 0  # the victims are the honest models
    assert {score.subject.suite_digest for score in found} == {suite.digest}


@pytest.mark.slow
def test_condensed_data_of_a_file_is_used_again(scores: list[Score], tmp_path: Path) -> None:
    again = replace(QUICK, owners=Owners(load=str(tmp_path / "condensed-0.npz")))
    found = run(small(), again, tmp_path / "again")
    assert values(found, "accuracy-drop") == values(scores, "accuracy-drop")


def test_the_files_of_an_attack_are_of_one_run_or_are_refused(scores: list[Score], tmp_path: Path) -> None:
    assert report_usability(tmp_path).is_file()
    for name in ("scores.jsonl", "pictures.npz", "condensed-0.npz"):
        before = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(before[:-1] if name == "scores.jsonl" else before + b" ")
        with pytest.raises(StoreError, match=rf"{name} is of another run than what lies beside it"):
            report_usability(tmp_path)
        (tmp_path / name).write_bytes(before)
    (tmp_path / "pictures.npz").unlink()  # which nobody must have
    with pytest.warns(UserWarning, match=r"pictures\.npz is not there, so that a page shows less"):
        assert report_usability(tmp_path).is_file()


def test_a_folder_of_another_kind_is_refused(scores: list[Score], tmp_path: Path, suite: Suite) -> None:
    with pytest.raises(BadSetting, match="holds the records of an attack; give another --out"):
        run_bench(plan_bench(suite, ["fine-tune"], ["random-10"], models=3), tmp_path)
    report(scores[:1], tmp_path / "other")
    with pytest.raises(BadSetting, match="holds the records of a bench"):
        run(small(), QUICK, tmp_path / "other")
    (tmp_path / "run.json").write_bytes(b"damaged")
    run(small(), QUICK, tmp_path)
    assert report_usability(tmp_path).is_file()


@pytest.mark.slow
def test_what_an_earlier_attack_left_is_gone(scores: list[Score], tmp_path: Path) -> None:
    (tmp_path / "condensed-7.npz").write_bytes(b"old")
    run(small(), QUICK, tmp_path)
    assert [file.name for file in tmp_path.glob("condensed-*")] == ["condensed-0.npz"]


@pytest.mark.usefixtures("common_store")
def test_condensing_that_diverges_is_said_and_nothing_is_kept(tmp_path: Path) -> None:
    wild = replace(QUICK, condensing=Condensing(images=1, iterations=30, lr=1e30, pixels="free", augment="none"))
    with pytest.raises(BadSetting, match="condensing 'small' diverged"):
        run(small(), wild, tmp_path)
    assert not list(tmp_path.glob("condensed-*"))


@pytest.mark.usefixtures("common_store")
def test_oracles_that_look_alike_are_not_called_copies(tmp_path: Path) -> None:
    """Where all models are alike, as on easy data, the held-out oracles may be the reference ones to the last digit."""
    suite = small()
    config = replace(QUICK, defences=(), rounds=1, batchings=("shuffled",))
    same = replace(suite, network=constant)
    scores = run(same, config, tmp_path)
    retrained = [score for score in scores if score.subject.method == "retraining"]
    assert retrained
    assert {score.status for score in retrained} == {"ok"}


def constant() -> nn.Module:
    """Its first weights are 0: what is left of chance is the order of the examples."""
    linear = nn.Linear(64, 10)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(nn.Flatten(), linear)


@pytest.mark.usefixtures("common_store")
@pytest.mark.parametrize("collude", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_of_several_owners_some_ask(tmp_path: Path, collude: bool) -> None:
    config = replace(
        QUICK,
        condensing=Condensing(images=2, iterations=1, width=4),
        owners=Owners(count=2, collude=collude, asking=1),
        batchings=("shuffled",),
        defences=(),
        rounds=1,
    )
    found = run(small(), config, tmp_path)
    assert {score.subject.forget_set for score in found} == {"attack-10", "random-10"}
    assert len(list(tmp_path.glob("condensed-*.npz"))) == (1 if collude else 2)


REFUSED = {
    "one model": ({"models": 1}, "at least 2 models"),
    "a defence that suspects nobody": ({"defences": ("top-k",)}, "'top-k' does not say of one request among others"),
    "a defence that adds up": ({"defences": ("total-update-budget",)}, "does not say of one request among others"),
    "unknown defence": ({"defences": ("deep-nn",)}, "unknown defence 'deep-nn'; did you mean 'deep-knn'"),
    "no draw": ({"draws": 0}, "at least 1 random draw"),
    "few honest": ({"honest": 99}, "at least 100 honest requests"),
    "no models to serve with": ({"methods": (Attacked("dm-direct"),)}, "'dm-direct' makes no models"),
    "an anchor": ({"methods": (Attacked("identity"),)}, "'identity' makes no models"),
    "unknown network": ({"network": "lenett"}, "did you mean 'lenet'"),
    "no rounds": ({"rounds": 0}, "expected 1 to 10 rounds"),
    "owners that do not divide": ({"owners": Owners(count=3)}, "divides the 1 images a class, got 3"),
    "more who ask than there are": ({"owners": Owners(asking=2)}, "expected 1 to 1 owners to ask"),
    "over the data": (
        {"condensing": Condensing(images=5)},
        "are more than its 200 training examples; lower --images or --draws",
    ),
    "more than a class has": ({"condensing": Condensing(images=30)}, "lower images to"),
    "a surrogate of other shapes": ({"owners": Owners(surrogate="tabular")}, "expected inputs of .1, 8, 8."),
    "no file": ({"owners": Owners(load="nowhere.npz")}, "nowhere.npz"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_said_before_any_work(case: str, tmp_path: Path) -> None:
    settings, message = REFUSED[case]
    with pytest.raises((BadSetting, UnknownName, ValueError), match=message):
        run(small(), replace(QUICK, **settings), tmp_path / "out")  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_a_table_has_no_pixel_range() -> None:
    suite = load_suite("tabular")
    kept, free = (Condensing(images=1, embedding="perceptron", pixels=pixels) for pixels in ("kept", "free"))
    with pytest.raises(BadSetting, match="take pixels='free'"):
        check(suite, replace(QUICK, condensing=kept))
    check(suite, replace(QUICK, condensing=free))


def test_the_budget_is_one_per_cent(suite: Suite) -> None:
    assert images_within_budget(suite) == 1
    assert images_within_budget(load_suite("fashion-mnist-10k")) == 10
    assert images_within_budget(load_suite("tabular")) == 2


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_says_who_what_for_and_where_it_comes_from(name: str) -> None:
    row = ATTACKS[name]
    assert row.summary
    assert row.roles
    assert row.phases
    assert row.references

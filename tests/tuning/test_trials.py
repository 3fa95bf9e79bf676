"""A trial: each epoch is a candidate, what is no candidate is said, and what is finished is never run again."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy import ndarray

from expunge.ensembles import Ensemble, Plan, pretrain, read_margins, retrain
from expunge.ensembles.train import measure
from expunge.errors import MethodFailed
from expunge.methods import METHODS, configure, run_method
from expunge.methods.method import Preparation
from expunge.methods.needs import ORACLES
from expunge.methods.searches import Point, Trial
from expunge.methods.spaces import OneOf, Published
from expunge.methods.zoo.fine_tune import FineTune
from expunge.metrics.wasserstein import wasserstein
from expunge.suites import ForgetSet, Suite
from expunge.tuning.search import tune
from expunge.tuning.trials import PATIENCE, by_epochs
from expunge.tuning.tuning_sets import tuning_set
from tests.tiny_suite import tiny
from tests.tuning.fields import NAME, SIX, SMALL, scaled, spoiled, stepping

SLOW = 0.003


def first(small: Suite, **options: Any) -> Trial:
    """The trial of the defaults."""
    return tune(NAME, small, trials=1, **{**SMALL, **options}).trials[0]


def by_hand(suite: Suite, most: int | None = None, **settings: object) -> list[float]:
    """The distance on each split of models 6 to 8 from oracles 0 to 2, retain without what is scored."""
    forget, config = tuning_set(suite, "random"), configure(NAME, METHODS[NAME], settings)
    *_, last = run_method(NAME, METHODS[NAME], config, pretrain(suite, 3, first=6), suite, forget)
    parts = dict(suite.parts(forget))
    parts["retain"] = np.setdiff1d(parts["retain"], np.arange(25))
    if most:
        parts = {
            split: part[np.linspace(0, len(part) - 1, min(most, len(part))).round().astype(int)]
            for split, part in parts.items()
        }
    looked_at = np.sort(np.concatenate(list(parts.values())))
    margins, oracle = (measure(each, suite.data)[0].numpy() for each in (last.ensemble, retrain(suite, forget, 3)))
    values = wasserstein(margins[:, looked_at], oracle[:, looked_at])
    return [float(values[np.searchsorted(looked_at, part)].mean()) for part in parts.values()]


def slow(small: Suite, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Trial:
    """A trial that comes nearer with each epoch."""
    spoiled(monkeypatch, published=(Published("slowly", {"lr": SLOW, "epochs": 16}),))
    return tune(NAME, small, trials=2, **{**SMALL, **options}).trials[1]


def test_each_epoch_is_a_candidate_and_is_what_a_run_of_so_many_epochs_ends_with(
    small: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = slow(small, monkeypatch)
    assert [point.epoch for point in trial.points] == [1, 2, 3, 4, 5, 6, 7, 8]  # after which it costs a retraining
    for point in trial.points[:3]:
        expected = by_hand(small, epochs=point.epoch, lr=SLOW)
        assert [point.forget, point.retain, point.test] == pytest.approx(expected, abs=1e-4)
        assert point.cost == pytest.approx(point.epoch / small.recipe.epochs)
    assert trial.settings == {"lr": SLOW, "epochs": 16}


def test_of_many_examples_some_are_looked_at(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most MOST of each split, the same for every trial, evenly spaced."""
    monkeypatch.setattr("expunge.tuning.trials.MOST", 7)
    point = first(small).points[0]
    assert [point.forget, point.retain, point.test] == pytest.approx(by_hand(small, 7, epochs=1), abs=1e-4)
    assert point.forget != pytest.approx(by_hand(small, epochs=1)[0], abs=1e-4)


def test_points_come_ever_nearer(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    spoiled(monkeypatch, unlearn=stepping(scaled(0.99), scaled(3.0), scaled(0.9), scaled(1 / 3)))
    points = first(small, **SIX).points
    values = [point.objective for point in points]
    assert values == sorted(values, reverse=True)
    assert 2 not in [point.epoch for point in points]


def test_of_a_run_that_is_no_longer_one_cut_short_the_last_epoch_counts_alone(
    small: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled(monkeypatch, unlearn=stepping(scaled(0.99), scaled(0.98), scaled(0.97)), whole_runs=True)
    assert [point.epoch for point in first(small, **SIX).points] == [3]


def test_which_methods_go_by_epochs() -> None:
    assert by_epochs(METHODS["scrub"])
    assert not by_epochs(METHODS["rni"])  # what it does depends on how many there are
    assert not by_epochs(METHODS["ssd"])  # it has none


def test_a_trial_that_comes_no_nearer_ends(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    spoiled(monkeypatch, unlearn=stepping(scaled(0.99), *[scaled(2.0)] * 12))
    trial = first(small, **SIX)
    assert [point.epoch for point in trial.points] == [1]
    assert trial.reason == f"came no nearer for {PATIENCE} epochs"


def test_those_that_begin_with_an_ascent_are_given_its_epochs_besides(
    small: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = stepping(scaled(0.99), *[scaled(2.0)] * 12)
    monkeypatch.setitem(METHODS, "scrub", replace(METHODS["scrub"], published=(), unlearn=walk))
    (trial,) = tune("scrub", small, trials=1, **SIX).trials
    ascent = configure("scrub", METHODS["scrub"], {}).ascent_epochs
    assert ascent > 0
    assert trial.reason == f"came no nearer for {PATIENCE + ascent} epochs"


def test_a_trial_that_costs_too_much_is_stopped_there_and_keeps_what_was_cheap(
    small: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = slow(small, monkeypatch, limit=0.3)
    assert [point.cost for point in trial.points] == [0.125, 0.25]
    assert trial.reason == "costs too much: more than 30.0% of a retraining, the limit"
    none = first(small, limit=0.01)
    assert (none.status, none.points) == ("failed", [])
    assert none.reason.startswith("costs too much: more than 1.0% of")


def test_what_diverges_keeps_the_epochs_before(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    spoiled(monkeypatch, unlearn=stepping(scaled(0.99), scaled(torch.inf)))
    trial = first(small, **SIX)
    assert [point.epoch for point in trial.points] == [1]
    assert "diverged: the weights of models" in trial.reason


def test_a_whole_run_that_diverges_has_no_candidate(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    spoiled(monkeypatch, unlearn=stepping(scaled(0.99), scaled(torch.inf)), whole_runs=True)
    trial = first(small, **SIX)
    assert (trial.status, trial.points) == ("failed", [])
    assert "diverged: the weights of models" in trial.reason


def test_what_diverges_at_once_is_failed(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    spoiled(monkeypatch, unlearn=stepping(scaled(torch.inf)))
    assert first(small, **SIX).status == "failed"


def test_outliers_of_models_are_no_candidate(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    spoiled(monkeypatch, unlearn=stepping(scaled(-300, slice(1))))  # of each chunk of three
    trial = first(small, **SIX)
    assert "makes outliers of 2 of 6 models on" in trial.reason
    assert trial.status == "failed"


def test_outliers_of_models_after_some_epochs_leave_the_epochs_before_and_why_it_ended(
    small: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled(monkeypatch, unlearn=stepping(scaled(0.99), scaled(-300, slice(1)), scaled(torch.inf)))
    trial = first(small, **SIX)
    assert [point.epoch for point in trial.points] == [1]
    assert "diverged: the weights of models" in trial.reason
    spoiled(monkeypatch, unlearn=stepping(scaled(0.99), scaled(-300, slice(1))), search={"lr": OneOf((0.3,))})
    assert tune(NAME, small, trials=2, **SIX).trials[1].reason == ""  # it ran to its end


def test_as_many_outliers_as_the_untouched_models_have_are_no_failure(
    small: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few of the untouched models may be outliers by chance: here one is said to be, of all that are looked at."""
    told = [np.array([True, *[False] * 5])]
    monkeypatch.setattr("expunge.tuning.trials.outliers_of_parts", lambda margins, oracle, parts: told * len(parts))
    assert first(small, **SIX).status == "ok"


def test_what_moves_nothing_is_no_candidate(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Doing nothing is never far off, so a search would choose it and sell it as a method."""
    spoiled(monkeypatch, unlearn=stepping(scaled(1.0)))
    still = first(small, **SIX)
    assert (still.status, still.reason) == ("failed", "moves no weight, so it is the same as doing nothing")


def test_an_epoch_that_moves_nothing_is_no_candidate(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    spoiled(monkeypatch, unlearn=stepping(scaled(1.0), scaled(0.99)))
    assert [point.epoch for point in first(small, **SIX).points] == [2]


def test_settings_that_do_not_go_together_are_a_failed_trial(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    spoiled(monkeypatch, search={"lr": OneOf((-1.0,))})
    search = tune(NAME, small, trials=2, **SMALL)
    assert [trial.reason for trial in search.trials][1:] == ["fine-tune: lr must be above 0, got -1.0"]


def test_a_method_gets_what_it_takes_out_of_a_store_for_a_tuning_set(
    small: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracles of the tuning set other than those it is compared with are built for a method that needs some."""
    seen: list[tuple[str, ndarray]] = []

    def require(suite: Suite, forget: ForgetSet, config: object) -> None:
        read_margins(Plan(suite, "oracle", forget), 6, 6)

    def load(suite: Suite, forget: ForgetSet, models: Sequence[int], config: object) -> object:
        seen.append((forget.name, np.array(models)))
        return read_margins(Plan(suite, "oracle", forget), 6, 6)

    def given(ensemble: Ensemble, split: object, *_: object) -> Iterator[Ensemble]:
        if split.extra is None:  # type: ignore[attr-defined]
            raise MethodFailed("got nothing")
        after = ensemble.copy()
        next(after.parameters()).data.mul_(0.9)
        yield after

    spoiled(monkeypatch, unlearn=given, prepare=Preparation(load, require), needs=(ORACLES,))
    assert first(small).status == "ok"
    assert [(name, models.tolist()) for name, models in seen] == [("tuning-random", [6, 7, 8])]


def test_a_method_gets_the_models_of_its_own_for_the_settings_of_each_trial_and_no_others(
    small: Suite, own_store: Path
) -> None:
    search = tune("sisa", small, trials=2, **SMALL)
    assert [trial.status for trial in search.trials] == ["ok", "ok"]
    assert search.limit is None  # it trains from scratch
    amnesiac = tune("amnesiac", small, trials=1, **SMALL)
    for kind in ("sharded", "logged"):  # in chunks of three, of which the third has the models that serve tuning
        assert {folder.name for folder in own_store.glob(f"*/{kind}/**/chunks/*")} == {"0002"}
    assert [trial.status for trial in amnesiac.trials] == ["ok"]


def test_a_method_that_predicts_margins_is_tuned(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    def predict(pretrained: ndarray, extra: object, cfg: FineTune) -> ndarray:
        return pretrained * np.float32(cfg.lr)

    spoiled(monkeypatch, unlearn=None, predict=predict, search={"lr": OneOf((0.5,))})
    search = tune(NAME, small, trials=2, **SMALL)
    assert [trial.status for trial in search.trials] == ["ok", "ok"]
    assert all(trial.points[0].cost == 0 for trial in search.trials)


@pytest.mark.faults
def test_trials_do_not_depend_on_the_number_of_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for workers in (1, 2):
        monkeypatch.setenv("EXPUNGE_STORE", str(tmp_path / str(workers)))
        found.append(tune(NAME, f"{Path(tiny.__code__.co_filename)}:tiny", trials=2, workers=workers, **SMALL).trials)
    assert found[0] == found[1]


def test_a_points_objective_is_the_mean_of_its_splits() -> None:
    assert Point(1, 0.1, 3.0, 1.0, 2.0).objective == 2.0
    assert (
        replace(
            Trial(number=0, origin="", settings={}, status="ok"),
            points=[Point(1, 0.1, 3.0, 3.0, 3.0), Point(2, 0.2, 1, 1, 1)],
        ).objective(0.15)
        == 3.0
    )

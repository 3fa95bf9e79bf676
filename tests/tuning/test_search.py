"""A search tries first what is known, as many settings for each method, and gives the frontier of distance and cost."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expunge.ensembles import Plan, read_margins
from expunge.errors import ExpungeError, UnknownName
from expunge.methods import METHODS, tuned
from expunge.methods.searches import BUDGETS, Point, Stop, Trial, write_search
from expunge.methods.settings import settings_in
from expunge.methods.spaces import RATES, Between, OneOf, Published
from expunge.methods.task import Task
from expunge.suites import Suite
from expunge.tuning.samplers import SAMPLERS, RandomSearch
from expunge.tuning.search import _found_for, frontier, tune, worth
from expunge.tuning.trials import Field, Ruler, _measured
from expunge.tuning.tuning_sets import tuning_set
from tests.searches import a_search
from tests.tuning.fields import NAME, SIX, SMALL, scaled, spoiled, stepping


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many trials have run."""
    runs: list[int] = []

    def measured(field: Field, task: Task) -> dict[str, Any]:
        runs.append(1)
        return _measured(field, task)

    monkeypatch.setattr("expunge.tuning.trials._measured", measured)
    return runs


def test_the_defaults_come_first_then_what_authors_take_then_what_is_drawn(
    small: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled(
        monkeypatch,
        search={"lr": Between(1e-3, 1.0, log=True), "epochs": Between(1, 2, whole=True)},
        published=(Published("the paper", {"lr": 0.5, "epochs": 1}), Published("the code", {"lr": 0.01, "epochs": 2})),
    )
    search = tune(NAME, small, trials=4, **SMALL)
    assert [trial.number for trial in search.trials] == [0, 1, 2, 3]
    assert [trial.origin for trial in search.trials] == ["the defaults", "the paper", "the code", "random"]
    assert [trial.settings for trial in search.trials[:3]] == [
        {"epochs": 2},  # as many as the search goes to: each epoch is a candidate
        {"lr": 0.5, "epochs": 2},
        {"lr": 0.01, "epochs": 2},
    ]
    assert (search.pretrained, search.oracles, search.kind) == ([6, 8], [0, 2], "random")


def test_what_fails_is_replaced_so_that_as_many_succeed(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    spoiled(monkeypatch, search={"lr": OneOf((-1.0, -2.0, 0.01, 0.02, 0.03, 0.04))})
    search = tune(NAME, small, trials=4, **SMALL)
    assert sum(trial.status == "ok" for trial in search.trials) == 4
    assert any(trial.status == "failed" for trial in search.trials)
    spoiled(monkeypatch, search={"lr": Between(-2.0, -1.0)})
    hopeless = tune(NAME, small, trials=3, **SMALL)
    assert [trial.status for trial in hopeless.trials] == ["ok", *["failed"] * 5]  # at most twice as many


def test_what_fails_is_replaced_by_what_is_named_before_what_is_drawn(
    small: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = tuple(Published(str(lr), {"lr": lr}) for lr in (-1.0, 0.02, 0.03))
    spoiled(monkeypatch, search={"lr": RATES}, published=published)
    search = tune(NAME, small, trials=2, **SMALL)
    assert [each.origin for each in search.trials] == ["the defaults", "-1.0", "0.02"]


def test_what_was_found_for_another_suite_is_tried_after_what_authors_take(
    small: Suite, suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = settings_in(METHODS[NAME].config())
    stops = [
        Stop(trial=0, cost=cost, objective=1 - cost, settings={**known, "lr": lr, "epochs": epochs})
        for cost, lr, epochs in ((0.1, 0.02, 1), (0.3, 0.07, 3), (2.0, 0.09, 9))
    ]
    (tmp_path / "digits/random").mkdir(parents=True)
    write_search(tmp_path / f"digits/random/{NAME}.json", a_search(suite, method=NAME, frontier=stops))
    monkeypatch.setattr(tuned, "SHIPPED", tmp_path)
    spoiled(monkeypatch, published=(Published("the paper", {"lr": 0.5}),))
    search = tune(NAME, small, trials=5, start="digits", **SMALL)
    origins = ["the defaults", "the paper", "found for digits", "found for digits", "random"]
    assert [trial.origin for trial in search.trials] == origins
    assert [trial.settings["lr"] for trial in search.trials[1:4]] == [0.5, 0.02, 0.07]  # of each budget, once
    assert {trial.settings["epochs"] for trial in search.trials} == {16}
    assert search.start == "digits"
    limited = tune(NAME, small, trials=4, start="digits", limit=0.15, **SMALL)
    assert [each.settings["lr"] for each in limited.trials if each.origin == "found for digits"] == [0.02]
    for cap, rates in ((0.15, [0.02]), (0.4, [0.02, 0.07]), (0.05, [0.02]), (None, [0.02, 0.07, 0.09])):
        found = _found_for("digits", NAME, METHODS[NAME], "random", cap)
        assert list(dict.fromkeys(each["lr"] for each in found)) == rates  # the cheapest, where all is dearer
    with pytest.raises(UnknownName, match="unknown kind with tuned settings of 'fine-tune' for digits 'class'"):
        tune(NAME, small, kind="class", start="digits", **SMALL)
    with pytest.raises(UnknownName, match="unknown suite with tuned settings of 'fine-tune' 'digit'; did you mean"):
        tune(NAME, small, start="digit", **SMALL)


def test_a_sampler_is_told_of_every_trial_whoever_proposed_it(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[list[Any], list[float]]] = []

    class Listening(RandomSearch):
        name = "listening"

        def tell(self, tried: Sequence[Any], values: Sequence[float]) -> None:
            told.append((list(tried), list(values)))
            super().tell(tried, values)

    monkeypatch.setitem(SAMPLERS, "random", Listening)
    spoiled(monkeypatch, search={"lr": OneOf((0.2, -1.0, 0.5))}, published=(Published("the paper", {"lr": 0.5}),))
    search = tune(NAME, small, trials=3, **SMALL)
    assert [trial.origin for trial in search.trials] == ["the defaults", "the paper", "listening"]
    assert [[each["lr"] for each in tried] for tried, _ in told] == [[0.2, 0.5], [-1.0]]
    nothing = search.untouched.objective
    assert told[0][1] == [worth(each, nothing) for each in search.trials[:2]]
    assert told[1][1] == [float("inf")]


def test_settings_written_out_are_tried_once(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    known = settings_in(METHODS[NAME].config())
    spoiled(monkeypatch, published=(Published("the paper", {"lr": known["lr"]}), Published("another", {"lr": 0.5})))
    search = tune(NAME, small, trials=2, **SMALL)
    assert [each.origin for each in search.trials] == ["the defaults", "another"]


@pytest.mark.parametrize("sampler", ["random", "optuna"])
def test_where_only_epochs_are_searched_one_trial_has_them_all(
    sampler: str, small: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sampler == "optuna":
        pytest.importorskip("optuna")
    spoiled(monkeypatch, search={"epochs": Between(1, 4, whole=True)})
    assert [trial.settings for trial in tune(NAME, small, sampler=sampler, **SMALL).trials] == [{"epochs": 4}]


def test_a_finite_space_ends_a_search(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    spoiled(monkeypatch, search={"lr": OneOf((0.01, 0.02))}, whole_runs=True)
    assert len(tune(NAME, small, trials=9, **SMALL).trials) == 3


def test_the_frontier_comes_nearer_the_more_it_costs_and_is_made_of_trials(small: Suite) -> None:
    search = tune(NAME, small, trials=4, **SMALL)
    costs, values = [each.cost for each in search.frontier], [each.objective for each in search.frontier]
    assert costs == sorted(set(costs))
    assert values == sorted(set(values), reverse=True)
    for stop in search.frontier:
        points = {(p.cost, round(p.objective, 4)): p for p in search.trials[stop.trial].points}
        point = points[stop.cost, stop.objective]
        assert stop.settings.keys() == settings_in(METHODS[NAME].config()).keys()
        assert stop.settings["epochs"] == point.epoch
        nearer = [p for trial in search.trials for p in trial.points if p.cost <= stop.cost]
        assert stop.objective == round(min(p.objective for p in nearer), 4)
    untouched = Ruler.of(field(small)).point(
        0, 0.0, np.array(read_margins(Plan(small, "pretrained"), 6, 3).values)[:, looked_at(small)]
    )
    assert search.untouched == untouched
    assert search.frontier[-1].objective < untouched.objective


def field(suite: Suite) -> Field:
    return Field(suite, tuning_set(suite, "random"), NAME, range(6, 9), 3, 1.0, 0)


def looked_at(suite: Suite) -> np.ndarray:
    return np.setdiff1d(np.arange(260), np.arange(25))


def trial(number: int, *points: tuple[int, float, float]) -> Trial:
    made = [Point(epoch, cost, value, value, value) for epoch, cost, value in points]
    return Trial(number=number, origin="", settings={"lr": 0.1 * (number + 1)}, status="ok", points=made)


def test_the_frontier_by_hand() -> None:
    trials = [trial(0, (1, 0.1, 2.0), (2, 0.2, 1.0)), trial(1, (1, 0.05, 4.0), (3, 0.15, 1.5), (6, 0.3, 1.2))]
    found = frontier(NAME, METHODS[NAME], trials, 3.0)
    assert [(each.trial, each.cost, each.objective, each.settings["epochs"]) for each in found] == [
        (0, 0.1, 2.0, 1),
        (1, 0.15, 1.5, 3),
        (0, 0.2, 1.0, 2),
    ]
    assert found[1].settings["lr"] == 0.2
    none = frontier(NAME, METHODS[NAME], trials, 0.5)  # doing nothing is nearer than all: the nearest is run even so
    assert [(each.trial, each.objective) for each in none] == [(0, 1.0)]
    assert frontier(NAME, METHODS[NAME], [], 1.0) == []


def test_what_is_no_nearer_to_four_digits_is_no_stop() -> None:
    """As they are written, stops fall, and what is as near as doing nothing is not nearer."""
    points = [Point(1, 0.1, 0.5, 0.5, 0.5001), Point(2, 0.2, 0.5, 0.5, 0.5)]
    made = [Trial(number=0, origin="", settings={}, status="ok", points=points)]
    assert [stop.cost for stop in frontier(NAME, METHODS[NAME], made, 1.0)] == [0.1]
    (only,) = frontier(NAME, METHODS[NAME], made, points[0].objective)
    assert only.objective >= points[0].objective


def test_a_budget_gets_the_nearest_that_is_as_cheap(small: Suite) -> None:
    search = tune(NAME, small, trials=1, **SMALL)
    stops = [Stop(trial=0, cost=cost, objective=1 - cost, settings={}) for cost in (0.1, 0.3, 0.6)]
    found = replace(search, frontier=stops)
    costs = [stop.cost if (stop := found.at(budget)) else None for budget in (0.05, 0.1, 0.5, 1.0)]
    assert costs == [None, 0.1, 0.3, 0.6]


def test_the_worth_of_a_trial_is_its_mean_over_the_budgets() -> None:
    assert BUDGETS == (0.05, 0.15, 0.5, 1.0)
    assert worth(trial(0, (1, 0.1, 2.0), (2, 0.4, 1.0)), 4.0) == (4.0 + 2.0 + 1.0 + 1.0) / 4
    assert worth(Trial(number=0, origin="", settings={}, status="failed"), 4.0) == 4.0
    assert worth(trial(0, (1, 1.5, 2.0)), 4.0, unlimited=True) == (4.0 * 3 + 2.0) / 4


def test_a_finished_trial_is_never_run_again(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = counted(monkeypatch)
    first = tune(NAME, small, trials=2, **SMALL)
    assert len(runs) == 2
    assert first.seconds == pytest.approx(sum(each.seconds for each in first.trials), abs=0.1)
    assert first.seconds > 0
    assert tune(NAME, small, trials=2, **SMALL) == first  # its seconds too, which the trials took when they ran
    assert len(runs) == 2
    assert tune(NAME, small, trials=3, **SMALL).trials[:2] == first.trials
    assert len(runs) == 3
    for others in ({"oracles": 4}, {"models": 4}, {"seed": 1}, {"kind": "class"}, {"limit": 0.5}):
        tune(NAME, small, **{"trials": 1, **SMALL, **others})  # type: ignore[arg-type]
    assert len(runs) == 8  # each of which is another trial


def test_a_search_by_optuna_goes_on_where_it_was(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna")
    first = tune(NAME, small, trials=6, sampler="optuna", **SMALL)
    runs = counted(monkeypatch)
    assert tune(NAME, small, trials=6, sampler="optuna", **SMALL) == first
    assert runs == []
    assert len({str(trial.settings) for trial in first.trials}) == 6
    assert first.sampler == first.trials[-1].origin == "random, then optuna"


def test_what_is_interrupted_loses_the_running_trial_only(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(done: int, total: int, label: str) -> None:
        if label.startswith("trial 2 "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(NAME, small, trials=4, watch=stop, **SMALL)
    runs = counted(monkeypatch)
    tune(NAME, small, trials=4, **SMALL)
    assert len(runs) == 1  # those before it were kept, and it itself when it was told of


def test_a_method_that_trains_from_scratch_has_no_limit(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, NAME, replace(METHODS[NAME], from_scratch=True))
    search = tune(NAME, small, trials=1, limit=0.01, **SMALL)
    assert search.limit is None
    assert search.frontier


def test_no_setting_may_succeed(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    spoiled(monkeypatch, unlearn=stepping(scaled(1.0)))
    search = tune(NAME, small, trials=1, **SIX)
    assert search.frontier == []
    assert search.at(1.0) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 0}, "expected at least 1 trial, got 0"),
        ({"limit": 0.0}, "expected a limit above 0"),
        ({"models": 7}, "expected 2 to 6 models"),
        ({"oracles": 1}, "expected 2 to 6 oracles"),
        ({"kind": "klass"}, "unknown kind of forget set 'klass'; did you mean 'class'"),
        ({"sampler": "grid"}, "unknown sampler 'grid'"),
        ({"start": "nowhere"}, "no tuned settings of 'fine-tune' are shipped|unknown suite with tuned settings"),
    ],
)
def test_a_mistake_is_one_line(small: Suite, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ExpungeError, match=message):
        tune(NAME, small, **options)

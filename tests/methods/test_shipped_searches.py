"""What is shipped of searches looked at nothing that is scored, and its frontier is what its trials found."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expunge.methods import METHODS, configure, tuned
from expunge.methods.searches import BUDGETS, Point, Search, Stop, Trial, read_search
from expunge.methods.settings import settings_in
from expunge.suites import SUITES, ForgetSet, Suite, load_suite
from expunge.tuning.search import described, frontier
from expunge.tuning.tuning_sets import tuning_set
from tests.searches import a_search

SHIPPED = sorted(tuned.SHIPPED.glob("*/*/*.json"))
IDS = ["/".join([*file.parts[-3:-1], file.stem]) for file in SHIPPED]
SCORED_TOO = {"random", "influential", "memorised", "neighbours"}  # kinds of sets that hold some of a whole class


@cache
def suite_of(name: str) -> Suite:
    """The suite, once for all of its searches."""
    return load_suite(name)


@cache
def digest_of(name: str, kind: str) -> str:
    """The digest of a suite's tuning set."""
    return tuning_set(suite_of(name), kind).digest


read = cache(read_search)


def scored_that_was_used(search: Search, suite: Suite) -> list[str]:
    """What a bench of the suite scores, and the search looked at all the same."""
    found, examples = [], np.array(search.forget_set["indices"])
    made = ForgetSet("made", examples)
    if search.pretrained[0] < suite.models // 2:
        found.append("models")
    if search.forget_set["digest"] != made.digest or made.digest in {e.digest for e in suite.forget_sets.values()}:
        found.append("oracles")
    overlap = {each.kind for each in suite.forget_sets.values() if np.isin(each.indices, examples).any()}
    if overlap - (SCORED_TOO if search.kind == "class" else set()):
        found.append("examples")
    return found


def wrong_in_frontier(search: Search) -> list[str]:
    """What of the frontier is not as the trials have it."""
    row, found = METHODS[search.method], []
    nothing = search.untouched.objective
    again = frontier(search.method, row, search.trials, nothing)
    if [_told(each) for each in again] != [_told(each) for each in search.frontier]:
        found.append("stops")
    for budget in BUDGETS:
        nearest = min((value for each in search.trials if (value := each.objective(budget)) is not None), default=None)
        stop = search.at(budget)
        if nearest is not None and nearest < nothing and (stop is None or stop.objective != pytest.approx(nearest)):
            found.append(f"at {budget}")
    found += ["settings" for each in search.frontier if each.settings != _allowed(search.method, each)]
    return found


def _told(stop: Stop) -> tuple[Any, ...]:
    return stop.trial, stop.cost, stop.objective, stop.settings.get("epochs")


def _allowed(method: str, stop: Stop) -> dict[str, Any]:
    return settings_in(configure(method, METHODS[method], stop.settings))


@pytest.fixture(scope="module")
def sound(suite: Suite) -> Search:
    """A record that is as it should be."""
    forget = tuning_set(suite, "random")
    told = {"name": forget.name, "digest": forget.digest, "made": forget.made, "indices": forget.indices.tolist()}
    points = [Point(1, 0.1, 1.0, 1.0, 1.0), Point(3, 0.3, 0.5, 0.5, 0.5)]
    trials = [Trial(number=0, origin="random", settings={"lr": 0.02}, status="ok", points=points)]
    found = a_search(suite, forget_set=told, trials=trials)
    return replace(found, frontier=frontier("scrub", METHODS["scrub"], trials, found.untouched.objective))


def of(forget: ForgetSet) -> dict[str, Any]:
    return {"digest": forget.digest, "indices": forget.indices.tolist()}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        (lambda suite: {}, []),
        (lambda suite: {"pretrained": [99, 118]}, ["models"]),
        (lambda suite: {"forget_set": of(suite.forget_sets["random-50"])}, ["oracles", "examples"]),
        (lambda suite: {"forget_set": of(ForgetSet("a", suite.forget_sets["random-50"].indices[:3]))}, ["examples"]),
        (lambda suite: {"forget_set": {**of(tuning_set(suite, "neighbours")), "digest": "0"}}, ["oracles"]),
        (lambda suite: {"forget_set": of(tuning_set(suite, "class")), "kind": "class"}, []),
        (lambda suite: {"forget_set": of(tuning_set(suite, "class")), "kind": "random"}, ["examples"]),
        (
            lambda suite: {"forget_set": of(ForgetSet("a", suite.forget_sets["class-3"].indices[1:])), "kind": "class"},
            ["examples"],
        ),
    ],
)
def test_a_record_of_a_search_that_looked_at_what_is_scored_is_seen(
    changes: Callable[[Suite], dict[str, Any]], found: list[str], sound: Search, suite: Suite
) -> None:
    assert scored_that_was_used(replace(sound, **changes(suite)), suite) == found


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda stops: stops, []),
        (lambda stops: stops[::-1], ["stops", "at 0.5", "at 1.0"]),
        (lambda stops: stops[:1], ["stops", "at 0.5", "at 1.0"]),
        (lambda stops: [], ["stops", "at 0.15", "at 0.5", "at 1.0"]),
        (lambda stops: [stops[0], replace(stops[1], objective=0.4)], ["stops", "at 0.5", "at 1.0"]),
        (lambda stops: [stops[0], replace(stops[1], settings={"lr": 0.02, "epochs": 3})], ["settings"]),
    ],
)
def test_a_record_whose_frontier_is_not_that_of_its_trials_is_seen(
    change: Callable[[list[Stop]], list[Stop]], found: list[str], sound: Search
) -> None:
    assert wrong_in_frontier(replace(sound, frontier=change(sound.frontier))) == found


@pytest.mark.parametrize("file", SHIPPED, ids=IDS)
def test_nothing_that_is_scored_was_used_to_choose(file: Path) -> None:
    """Models and oracles are of the halves that are never scored; examples too, but for a whole class, as is said."""
    assert scored_that_was_used(read(file), suite_of(file.parts[-3])) == []


@pytest.mark.parametrize("file", SHIPPED, ids=IDS)
def test_a_shipped_frontier_is_that_of_the_trials_and_holds_the_recipe_of_each_budget(file: Path) -> None:
    assert wrong_in_frontier(read(file)) == []


@pytest.mark.parametrize("file", SHIPPED, ids=IDS)
def test_a_shipped_search_is_of_this_suite_kind_and_method(file: Path) -> None:
    search = read(file)
    assert (search.suite, search.kind, search.method) == (*file.parts[-3:-1], file.stem)
    assert search.suite in SUITES
    assert search.suite_digest == suite_of(search.suite).digest
    assert search.space.keys() <= METHODS[file.stem].search.keys()
    assert [trial.number for trial in search.trials] == list(range(len(search.trials)))
    succeeded = sum(trial.status == "ok" for trial in search.trials)
    assert succeeded <= search.wanted
    assert len(search.trials) <= 2 * search.wanted


DIGITS = [file for file in SHIPPED if file.parts[-3] == "digits"]  # larger suites lag behind


@pytest.mark.parametrize("file", DIGITS, ids=["/".join([file.parts[-2], file.stem]) for file in DIGITS])
def test_settings_for_digits_were_looked_for_where_the_row_says_today(file: Path) -> None:
    """A row that looks elsewhere has to be tuned anew."""
    search = read(file)
    today = {name: described(space) for name, space in METHODS[file.stem].search.items()}
    assert search.space == json.loads(json.dumps(today))
    assert search.forget_set["digest"] == digest_of("digits", search.kind)

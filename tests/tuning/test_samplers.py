"""Settings that a search tries: the same for the same seed, none twice, and in the end nearer to what is sought."""

import sys

import numpy as np
import pytest

from expunge.errors import BadSetting
from expunge.methods.searches import Settings
from expunge.methods.spaces import Between, OneOf, Space
from expunge.suites import Suite
from expunge.tuning.samplers import OptunaSearch, RandomSearch
from expunge.tuning.search import tune
from tests.tuning.fields import NAME, SMALL

SPACE: dict[str, Space] = {
    "lr": Between(1e-4, 0.5, log=True),
    "size": OneOf((4, 16)),
    "count": Between(1, 3, whole=True),
}
FINITE: dict[str, Space] = {"size": OneOf((4, 16)), "epochs": OneOf((1, 2))}


def test_random_search_repeats_itself_and_asking_for_more_goes_on() -> None:
    few, many = (RandomSearch(SPACE, 3, NAME).ask(count) for count in (4, 9))
    assert few == many[:4]
    assert many != RandomSearch(SPACE, 4, NAME).ask(9)
    assert many != RandomSearch(SPACE, 3, "scrub").ask(9)
    assert all(1e-4 <= float(each["lr"]) <= 0.5 and each["size"] in (4, 16) for each in many)
    assert {each["count"] for each in many} == {1, 2, 3}


def test_random_search_ends_where_a_finite_space_does_and_never_tries_what_was_tried() -> None:
    search = RandomSearch(FINITE, 0, NAME)
    search.tell([{"size": 4, "epochs": 2}], [1.0])
    tried = search.ask(20)
    assert len(tried) == 3
    assert {"size": 4, "epochs": 2} not in tried


def distance(settings: Settings) -> float:
    return abs(float(settings["lr"]) - 0.1) + float(settings["count"])


def test_optuna_repeats_itself_learns_from_what_others_proposed_and_comes_nearer() -> None:
    pytest.importorskip("optuna")

    def run(told: list[Settings]) -> list[Settings]:
        search, found = OptunaSearch(SPACE, 0, NAME), list[Settings]()
        search.tell(told, [distance(each) for each in told])
        for _ in range(12):
            asked = search.ask(40)
            assert len(asked) == OptunaSearch.BATCH
            search.tell(asked, [distance(each) for each in asked])
            found += asked
        return found

    found = run([])
    assert found == run([])
    assert len({str(each) for each in found}) == 48
    assert np.mean([distance(each) for each in found[-12:]]) < np.mean([distance(each) for each in found[:12]])
    told: Settings = {"lr": 0.1, "size": 4, "count": 1}
    assert run([told] * OptunaSearch.RANDOM) != found


def test_optuna_ends_where_a_finite_space_does() -> None:
    pytest.importorskip("optuna")
    search = OptunaSearch(FINITE, 0, NAME)
    search.tell([{"size": 4, "epochs": 2}], [1.0])
    tried = search.ask(20)
    assert len(tried) == 3
    assert {"size": 4, "epochs": 2} not in tried
    search.tell(tried, [1.0] * 3)
    assert search.ask(20) == []


def test_optuna_is_not_told_of_what_lies_outside_of_its_space() -> None:
    """Such as what a search found for another suite, where today's space is another."""
    pytest.importorskip("optuna")
    outside: Settings = {"lr": 5.0, "size": 4, "count": 1}
    told, untold = OptunaSearch(SPACE, 0, NAME), OptunaSearch(SPACE, 0, NAME)
    told.tell([outside, {**outside, "lr": 0.1, "size": 5}], [0.0, 0.0])
    assert told.ask(4) == untold.ask(4)


def test_optuna_that_is_not_installed_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, small: Suite) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(BadSetting, match=r"not installed; run pip install -e '\.\[tune\]' in"):
        tune(NAME, small, sampler="optuna", **SMALL)

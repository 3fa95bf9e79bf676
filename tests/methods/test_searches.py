"""The record of a search: read as it was written, and refused in a line where it is none."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expunge.errors import BadSetting, StoreError
from expunge.methods.searches import (
    SCHEMA,
    Point,
    Settings,
    Stop,
    Trial,
    read_search,
    require_writable,
    settings_in_words,
    write_search,
)
from expunge.suites import Suite
from tests.searches import a_search


@pytest.fixture
def file(tmp_path: Path, suite: Suite) -> Path:
    """The record of a small search."""
    write_search(tmp_path / "record.json", a_search(suite))
    return tmp_path / "record.json"


def test_it_is_read_as_it_was_written(file: Path, suite: Suite) -> None:
    assert read_search(file) == a_search(suite)
    settings: Settings = {"lr": 1e-05, "size": 4, "scope": "all", "soft": True}
    failed = Trial(number=1, origin="the paper, “table 5”", settings=settings, status="failed", reason="it\nbroke")
    more = a_search(suite, trials=[*a_search(suite).trials, failed], frontier=[], limit=None, start="tabular")
    write_search(file, more)
    found = read_search(file)
    assert found == more
    assert {key: type(value) for key, value in found.trials[1].settings.items()} == {
        key: type(value) for key, value in settings.items()
    }


def test_a_trial_is_a_line_and_so_is_a_stop(file: Path, suite: Suite) -> None:
    many = [replace(a_search(suite).trials[0], number=number) for number in range(5)]
    write_search(file, a_search(suite, trials=many))
    lines = file.read_text().splitlines()
    assert [json.loads(line.rstrip(","))["number"] for line in lines if '"origin"' in line] == list(range(5))
    assert sum('"objective": ' in line and '"trial": ' in line for line in lines) == 2
    assert json.loads(file.read_text())["schema"] == SCHEMA


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text.replace('"schema": 2', '"schema": 1'), "has schema 1, this expunge reads 2; tune again"),
        (lambda text: text.replace('"schema": 2', '"schema": "2"'), "has schema '2', this expunge reads 2"),
        (lambda text: text.replace('"schema": 2', f'"schema": "{"long " * 999}"'), "has schema 'long long "),
        (
            lambda text: text.replace('{"lr": 0.02}', '{"l\\nr": [1]}'),
            "is no record of a search: trials.0.settings.l r",
        ),
        (lambda text: text.replace('"wanted": 1', '"wanted": "1"'), "is no record of a search: wanted: "),
        (lambda text: text.replace('"status": "ok"', '"status": "fine"'), "is no record of a search: trials.0.status"),
        (lambda text: text.replace("[1, 0.1, 1.0, 1.0, 1.0]", "[1, 0.1]"), "is no record of a search: trials.0.points"),
        (lambda text: text[: len(text) // 2], "is no record of a search: file: no JSON object; tune again"),
        (lambda text: "", "is no record of a search"),
        (lambda text: "[1]", "is no record of a search"),
        (lambda text: "null", "is no record of a search"),
        (lambda text: "{}", "has schema None"),
        (lambda text: '{"schema": 2}', "is no record of a search: method: "),
        (lambda text: "[" * 200_000, "is no record of a search"),
        (lambda text: '{"schema": 2, "trials": ' + "[" * 200_000, "is no record of a search"),
        (lambda text: '{"schema": ' + "9" * 5000 + "}", "is no record of a search"),
        (lambda text: b"\xff\xfe{", "is no record of a search"),
    ],
)
def test_what_is_no_record_is_refused_in_a_line(spoil: Callable[[str], str | bytes], message: str, file: Path) -> None:
    spoilt = spoil(file.read_text())
    file.write_bytes(spoilt if isinstance(spoilt, bytes) else spoilt.encode())
    with pytest.raises(StoreError) as refused:
        read_search(file)
    assert message in str(refused.value)
    assert str(refused.value).startswith(str(file))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600


def test_a_record_that_is_not_there_is_one_line(file: Path) -> None:
    with pytest.raises(StoreError, match="there is no file"):
        read_search(file.with_name("nothing.json"))


def test_a_place_that_cannot_be_written_is_refused_before_any_work(file: Path) -> None:
    require_writable(file)
    assert read_search(file)  # which left it as it was
    with pytest.raises(BadSetting, match="expected a file to write the record to, got the folder"):
        require_writable(file.parent)
    with pytest.raises(BadSetting, match=r"cannot write .* choose an --out that can be written"):
        require_writable(file / "below.json")


def test_a_budget_is_the_most_that_a_point_may_cost(suite: Suite) -> None:
    points = [Point(1, 0.1, 3.0, 3.0, 3.0), Point(2, 0.2, 1.0, 1.0, 1.0)]
    trial = Trial(number=0, origin="", settings={}, status="ok", points=points)
    assert [trial.objective(budget) for budget in (0.05, 0.1, 0.15, 0.2, 1.0)] == [None, 3.0, 3.0, 1.0, 1.0]
    stops = [Stop(trial=0, cost=each.cost, objective=each.objective, settings={}) for each in points]
    found = a_search(suite, frontier=stops)
    assert [found.at(budget) for budget in (0.05, 0.1, 0.15, 0.2, 1.0)] == [None, *stops[:1] * 2, *stops[1:] * 2]


@pytest.mark.parametrize(
    ("costs", "served"), [([0.1, 0.2], 0.1), ([0.3, 0.4], 0.3), ([1.02, 1.1, 1.3], 1.1), ([1.0], 1.0)]
)
def test_beyond_a_whole_retraining_the_budget_is_spent_on_top(suite: Suite, costs: list[float], served: float) -> None:
    stops = [Stop(trial=0, cost=cost, objective=-cost, settings={}) for cost in costs]
    assert a_search(suite, frontier=stops).served(0.15).cost == served


def test_settings_are_told_as_a_command_would_set_them() -> None:
    settings: dict[str, Any] = {"lr": 0.1, "epochs": 1, "scope": "all"}
    assert settings_in_words(settings, ["scope", "lr", "lost"]) == "scope = all, lr = 0.1"

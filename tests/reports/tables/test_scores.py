"""The tables of the terminal."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from expunge.errors import UserError
from expunge.records import Score
from expunge.reports import render_tables
from expunge.reports.boards import boards
from expunge.reports.tables.scores import Sizes
from tests.reports.synthetic import score, scores, scores_of


def shown(records: list[Score], width: int) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    for table in render_tables(records):
        console.print(table)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_rows_stand_by_distance_on_forget_with_the_floor_first_and_the_failed_last() -> None:
    (board,) = boards(scores("random-12"))
    names = [line.row.method for line in board.lines]
    assert names[0] == "oracle"
    assert names[-1] == "newton"
    middle = [line.row.distance("forget") for line in board.lines[1:-1]]
    values = [cell.value for cell in middle if cell]
    assert len(values) == len(middle)
    assert values == sorted(values)


@pytest.mark.parametrize("width", [80, 100])
def test_nothing_is_cut_off(width: int) -> None:
    text = shown(scores("random-12"), width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for words in ("neg-grad-plus", "✕ breaks the model", "±0.04", "9.30*", "90/100/97", "diverged at epoch 2", "0.041"):
        assert words in text


def test_one_table_per_forget_set_and_the_legend() -> None:
    assert len(render_tables(scores("random-12") + scores("class-3"))) == 3


def test_the_legend_takes_five_lines_and_says_where_the_rest_is() -> None:
    lines = shown(scores("random-12"), 80).rstrip().splitlines()[-5:]
    assert lines[0].startswith("gap closed")
    assert "expunge info readings" in lines[-1]


def test_ranked_rows_stand_in_the_order_of_their_places() -> None:
    def ranked(method: str, distance: float, group: int) -> list[Score]:
        made = scores_of("random-12", method, {"forget": distance, "retain": 0.65, "test": 0.66})
        place = {"method": method, "metric": "rank", "value": float(group), "low": float(group), "high": float(group)}
        return [*made, *(score(aggregate=each, **place) for each in ("group", "distance"))]

    (board,) = boards([*ranked("scrub", 2.0, 2), *ranked("salun", 3.0, 1), *ranked("delete", 1.0, 3)])
    assert [line.row.method for line in board.lines] == ["salun", "scrub", "delete"]


def test_what_was_not_measured_is_a_dash() -> None:
    bare = [
        score(method="mine", split=split, cost=None, seconds=None, low=None, high=None)
        for split in ("forget", "retain", "test")
    ]
    text = shown(bare, 100)
    assert "–/–/–" in text
    line = next(line for line in text.splitlines() if line.startswith("mine"))
    assert line.split() == ["mine", "–", "–", "–", "–", "0.70", "–/–/–", "–"]
    assert "no row oracle" in text


def test_names_are_no_markup() -> None:
    assert "[red]x[/red]" in shown([score(method="[red]x[/red]")], 100)


def test_a_number_given_twice_is_refused() -> None:
    with pytest.raises(UserError, match="expected one klom p95 on forget of 'neg-grad-plus'"):
        render_tables([score(), score(value=0.9)])


def test_scores_of_two_suites_are_refused() -> None:
    with pytest.raises(UserError, match="one suite, got cifar10 5f2c"):
        render_tables([score(), score(suite="cifar10")])


def test_a_p95_of_few_examples_is_said_to_be_the_maximum_once() -> None:
    found = [*scores("random-12"), *scores("class-3")]
    sizes: Sizes = {
        "random-12": {"forget": 12, "retain": 48, "test": 30},
        "class-3": {"forget": 30, "retain": 48, "test": 30},
    }
    *_, legend = render_tables(found, sizes)
    told = str(legend.caption)
    assert told.count("(nearly) the maximum: forget of random-12 (12).") == 1
    assert "class-3" not in told
    *_, legend = render_tables(found)
    assert "maximum" not in str(legend.caption)


@pytest.mark.parametrize(("budget", "marked"), [(0.15, True), (0.19, False), (None, False)])
def test_a_cost_above_the_budget_is_marked_with_it(budget: float | None, marked: bool) -> None:
    """By more than a tenth of it: the budget holds on a forget set of tuning, which may be a little larger."""
    found = [replace(each, subject=replace(each.subject, budget=budget), cost=0.2) for each in scores("random-50")]
    assert bool(re.search(r">15% \d", shown(found, 80))) == marked

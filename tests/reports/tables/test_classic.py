"""The classic scores, in the terminal and on the page: never a number without the oracles' beside it."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from expunge.records import Score, read_scores, write_scores
from expunge.reports import render_classic, report
from expunge.reports.boards import boards
from expunge.reports.leaderboard.set_tables import set_tables
from expunge.reports.tables.classic import classic_table
from tests.reports.page.test_html import read
from tests.reports.synthetic import score, scores

PLACES = {"ua": "forget", "ra": "retain", "ta": "test", "mia-efficacy": "forget"}
VALUES = {"ua": (0.347, 1.0), "ra": (1.0, 1.0), "ta": (0.882, 0.89), "mia-efficacy": (0.013, 0.131)}


def classic(method: str, **changes: Any) -> list[Score]:
    """The classic records of one method."""
    found = []
    for name, (value, oracle) in VALUES.items():
        base = {"method": method, "split": PLACES[name], "metric": name} | changes
        edges = {"low": value - 0.02, "high": value + 0.02}
        found.append(score(aggregate="mean", value=value, oracle=oracle, **edges, **base))
        gap = value - oracle
        found.append(score(aggregate="gap", value=gap, low=gap - 0.03, high=gap + 0.03, oracle=0.0, **base))
    base = {"method": method, "aggregate": "mean"} | changes
    found.append(score(metric="average-gap", value=0.2, low=0.15, high=0.26, oracle=0.012, **base))
    found.append(score(metric="tow", value=0.32, low=0.15, high=0.49, oracle=0.98, **base))
    return [*found, score(metric="run-time", value=0.12, low=0.1, high=0.14, oracle=1.9, **base)]


def shown(records: list[Score], width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    for table in render_classic(records):
        console.print(table)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_fits_and_has_the_oracles_in_the_same_cell(width: int) -> None:
    records = scores("random-12")
    names = list(dict.fromkeys(each.subject.method for each in records if each.status == "ok"))
    text = shown([*records, *(each for name in names for each in classic(name))], width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    line, below = (row.split() for row in text.splitlines()[text[: text.index("scrub")].count("\n") :][:2])
    assert line == ["scrub", "34.7/100", "100/100", "88.2/89.0", "1.3/13.1", "20.0/1.2", "0.32/0.98"]
    assert below == ["−65±3", "0.0±3.0", "−0.8±3.0", "−12±3", "[15,26]", "[0.15,0.49]"]


def test_what_was_not_measured_is_a_dash_and_a_failed_row_says_so() -> None:
    lines = shown(scores("random-12")).splitlines()
    assert next(line for line in lines if line.startswith("scrub")).split()[1:] == ["–"] * 6
    place = next(number for number, line in enumerate(lines) if line.startswith("newton"))
    assert lines[place + 1].strip() == "failed"


def test_a_number_without_its_oracle_value_is_not_shown() -> None:
    (board,) = boards([score(), score(metric="ua", aggregate="mean", value=0.3)])
    assert classic_table(board) is None


def test_a_page_of_before_the_classic_scores_has_no_such_section(bench: Path) -> None:
    assert "Classic scores" not in read(report(bench)).text


def test_the_page_shows_them_with_gaps_and_intervals(bench: Path) -> None:
    write_scores(bench / "scores.jsonl", [*read_scores(bench / "scores.jsonl"), *classic("scrub")])
    text = read(report(bench)).text
    assert text.count("Classic scores") == 1  # of one of the two forget sets
    row = text.split("Classic scores")[1].split("scrub")[1]
    for words in ("34.7 [32.7, 36.7] oracles 100.0 gap −65.3 [−68.3, −62.3]", "20.0 [15.0, 26.0] oracles 1.2"):
        assert words in row
    assert "0.32 [0.15, 0.49] oracles 0.98" in row
    assert "0.12 [0.1, 0.14] oracles 1.9" in row


def test_without_an_average_gap_there_is_no_column_but_word_of_how_to_get_it() -> None:
    base = {"forget_set": "random-50", "method": "scrub", "split": "forget"}
    [board] = boards([score(metric="ua", aggregate="mean", value=0.5, low=0.4, high=0.6, oracle=0.5, **base)])
    shown = classic_table(board)
    assert shown is not None
    assert not shown["averaged"]
    assert "--classic" in shown["legend"]


def test_a_bench_whose_run_times_were_not_measured_has_no_column_of_them(bench: Path) -> None:
    before, rows = read_scores(bench / "scores.jsonl"), classic("scrub")
    untimed = [*before, *(each for each in rows if each.metric != "run-time")]
    write_scores(bench / "scores.jsonl", untimed)
    text = read(report(bench)).text
    assert "Classic scores" in text
    assert "run time, s per model" not in text
    for records, there in ((untimed, False), ([*before, *rows], True)):
        (board,) = [each for each in boards(records) if classic_table(each)]
        assert ("seconds a model" in set_tables("digits", board)) is there

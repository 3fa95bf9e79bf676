"""Any metric of the table can be printed by its name, also one that no other table has a column for."""

from dataclasses import replace

from rich.console import Console

from expunge.records import Score
from expunge.reports import render_metrics
from tests.reports.synthetic import scores


def printed(found: list[Score], names: list[str]) -> str:
    console = Console(width=100)
    with console.capture() as captured:
        for table in render_metrics(found, names):
            console.print(table)
    return captured.get()


def test_a_line_has_the_number_its_interval_and_what_oracles_get() -> None:
    one = replace(scores("random-50")[0], metric="spread", aggregate="mean", value=1.25, low=1.0, high=1.5, oracle=1.1)
    [line] = [line for line in printed([one], ["spread"]).splitlines() if "spread" in line]
    assert line.split() == [one.subject.method, "spread", "mean", one.split, "1.25", "[1,", "1.5]", "1.1"]


def test_only_what_is_named_is_shown_and_what_was_not_told_is_absent() -> None:
    found = scores("random-50")
    assert "klom p95" in printed(found, ["klom"])
    assert "accuracy" not in printed(found, ["klom"])
    assert "nothing told by these metrics" in printed(found, ["tow"])

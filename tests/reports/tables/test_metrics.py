"""Any metric of the table can be printed by its name, also one that no other table has a column for."""

from dataclasses import replace

from rich.console import Console

from expunge.records import Score
from expunge.reports import render_metrics
from expunge.reports.boards import boards
from tests.reports.synthetic import scores


def printed(found: list[Score], names: list[str], width: int = 100) -> str:
    console = Console(width=width)
    with console.capture() as captured:
        for table in render_metrics(found, names):
            console.print(table)
    return captured.get()


def test_a_row_has_the_number_its_interval_and_what_oracles_get() -> None:
    one = replace(scores("random-50")[0], metric="spread", aggregate="mean", value=1.25, low=1.0, high=1.5, oracle=1.1)
    first, second = printed([one], ["spread"]).splitlines()[-2:]
    assert first.split() == [one.subject.method, "spread", one.split, "1.25", "1.1"]
    assert second.split() == ["mean", "[1,", "1.5]"]


def test_only_what_is_named_is_shown_and_what_was_not_told_is_absent() -> None:
    found = scores("random-50")
    lines = [line.split() for line in printed(found, ["klom"]).splitlines()]
    assert any("klom" in line for line in lines)
    assert any(line[:1] == ["p95"] for line in lines)
    assert "accuracy" not in printed(found, ["klom"])
    assert "nothing told by these metrics" in printed(found, ["tow"])


def test_the_name_of_a_metric_is_whole_at_80_columns() -> None:
    one = replace(
        scores("random-50")[0], metric="mia-efficacy-published", oracle=1.1, value=0.0, low=-0.03216, high=0.02584
    )
    assert "mia-efficacy-published" in printed([one], ["mia-efficacy-published"], width=80)


def test_what_oracles_get_has_a_column_only_where_it_is_told() -> None:
    found = scores("random-12")
    assert "oracles" not in printed(found, ["klom"])
    assert "oracles" in printed([*found, replace(found[0], metric="tow", aggregate="mean", oracle=1.0)], ["tow"])


def test_rows_stand_as_in_the_main_table_and_those_that_failed_are_among_them() -> None:
    lines = [line.split() for line in printed(scores("random-12")[::-1], ["klom"]).splitlines()]
    named = list(dict.fromkeys(line[0] for line in lines if "klom" in line or "failed" in line))
    assert named == [line.row.method for line in boards(scores("random-12"))[0].lines]
    assert ["newton", "failed"] in lines

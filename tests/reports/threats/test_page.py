"""The tables of docs/threats.md are those of the shipped results, a row for each threat and a line for each run."""

from pathlib import Path

import pytest

from expunge.attacks import ATTACKS, DEFENCES
from expunge.attacks.survey import FAMILIES, PLANTED, THREATS
from expunge.errors import StoreError
from expunge.reports.threats.page import DOCS, in_groups, taxonomy, with_tables
from expunge.reports.threats.results import read_results

PAGE = (Path(__file__).parents[3] / DOCS).read_text(encoding="utf-8")


def test_the_page_in_the_tree_is_up_to_date() -> None:
    assert with_tables(PAGE) == PAGE, "run `make docs`"


@pytest.mark.parametrize("name", list(THREATS))
def test_every_threat_has_its_line(name: str) -> None:
    row = THREATS[name]
    (line,) = [each for each in PAGE.splitlines() if each.startswith(f"| `{name}`<br>")]
    assert row.technique in line
    made = {each.run: each.command for each in read_results()}
    for run in row.plays:
        assert f"`{made[run]}`" in line
        assert "show" in line
    assert row.attacks or "not here: " in line


def test_every_family_and_every_attack_is_there() -> None:
    assert all(f"**{family}**: " in PAGE for family in FAMILIES)
    assert all(f"\n### {name}\n" in PAGE for name in ATTACKS)


def test_every_run_is_there_with_its_verdict() -> None:
    for each in read_results():
        assert any(f"| `{each.command}` | {each.method} |" in line for line in PAGE.splitlines()), each.run


def test_a_threat_that_nobody_measured_has_a_dash() -> None:
    (line,) = [each for each in taxonomy([]).splitlines() if each.startswith("| `slow-down`")]
    assert "| – |" in line


def test_defences_are_told_in_short() -> None:
    assert in_groups(PLANTED).startswith("all at training, ")
    assert in_groups(["membership"]) == "membership"
    assert in_groups([name for name, row in DEFENCES.items() if row.when == "request"]) == "all at request"


def test_a_page_without_its_markers_is_refused() -> None:
    with pytest.raises(StoreError, match="expected the markers"):
        with_tables(PAGE.replace("<!-- end of threats -->", ""))

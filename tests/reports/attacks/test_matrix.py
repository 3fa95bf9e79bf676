"""What a matrix shows, cell by cell, and where it says that it cannot tell."""

from dataclasses import replace

import pytest

from expunge.attacks.lab.arms import ARMS, ATTACK, HONEST, ORACLE, UNPERTURBED
from expunge.errors import UserError
from expunge.reports.attacks.findings import ArmFound, Findings, Guard, Victims
from expunge.reports.attacks.matrix import (
    NO_FILTER,
    SHOWS,
    SHOWS_NOT,
    UNTOLD,
    Matrix,
    by_chance,
    entries_of,
    read_matrix,
    reasons_of,
    span_of_alarms,
)
from expunge.reports.attacks.matrix_page import heat_map, render
from expunge.reports.attacks.matrix_results import matrix_text
from expunge.reports.summaries import Interval

NOTHING, MUCH = Interval(0.1, -0.2, 0.4), Interval(0.8, 0.5, 1.0)
NONE, ALL, FEW = Interval(0.0, 0.0, 0.3), Interval(1.0, 0.7, 1.0), Interval(0.01, 0.0, 0.02)


def arms(**success: float) -> dict[str, ArmFound]:
    names = {"attack": ATTACK, "honest": HONEST, "oracle": ORACLE}
    level = {names[name]: Interval(each, 0.0, 1.0) for name, each in success.items()}
    return {name: ArmFound(level.get(name, NONE), ALL, 0.5, 0.1, {}) for name in ARMS}


def guard(
    name: str = "filter", success: Interval | None = NONE, excess: Interval | None = NOTHING, **own: Interval
) -> Guard:
    taken = NOTHING if excess is MUCH else MUCH
    caught, alarms = own.get("caught", ALL), own.get("alarms", FEW)
    return Guard(name, None, caught, alarms, success, ALL, 0.1, excess=excess, taken=taken)


def victims(*guards: Guard, excess: Interval = MUCH, method: str = "scrub") -> Victims:
    return Victims(method, arms(attack=0.9, honest=0.2, oracle=0.4), {HONEST: excess}, {}, 0.1, guards)


def matrix(*found: Victims) -> Matrix:
    return Matrix([Findings("over-unlearning", "digits", {}, 10, found, "")])


def marks(found: Matrix) -> list[str]:
    return [cell.mark for cell in found.cells()]


def test_an_effect_shows_where_the_interval_of_its_excess_lies_above_nothing() -> None:
    """Where nobody looks, and under a defence, by one rule."""
    assert marks(matrix(victims(guard()))) == [SHOWS, SHOWS_NOT]
    assert marks(matrix(victims(guard(excess=MUCH), excess=NOTHING))) == [SHOWS_NOT, SHOWS]


def test_what_is_left_by_a_filter_that_rejects_honest_requests_as_well_says_nothing_for_it() -> None:
    assert marks(matrix(victims(guard(caught=ALL, alarms=ALL))))[1] == NO_FILTER
    assert marks(matrix(victims(guard(caught=ALL, alarms=FEW))))[1] == SHOWS_NOT
    assert marks(matrix(victims(guard(caught=NONE, alarms=NONE, excess=MUCH))))[1] == SHOWS


def test_what_has_no_number_says_why() -> None:
    failed = replace(
        victims(), arms={name: ArmFound(None, None, None, None, {}, "diverged") for name in ARMS}, excess={}
    )
    found = matrix(victims(guard()), replace(failed, method="salun"))
    cells = list(found.cells())
    assert [cell.mark for cell in cells[2:]] == [UNTOLD, UNTOLD]
    assert reasons_of(cells) == ["– salun: diverged"]


def test_a_defence_that_does_not_apply_says_why_once() -> None:
    other = replace(guard(success=None, excess=None), reason="does not apply: so", applies=False)
    found = matrix(victims(other), replace(victims(other), method="salun"))
    assert reasons_of(list(found.cells())) == ["– filter: does not apply: so"]


def test_the_strongest_control_is_the_one_with_the_most_success() -> None:
    assert victims().strongest == ORACLE


def test_a_control_that_is_the_attack_itself_is_none() -> None:
    found = victims()
    unchanged = replace(found, arms={**found.arms, UNPERTURBED: found.arms[ATTACK]})
    assert unchanged.strongest == ORACLE


def test_the_kept_page_says_what_shows_and_what_each_defence_leaves() -> None:
    other = replace(victims(guard(excess=MUCH)), method="salun")
    page = matrix_text(matrix(victims(guard()), other))
    assert "| `over-unlearning` | scrub, salun | - | - |" in page
    assert "| `filter` | 0 | 1 | 1 | 0 | 0 | 0 | 1.0 |" in page
    assert "| `scrub` | ● 90 [0, 100] | +80 [+50, +100] | oracle 40 [0, 100] |" in page


def test_false_alarms_are_told_from_the_least_to_the_largest() -> None:
    cells = [cell for cell in matrix(victims(guard(alarms=FEW)), victims(guard(alarms=ALL))).cells() if cell.defence]
    assert span_of_alarms(cells) == "1.0 to 100.0 !"  # the mark: beyond what a threshold is set for
    assert span_of_alarms([]) == ""


def test_it_counts_what_chance_alone_would_show() -> None:
    """One method of 39 shows nothing but behind the defence; what rejects honest requests too is counted nowhere."""
    loud = [victims(guard(), method=f"m{number}") for number in range(37)]
    quiet = victims(guard(excess=MUCH), excess=NOTHING, method="quiet")
    told = by_chance(list(matrix(*loud, quiet, victims(guard(alarms=ALL), excess=NOTHING)).cells()))
    assert "38 of 77 show an effect, where chance alone would show 1.9 if" in told
    assert "where nothing shows without it, 1 of 1 show an effect, where chance alone would show 0.0;" in told


def test_entries_are_plain_numbers_of_every_arm_and_defence() -> None:
    rows = list(entries_of(matrix(victims(guard()))))
    assert [(row["arm"], row["defence"]) for row in rows[:2]] == [(ATTACK, ""), ("no request", "")]
    assert [row["arm"] for row in rows] == [*ARMS, ATTACK]
    assert (rows[0]["value"], rows[0]["low"], rows[0]["high"], rows[0]["shows"]) == (0.9, 0.0, 1.0, True)
    assert (rows[-1]["defence"], rows[-1]["false alarms"], rows[-1]["shows"]) == ("filter", [0.01, 0.0, 0.02], False)


def test_the_heat_map_has_every_cell_once_as_dark_as_it_is_above_the_control() -> None:
    found = matrix(victims(guard()))
    points = heat_map(found, list(found.cells()))["data"]["values"]
    assert [(each["defence"], each["excess"], each["label"]) for each in points] == [
        ("no defence", 0.8, f"{SHOWS} 90"),
        ("filter", 0.1, f"{SHOWS_NOT} 0"),
    ]


def test_the_page_asks_nothing_of_a_network_and_counts_what_shows() -> None:
    page = render(matrix(victims(guard(name="membership"))), "expunge attack matrix digits")
    assert "1 of 2 cells show an effect" in page
    assert "default-src 'none'" in page
    assert 'src="http' not in page


def test_other_records_are_refused() -> None:
    with pytest.raises(UserError, match="no records of attacks of the lab"):
        read_matrix([])

"""What is said of an attack of the lab, by which numbers."""

from dataclasses import astuple

import numpy as np
import pytest

from expunge.attacks import ATTACKS
from expunge.attacks.lab.arms import ARMS, ATTACK, CONTROLS, HONEST, NO_REQUEST, ORACLE, UNPERTURBED, USUAL
from expunge.errors import UserError
from expunge.metrics.over_models import difference_of_shares, difference_of_yes_and_no, share_of_models
from expunge.reports.attacks.findings import ArmFound, Findings, Guard, Victims, read_findings
from expunge.reports.attacks.page import render
from expunge.reports.attacks.tables import guarded
from expunge.reports.attacks.words import answers, in_words, judged, verdict
from expunge.reports.summaries import Interval

NOTHING, MUCH, LITTLE = Interval(0.1, -0.2, 0.4), Interval(0.8, 0.5, 1.0), Interval(0.0, -0.1, 0.1)


def said(reason: str = "", against: str = HONEST, name: str = "malicious-requests", **excess: Interval) -> str:
    names = {"nothing": NO_REQUEST, "honest": HONEST, "unperturbed": UNPERTURBED, "oracle": ORACLE}
    arms = {name: ArmFound(None, None, None, None, {}, reason) for name in ARMS}
    found = Victims("scrub", arms, {names[name]: each for name, each in excess.items()}, {}, None, [], against)
    ((_, words),) = answers(Findings(name, "digits", {}, 10, [found], ""))
    return words


def test_what_cannot_be_told_from_an_honest_request_does_not_show() -> None:
    assert said(honest=NOTHING, unperturbed=MUCH, oracle=MUCH).startswith("does not show")


def test_what_is_above_every_control_works_by_its_change_and_through_the_method() -> None:
    words = said(nothing=MUCH, honest=MUCH, unperturbed=MUCH, oracle=MUCH)
    assert words.startswith("shows")
    assert "by what was changed" in words
    assert "the method is to blame" in words
    assert "not shown" not in words


def test_nothing_is_blamed_that_a_control_does_not_show() -> None:
    words = said(nothing=MUCH, honest=MUCH, unperturbed=NOTHING, oracle=NOTHING)
    assert "no change is shown to be to blame" in words
    assert "the method is not shown to be to blame" in words


def test_victims_that_do_as_well_untouched_are_told_of() -> None:
    assert "asked for nothing do as well" in said(nothing=NOTHING, honest=MUCH, unperturbed=MUCH, oracle=MUCH)


def test_what_asks_what_removal_has_left_is_compared_with_models_that_never_saw_the_records() -> None:
    assert said(against=ORACLE, honest=NOTHING, oracle=MUCH).startswith("shows: more success than models that never")
    assert said(against=ORACLE, honest=MUCH, oracle=NOTHING).startswith(
        "does not show: its success cannot be told from that of models"
    )


def test_the_control_is_that_of_the_attacks_row() -> None:
    assert {name for name, row in ATTACKS.items() if row.success and row.success.against != HONEST} == {"relearning"}
    for row in ATTACKS.values():
        assert not row.success or row.success.against in (HONEST, ORACLE)


def test_what_the_controls_of_an_attack_are_is_said_where_they_are_not_the_usual() -> None:
    for name, row in ATTACKS.items():
        assert row.arms.keys() <= set(CONTROLS)
        assert list(row.controls) == list(CONTROLS)
        if name in ("hidden-poison", "backdoor-by-unlearning"):
            assert "poison without the camouflage" in row.controls[ORACLE]
    assert "at once, by one training" in ATTACKS["slow-down"].controls[ORACLE]
    assert ATTACKS["malicious-requests"].controls == USUAL
    assert "an honest request (others are removed, and the suspects stay)" in said(
        name="pair-membership", honest=NOTHING
    )


def test_an_attack_that_changes_no_bytes_is_not_compared_with_itself() -> None:
    words = said(name="pair-membership", nothing=MUCH, honest=MUCH, unperturbed=NOTHING, oracle=MUCH)
    assert "unperturbed" not in words
    assert "the method is to blame" in words


def test_the_page_tells_what_each_control_is() -> None:
    arms = {name: ArmFound(MUCH, MUCH, 0.1, 0.1, {"shift": Interval(-0.5, -1, 0)}) for name in ARMS}
    found = Victims("scrub", arms, {HONEST: NOTHING}, {}, None, [])
    for name in ("slow-down", "pair-membership", "hidden-poison"):
        page = render(Findings(name, "digits", {}, 10, [found], ""), "")
        for control, what in ATTACKS[name].controls.items():
            assert f"<dt>{control}</dt><dd>{what}</dd>".replace("'", "&#39;") in page
        assert '<span class="more">shift −0.50 [−1.00, 0.00]</span>' in page


@pytest.mark.parametrize(("name", "whole"), [("fairness-harm", True), ("pair-membership", False)])
def test_a_filter_that_holds_back_whole_requests_is_told_of(name: str, whole: bool) -> None:
    guards = [Guard(each, None, None, None, None, None, None) for each in ("membership", "class-gradients")]
    found = Findings(name, "digits", {}, 10, [Victims("scrub", {}, {}, {}, None, guards)], "")
    assert ("Here class-gradients holds back whole requests." in guarded(found)) == whole


@pytest.mark.parametrize(
    ("shows", "left", "taken", "said"),
    [
        (MUCH, LITTLE, MUCH, "stops"),
        (MUCH, NOTHING, MUCH, "stops in part"),  # what is left may be more than half
        (MUCH, MUCH, MUCH, "stops in part"),
        (MUCH, MUCH, NOTHING, "does not stop"),
        (MUCH, NOTHING, NOTHING, "cannot be told"),
        (NOTHING, NOTHING, NOTHING, "nothing to stop"),
    ],
)
def test_a_defence_is_judged_by_intervals(shows: Interval, left: Interval, taken: Interval, said: str) -> None:
    guard = Guard("membership", None, None, None, MUCH, None, None, excess=left, taken=taken)
    assert judged(guard, Victims("scrub", {}, {HONEST: shows}, {}, None, [guard])) == said


def of_counts(attack: int, control: int, victims: int, against: str = HONEST) -> str:
    """What is said where the attack succeeds on so many victims, and the control on so many."""
    yes = [np.arange(victims) < count for count in (attack, control)]
    level = dict(zip((ATTACK, against), (Interval(*astuple(share_of_models(each))) for each in yes), strict=True))
    over = (difference_of_yes_and_no if against == HONEST else difference_of_shares)(*yes)
    arms = {name: ArmFound(level.get(name), None, None, None, {}) for name in ARMS}
    found = Victims("scrub", arms, {against: Interval(*astuple(over))}, {}, None, [], against)
    return in_words(found, {}, victims)


def test_too_few_victims_are_told_of_with_how_many_it_takes() -> None:
    assert "3 victims show no difference, however large; give 4 or more" in of_counts(3, 0, 3)
    assert of_counts(4, 0, 4).startswith("shows")
    assert "a difference as large as that takes 14 victims to show, not 10" in of_counts(3, 0, 10)
    assert "warning" not in of_counts(0, 0, 3)
    assert of_counts(6, 0, 6, ORACLE).startswith("shows")


def test_what_must_be_read_beside_a_success_is_said() -> None:
    found = Victims("scrub", {}, {ORACLE: MUCH}, {}, None, [], ORACLE, "nothing had been forgotten: all know it")
    assert in_words(found, {}, 10).endswith("; nothing had been forgotten: all know it")
    assert verdict(True, found.note) == "shows; nothing had been forgotten"


def test_a_failure_is_why_nothing_can_be_told() -> None:
    assert said(reason="diverged") == "cannot be told: attack: diverged"


def test_other_records_are_refused() -> None:
    with pytest.raises(UserError, match="no records of an attack of the lab"):
        read_findings([])

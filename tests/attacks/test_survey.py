"""The taxonomy names what there is, reaches every attack, and says where an attack is not what the survey has."""

import pytest

from expunge.attacks import ATTACKS, DEFENCES
from expunge.attacks.lab.practised import why_not
from expunge.attacks.survey import FAMILIES, SURVEY, THREATS
from expunge.attacks.threat import Threat
from expunge.methods.references import REFERENCES

# The works of table I, by their numbers in the survey's list of references.
TABLE = {55, 66, 67, 51, 10, 90, 70, 71, 72, 50, 74, 91, 52, 60, 77, 81, 80, 82, 85, 88}


def test_every_attack_is_reached() -> None:
    assert {name for row in THREATS.values() for name in row.attacks} == set(ATTACKS)


def test_every_work_of_the_surveys_table_has_its_row() -> None:
    numbers = [row.number for row in THREATS.values() if row.number]
    assert sorted(numbers) == sorted([*TABLE, 91])  # which stands there twice
    assert all((row.number is None) == (row.family == "beyond") for row in THREATS.values())
    assert all(row.axes.split() and len(row.axes.split()) == 4 for row in THREATS.values() if row.number)


@pytest.mark.parametrize("name", list(THREATS))
def test_what_a_row_names_is_there(name: str) -> None:
    row = THREATS[name]
    assert row.family in FAMILIES
    assert {row.work, SURVEY} <= REFERENCES.keys()
    assert set(row.attacks) <= ATTACKS.keys()
    assert set(row.defences) <= DEFENCES.keys()
    assert not [each for attack in row.attacks for each in row.defences if why_not(ATTACKS[attack], DEFENCES[each])]
    assert all(any(run.startswith(attack) for attack in row.attacks) for run in row.plays)


@pytest.mark.parametrize("name", list(THREATS))
def test_what_is_not_here_says_so(name: str) -> None:
    row = THREATS[name]
    assert bool(row.attacks) != row.here.startswith("not here: ")
    assert row.attacks or not row.defences


def strange(row: Threat) -> set[str]:
    """The axes on which some attack of a row is not what the row says."""
    found = set()
    for each in (ATTACKS[name] for name in row.attacks):
        agreed = {
            "roles": each.roles == row.on("R"),
            "goal": each.goal in row.on("G"),
            "knowledge": each.knowledge in row.on("K"),
            "phases": each.phases == row.on("P"),
        }
        found |= {axis for axis, same in agreed.items() if not same}
    return found


@pytest.mark.parametrize("name", [name for name, row in THREATS.items() if row.attacks])
def test_an_axis_agrees_with_the_attacks_own_or_the_difference_is_said(name: str) -> None:
    row = THREATS[name]
    assert strange(row) == set(row.differs)
    assert all(row.differs.values())


def test_an_attack_that_a_survey_knows_cites_its_work() -> None:
    for row in THREATS.values():
        for name in row.attacks:
            assert row.work in ATTACKS[name].cite or name == "fairness-harm"  # that is of ours, cited as the survey's

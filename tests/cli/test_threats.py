"""``expunge threats``: every row on 80 columns, all of one by name, JSON, and the nearest name."""

import json

import pytest

from expunge.attacks import ATTACKS
from expunge.attacks.survey import FAMILIES, THREATS
from expunge.methods.references import REFERENCES
from expunge.terminal import out
from tests.cli.commands import refused, run


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_all_threats_stand_in_tables_that_fit() -> None:
    told = run("threats").stdout
    assert max(map(len, told.splitlines())) <= 80
    assert "row by row" not in told
    for name, row in THREATS.items():
        (line,) = [each for each in told.splitlines() if each.startswith(f"{name} ")]
        assert row.axes in line
        assert f"\n{REFERENCES[row.work].short.partition(',')[0]} " in told
    for name in ATTACKS:
        assert f"expunge attack {name}" in told
    assert "not measured yet" not in told
    assert "R1 contributor" in told


def test_no_command_is_cut_short_on_a_narrow_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(out, "_width", 60)  # which it reads when it is made
    told = run("threats").stdout
    assert "…" not in told
    assert all(name in told for name in ATTACKS)  # nor broken inside a word


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_family_is_told_in_full(family: str) -> None:
    told = run("threats", family).stdout
    assert max(map(len, told.splitlines())) <= 80
    named = [line.split()[1] for line in told.splitlines() if line.startswith("threat ")]
    assert named == [name for name, row in THREATS.items() if row.family == family]


@pytest.mark.parametrize("name", list(THREATS))
def test_all_of_a_threat_is_told_by_its_name(name: str) -> None:
    row, told = THREATS[name], " ".join(run("threats", name).stdout.split())
    assert row.technique in told
    assert row.here in told
    assert all(why in told for why in row.differs.values())
    assert all(f"run expunge attack {run}" in told for run in row.plays if run in row.attacks)
    assert all(defence in told for defence in row.defences)
    assert ("measured" in told) == bool(row.attacks)


def test_an_attack_names_the_threats_that_it_plays() -> None:
    found = json.loads(run("threats", "malicious-requests", "--json").stdout)
    assert [each["name"] for each in found] == ["static-and-sequential", "perturbed-data"]


def test_json_has_all_rows_with_what_was_measured() -> None:
    found = json.loads(run("threats", "--json").stdout)
    assert [each["name"] for each in found] == list(THREATS)
    for each in found:
        assert {"family", "source", "technique", "commands", "defences", "here"} <= each.keys()
        assert ("who" in each) == bool(each["axes"])
        assert bool(each["measured"]) == bool(each["attacks"])


def test_a_wrong_name_is_one_line_with_the_nearest() -> None:
    line = refused(run("threats", "hiden-poison"))
    assert line == "expunge: unknown family, threat or attack 'hiden-poison'; did you mean 'hidden-poison'?"
    assert "that `expunge threats` shows" in refused(run("threats", "zzz"))


def test_help_has_an_example() -> None:
    assert "Example: expunge threats preconditioned" in run("threats", "--help").stdout

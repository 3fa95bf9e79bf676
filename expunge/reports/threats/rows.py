"""What is told of a threat: its place in the survey, the commands that play it, what they found, who can look at it."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from expunge.attacks import ATTACKS
from expunge.attacks.attack import Success
from expunge.attacks.lab.arms import ATTACK, HONEST, ORACLE
from expunge.attacks.survey import FAMILIES, SURVEY, THREATS
from expunge.attacks.threat import LETTERS, Threat
from expunge.errors import UnknownName, suggestion
from expunge.methods.references import REFERENCES
from expunge.reports.attacks import words
from expunge.reports.attacks.tables import number
from expunge.reports.threats.results import Result, read_results

CONTROLS = {HONEST: "an honest request", ORACLE: "models that never saw the records"}


def chosen(name: str | None) -> dict[str, Threat]:
    """The threats of a family, of this name, or that an attack plays; all without a name."""
    if name is None:
        return dict(THREATS)
    if name in FAMILIES:
        return {key: row for key, row in THREATS.items() if row.family == name}
    if name in THREATS:
        return {name: THREATS[name]}
    if name in ATTACKS:
        return {key: row for key, row in THREATS.items() if name in row.attacks}
    choices = dict.fromkeys([*FAMILIES, *THREATS, *ATTACKS])
    raise UnknownName(
        f"unknown family, threat or attack {name!r}; {suggestion(name, choices, '`expunge threats` shows')}"
    )


def source(row: Threat) -> str:
    """The works, and where the survey has them."""
    work = "; ".join(REFERENCES[key].short for key in row.works)
    place = f"[{row.number}] in table I of" if row.number else "not in table I of"
    return f"{work}; {place} {REFERENCES[SURVEY].short}"


def axes(row: Threat) -> dict[str, Sequence[str]]:
    """Who, what for, what is known, and when; without those that nobody placed."""
    found = {name: row.on(letter) for name, letter in zip(("who", "goal", "knows", "when"), LETTERS, strict=True)}
    return {name: values for name, values in found.items() if values}


def runs_of(row: Threat, results: Sequence[Result]) -> list[Result]:
    """What was measured of a threat, run by run."""
    return [each for each in results if each.attack in row.attacks]


def main_runs(row: Threat, results: Sequence[Result]) -> list[Result]:
    """Those of the commands that play it."""
    return [each for run in row.plays for each in results if each.run == run]


def commands(row: Threat, results: Sequence[Result]) -> list[str]:
    """What plays a threat here."""
    return list(dict.fromkeys(each.command for each in main_runs(row, results)))


def verdict(found: Result) -> str:
    """Whether an attack shows, in short."""
    said = words.verdict(found.shows, found.note)
    return f"{said} ({found.reason})" if found.shows is None and found.reason else said


def successes(found: Result) -> str:
    """The success of an attack beside that of its control."""
    written = [success_of(found, name) for name in (ATTACK, found.against)]
    return f"{written[0]} beside {written[1]} after {CONTROLS[found.against]}"


def success_of(found: Result, arm: str) -> str:
    """The success of one arm, with its interval."""
    told = number(found.arms.get(arm), Success(found.what, share=found.share), found.models)
    return f"{told} %" if found.share and arm in found.arms else told


def in_words(found: Result) -> str:
    """One result in a line."""
    return f"{found.method}, {found.models} victims of {found.suite}: {verdict(found)}, {successes(found)}"


def facts(name: str, row: Threat) -> dict[str, Any]:
    """All that is known of a threat, as JSON can hold it."""
    return {
        "name": name,
        **asdict(row),
        **axes(row),
        "source": source(row),
        "commands": commands(row, read_results()),
        "measured": [asdict(each) for each in runs_of(row, read_results())],
    }

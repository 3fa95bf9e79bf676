"""The matrix attack x method x defence as its records have it, cell by cell, and what each cell shows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from expunge.attacks.attack_folder import NAME
from expunge.attacks.lab.arms import ATTACK, CONTROLS
from expunge.errors import UserError
from expunge.records import Score
from expunge.reports.attacks import words
from expunge.reports.attacks.findings import Findings, Guard, Victims, read_findings
from expunge.reports.summaries import Interval
from expunge.reports.tables import formats

SHOWS, SHOWS_NOT, NO_FILTER, UNTOLD = "●", "○", "×", "–"
MARKS = {
    SHOWS: f"{words.SHOWS}: more success than the control, and the interval of the difference lies above 0",
    SHOWS_NOT: f"{words.SHOWS_NOT}: it cannot be told from the control, or is below it",
    NO_FILTER: f"{words.NO_FILTER}: it catches something, but no larger a share of attackers' requests than of "
    "honest ones",
    UNTOLD: f"{words.UNTOLD}: no number, for a reason that is said",
}
VERDICTS = (words.STOPS, words.IN_PART, words.STOPS_NOT, words.UNTOLD, words.NO_FILTER)  # on attacks that show

BY_CHANCE = 1 / 40  # of cells without any effect: where an interval of 95 % lies above a true difference of 0


@dataclass(frozen=True)
class Cell:
    """An attack on a method, under a defence or, where that is "", with nobody looking.

    ``success`` is what is left of it, ``excess`` that less the success of the control that the attack is compared with,
    ``utility`` the test accuracy; ``seconds`` of the method for a victim, or of the defence for a request.
    """

    attack: str
    method: str
    defence: str
    success: Interval | None
    excess: Interval | None
    utility: Interval | None
    caught: Interval | None
    alarms: Interval | None
    cost: float | None  # of the attack's request to the provider, in shares of a retraining
    seconds: float | None
    mark: str
    reason: str
    verdict: str = ""  # what a defence does to the attack


@dataclass(frozen=True)
class Matrix:
    """All attacks of a matrix, each with what it came to."""

    attacks: Sequence[Findings]

    @property
    def suite(self) -> str:
        return self.attacks[0].suite

    @property
    def hardware(self) -> str:
        return self.attacks[0].hardware

    @property
    def methods(self) -> list[str]:
        """All methods, in the order of the records."""
        return list(dict.fromkeys(each.method for found in self.attacks for each in found.victims))

    @property
    def defences(self) -> list[str]:
        """All defences, in the order of the records."""
        guards = [guard.name for found in self.attacks for each in found.victims for guard in each.guards]
        return list(dict.fromkeys(guards))

    def cells(self) -> Iterator[Cell]:
        """All cells, attack by attack, method by method, without a defence first."""
        for found in self.attacks:
            for victims in found.victims:
                yield undefended(found.name, victims)
                guards = {guard.name: guard for guard in victims.guards}
                yield from (defended(found.name, victims, name, guards.get(name)) for name in self.defences)


def is_matrix(scores: Sequence[Score]) -> bool:
    """Whether these are records of more than one attack of the lab."""
    return len({score.subject.config.get(NAME) for score in scores} - {None}) > 1


def read_matrix(scores: Sequence[Score]) -> Matrix:
    """The matrix of the records that ``expunge attack matrix`` wrote."""
    names = dict.fromkeys(score.subject.config.get(NAME) for score in scores)
    found = [
        read_findings([score for score in scores if score.subject.config.get(NAME) == name]) for name in names if name
    ]
    if not found:
        raise UserError("these are no records of attacks of the lab; make some with `expunge attack matrix SUITE`")
    return Matrix(found)


def undefended(attack: str, victims: Victims) -> Cell:
    """An attack on a method, of which nobody looks at the requests."""
    arm, excess = victims.arms[ATTACK], victims.excess.get(victims.against)
    why = arm.reason or next((each.reason for each in victims.arms.values() if each.reason), "")
    mark = _mark(victims.shows, arm.success)
    return Cell(
        attack,
        victims.method,
        "",
        arm.success,
        excess,
        arm.utility,
        None,
        None,
        arm.cost,
        arm.seconds,
        mark,
        why,
    )


def defended(attack: str, victims: Victims, name: str, guard: Guard | None) -> Cell:
    """What is left of an attack on a method under a defence."""
    if guard is None:
        why = victims.arms[ATTACK].reason or "nothing was recorded of it"
        return Cell(attack, victims.method, name, None, None, None, None, None, None, None, UNTOLD, why)
    mark = NO_FILTER if guard.is_no_filter else _mark(guard.shows, guard.success)
    return Cell(
        attack,
        victims.method,
        name,
        guard.success,
        guard.excess,
        guard.utility,
        guard.caught,
        guard.alarms,
        None if guard.cost is None else guard.cost.value,
        guard.seconds,
        mark,
        guard.reason,
        words.judged(guard, victims),
    )


def _mark(shows: bool | None, success: Interval | None) -> str:
    if success is None or shows is None:
        return UNTOLD
    return SHOWS if shows else SHOWS_NOT


def by_chance(cells: Sequence[Cell]) -> str:
    """How many cells show, and how many would if nothing had any effect; so of cells behind a defence where nothing
    shows without it."""
    told = [cell for cell in cells if cell.mark in (SHOWS, SHOWS_NOT)]
    idle = {(cell.attack, cell.method) for cell in told if not cell.defence and cell.mark == SHOWS_NOT}
    behind = [cell for cell in told if cell.defence and (cell.attack, cell.method) in idle]
    said = f"Nothing is corrected for the number of cells: {_expected(told)} if there were no effect in any"
    if behind:
        said += f". Of those behind a defence where nothing shows without it, {_expected(behind)}"
    return f"{said}; cells share victims, so such chances come in groups."


def _expected(cells: Sequence[Cell]) -> str:
    shown = sum(cell.mark == SHOWS for cell in cells)
    return f"{shown} of {len(cells)} show an effect, where chance alone would show {len(cells) * BY_CHANCE:.1f}"


def span_of_alarms(cells: Sequence[Cell], between: str = " to ") -> str:
    """The least and the largest share of honest requests that a defence suspects in these cells, in per cent, with a
    mark where any are too many; "" where it suspects nobody."""
    known = sorted((cell.alarms for cell in cells if cell.alarms), key=lambda each: each.value)
    ends = list(dict.fromkeys(formats.percent(each.value) for each in known[:1] + known[-1:]))
    mark = next(filter(None, map(words.too_many, known)), "")
    return between.join(ends) + mark


def reasons_of(cells: Sequence[Cell]) -> list[str]:
    """Why some cells of an attack have no number: each reason once, behind the methods or defences that it is of."""
    failed = {cell.method for cell in cells if cell.reason and not cell.defence}
    of: dict[str, dict[str, None]] = {}
    for cell in cells:
        if cell.reason and (not cell.defence or cell.method not in failed):
            of.setdefault(cell.reason, {})[cell.defence or cell.method] = None
    return [f"{UNTOLD} {', '.join(names)}: {why}" for why, names in of.items()]


def unusual_controls(found: Findings) -> list[str]:
    """What controls of an attack are, in words, where they are not the usual ones."""
    return [f"{name}: {what}" for name, what in found.row.arms.items()]


def entries_of(found: Matrix) -> Iterator[dict[str, Any]]:
    """Rows of plain numbers: each arm of each attack on each method, then what each defence leaves of the attack.

    ``value``, ``low`` and ``high`` are of success; ``excess`` is the attack's over the arm or, of the attack itself and
    of what a defence leaves, that over the control by which ``shows`` is decided.
    """
    for findings in found.attacks:
        for victims in findings.victims:
            cells = [cell for cell in found.cells() if (cell.attack, cell.method) == (findings.name, victims.method)]
            settings = {**findings.facts, **{f"method.{key}": each for key, each in victims.settings.items()}}
            yield {**_entry(cells[0], findings), "against": victims.against, "settings": settings}
            for name in CONTROLS:
                yield _control(findings, victims, name)
            yield from ({**_entry(cell, findings), "against": victims.against} for cell in cells[1:])


def _control(findings: Findings, victims: Victims, name: str) -> dict[str, Any]:
    arm = victims.arms[name]
    return {
        "attack": findings.name,
        "method": victims.method,
        "arm": name,
        "defence": "",
        "models": findings.models,
        **_ends(arm.success),
        "excess": _listed(victims.excess.get(name)),
        "accuracy": _listed(arm.utility),
        "cost": arm.cost,
        "reason": arm.reason,
    }


def _entry(cell: Cell, findings: Findings) -> dict[str, Any]:
    return {
        "attack": cell.attack,
        "method": cell.method,
        "arm": ATTACK,
        "defence": cell.defence,
        "models": findings.models,
        **_ends(cell.success),
        "excess": _listed(cell.excess),
        "shows": {SHOWS: True, SHOWS_NOT: False}.get(cell.mark),
        "verdict": cell.verdict,
        "accuracy": _listed(cell.utility),
        "caught": _listed(cell.caught),
        "false alarms": _listed(cell.alarms),
        "cost": cell.cost,
        "seconds": cell.seconds,
        "reason": cell.reason,
    }


def _ends(cell: Interval | None) -> dict[str, float | None]:
    return dict(zip(("value", "low", "high"), _listed(cell) or (None, None, None), strict=True))


def _listed(cell: Interval | None) -> list[float | None] | None:
    return None if cell is None else [cell.value, cell.low, cell.high]

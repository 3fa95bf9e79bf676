"""A matrix as it is kept: its numbers as JSON, and a page in Markdown that says what they show."""

from collections.abc import Sequence
from pathlib import Path

from expunge.attacks.lab.arms import ATTACK, CONTROLS
from expunge.bench.folder import SCORES
from expunge.files import write_file
from expunge.records import read_scores
from expunge.reports.attacks import words
from expunge.reports.attacks.findings import Findings, Victims
from expunge.reports.attacks.matrix import (
    MARKS,
    SHOWS,
    SHOWS_NOT,
    UNTOLD,
    VERDICTS,
    Cell,
    Matrix,
    by_chance,
    entries_of,
    read_matrix,
    reasons_of,
    span_of_alarms,
    unusual_controls,
)
from expunge.reports.attacks.tables import SHARE, number, over
from expunge.reports.studies.entries import write_entries
from expunge.reports.studies.markdown import code, grid
from expunge.reports.tables import formats

INTRODUCTION = """\
# Attack x method x defence

Made by `runs/attack_matrix.sh`. Success in per cent, [95 % interval over victims]; each victim is a world of its own,
with an attacker of its own. Behind a defence stands what it leaves of the attack.

{marks}
"""
LEGEND = """\
Controls: {controls}, on the same victims; the strongest is named. The control that an attack is compared with is named
in its title. {attacks}
{defences}
{counts} {chance}
Cost: the provider's for the attacker's request, in shares of a retraining.
"""


def keep_matrix(out: Path, results: Path) -> list[Path]:
    """Write ``matrix.json`` and ``matrix.md`` into ``results`` from the records in ``out``; their paths."""
    found = read_matrix(read_scores(out / SCORES))
    numbers, page = results / "matrix.json", results / "matrix.md"
    results.mkdir(parents=True, exist_ok=True)
    write_entries(numbers, list(entries_of(found)), max(each.models for each in found.attacks))
    write_file(page, matrix_text(found))
    return [numbers, page]


def matrix_text(found: Matrix) -> str:
    """The page."""
    cells = list(found.cells())
    marks = "\n".join(f"- {mark} {words}" for mark, words in MARKS.items())
    parts = [INTRODUCTION.format(marks=marks), _says(found, cells)]
    parts += [_attack(found, each, [cell for cell in cells if cell.attack == each.name]) for each in found.attacks]
    return "\n".join([*parts, _legend(cells)])


def _legend(cells: Sequence[Cell]) -> str:
    return LEGEND.format(
        controls=", ".join(CONTROLS),
        attacks=words.OF_ATTACKS,
        defences=words.OF_DEFENCES,
        counts=words.COUNTS,
        chance=by_chance(cells),
    )


def _says(found: Matrix, cells: Sequence[Cell]) -> str:
    """What shows and what does not, attack by attack and defence by defence."""
    attacks = [
        [
            code(each.name),
            _named([c.method for c in cells if (c.attack, c.defence, c.mark) == (each.name, "", SHOWS)]),
            _named([c.method for c in cells if (c.attack, c.defence, c.mark) == (each.name, "", SHOWS_NOT)]),
            _named([c.method for c in cells if (c.attack, c.defence, c.mark) == (each.name, "", UNTOLD)]),
        ]
        for each in found.attacks
    ]
    shown = {(cell.attack, cell.method) for cell in cells if not cell.defence and cell.mark == SHOWS}
    defences = [[code(name), *_stopped(name, shown, cells)] for name in found.defences]
    heads = [f"{words.SHOWS} against", f"{words.SHOWS_NOT} against", words.UNTOLD]
    text = "## What shows\n\n" + grid(["attack", *heads], attacks)
    if not defences:
        return text + "\n"
    head = ["defence", f"of {len(shown)} that show: {VERDICTS[0]}", *VERDICTS[1:], "no number", "false alarms, %"]
    return f"{text}\n\n{grid(head, defences)}\n"


def _stopped(name: str, shown: set[tuple[str, str]], cells: Sequence[Cell]) -> list[str]:
    """What a defence does to the attacks that show, and how many honest requests it suspects."""
    own = [cell for cell in cells if cell.defence == name]
    said = [cell.verdict for cell in own if (cell.attack, cell.method) in shown]
    return [*(str(said.count(each)) for each in (*VERDICTS, "")), span_of_alarms(own) or "-"]


def _named(names: Sequence[str]) -> str:
    return ", ".join(names) or "-"


HEAD = ("method", "success", "over the control", "strongest control", "accuracy lost", "cost")


def _attack(matrix: Matrix, found: Findings, cells: Sequence[Cell]) -> str:
    lines = []
    for victims in found.victims:
        bare, *looked_at = [cell for cell in cells if cell.method == victims.method]
        lost = formats.signed(formats.value(victims.lost.get(ATTACK))).removeprefix("+")
        told = [code(victims.method), _marked(found, bare), over(bare.excess, found.success) or UNTOLD]
        told += [_strongest(found, victims), lost, formats.compute(bare.cost)]
        lines.append([*told, *(_left(found, cell) for cell in looked_at)])
    title = f"## {found.name}, {found.models} victims, beside {found.success.against}"
    beneath = [f"- {line}" for line in [*unusual_controls(found), *reasons_of(cells)]]
    table = grid([*HEAD, *matrix.defences], lines)
    return "\n".join(
        [title, "", f"Success: {found.success.what}.", "", table, "", *beneath, *([""] if beneath else [])]
    )


def _marked(found: Findings, cell: Cell) -> str:
    return cell.mark if cell.success is None else f"{cell.mark} {number(cell.success, found.success, found.models)}"


def _left(found: Findings, cell: Cell) -> str:
    caught = "" if cell.caught is None else f"; caught {number(cell.caught, SHARE).partition(' ')[0]}"
    mark = words.too_many(cell.alarms)
    alarms = "" if cell.alarms is None else f", alarms {formats.percent(cell.alarms.value)}{mark}"
    verdict = f"; {cell.verdict}" if cell.verdict and cell.verdict != words.IDLE else ""
    return f"{_marked(found, cell)}{verdict}{caught}{alarms}"


def _strongest(found: Findings, victims: Victims) -> str:
    name = victims.strongest
    return f"{name} {number(victims.arms[name].success, found.success, found.models)}" if name else UNTOLD

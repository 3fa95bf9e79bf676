"""What defences do to attacks, run by run: the page ``results/attacks/defences.md``, of the records beside it."""

from collections.abc import Sequence
from pathlib import Path

from expunge.attacks import ATTACKS
from expunge.attacks.lab.arms import ATTACK
from expunge.files import write_file
from expunge.reports.attacks.findings import Findings, Guard, Victims, read_findings
from expunge.reports.attacks.tables import SHARE, alarms_of, in_unit, number, over
from expunge.reports.attacks.words import COUNTS, IN_PART, OF_ATTACKS, OF_DEFENCES, STOPS, judged, too_many, verdict
from expunge.reports.leaderboard.records import read_kept
from expunge.reports.studies.markdown import code, escaped, grid
from expunge.reports.tables import formats
from expunge.reports.threats.results import KEPT, command_of

FOLDER = "attacks-defended"  # of the records, below results
PAGE = "defences.md"
HEAD = """\
# What defences do to attacks

Made by `runs/attack_defences.sh` of the records in `results/{folder}`, with 95 % intervals over victims. The
command stands over each table; defences that do not apply to an attack are named below it.

- {attacks}
- {defences}
- {counts}
"""


def write_defences(results: Path) -> Path | None:
    """Write the page of the records below ``results``; its path, None where there are none."""
    found = [read_findings(read_kept(file)) for file in (results.parent / FOLDER).glob(f"*{KEPT}")]
    if not found:
        return None
    write_file(results / PAGE, defences_text(found))
    return results / PAGE


def defences_text(found: Sequence[Findings]) -> str:
    """The page: a section for each attack, in the order of ATTACKS, a table for each method."""
    order = list(ATTACKS)
    ordered = sorted(found, key=lambda each: order.index(each.name))
    head = HEAD.format(folder=FOLDER, attacks=OF_ATTACKS, defences=OF_DEFENCES, counts=COUNTS)
    parts = [head, _summary(ordered), ""]
    return "\n".join([*parts, *(_section(each, victims) for each in ordered for victims in each.victims)])


def _summary(found: Sequence[Findings]) -> str:
    """Who stops what: a line for each attack and method, a mark behind defences of too many false alarms."""
    lines = []
    for name, victims in ((each.name, victims) for each in found for victims in each.victims):
        judgements: dict[str, list[str]] = {}
        for guard in victims.guards:
            judgements.setdefault(judged(guard, victims), []).append(f"{guard.name}{too_many(guard.alarms)}")
        if victims.shows:
            told = [", ".join(judgements.get(word, [])) or "-" for word in (STOPS, IN_PART)]
            lines.append([code(name), victims.method, *told])
    return grid(["attack that shows", "on", STOPS, IN_PART], lines)


def _section(found: Findings, victims: Victims) -> str:
    applied = [each for each in victims.guards if each.success is not None]
    success = number(victims.arms[ATTACK].success, found.success, found.models)
    control = number(victims.arms[victims.against].success, found.success, found.models)
    said = verdict(victims.shows, victims.note)
    without = f"Without a defence it {said}: {success} beside {control} ({victims.against})."
    lines = [
        f"## {found.name} on {victims.method}, {found.models} victims of {found.suite}",
        "",
        f"    {command_of(found)} --defence all",
        "",
        str(escaped(f"Success: {found.success.what}. {without}")),
        "",
        grid(_head(found, victims), [_line(found, victims, each) for each in applied]),
        "",
    ]
    return "\n".join([*lines, *_beneath(victims)])


def _head(found: Findings, victims: Victims) -> list[str]:
    left = f"{in_unit(found.success).replace('success', 'success left')}"
    return ["defence", "AUROC, %", "caught, %", "false alarms, %", left, f"over {victims.against}", "cost", "verdict"]


def _line(found: Findings, victims: Victims, guard: Guard) -> list[str]:
    return [
        code(guard.name),
        number(guard.auroc, SHARE),
        number(guard.caught, SHARE, found.models),
        alarms_of(guard.alarms),
        number(guard.success, found.success, found.models),
        over(guard.excess, found.success),
        formats.compute(formats.value(guard.cost)),
        judged(guard, victims),
    ]


def _beneath(victims: Victims) -> list[str]:
    """Why defences have no line, each reason once."""
    lacking = [each for each in victims.guards if each.success is None]
    reasons = dict.fromkeys(each.reason for each in lacking)
    told = [f"- {', '.join(each.name for each in lacking if each.reason == why)}: {escaped(why)}" for why in reasons]
    return [*told, ""] if told else []

"""The page of an attack of the lab: one file that opens without a network."""

from pathlib import Path

from expunge.attacks.defences import DEFENCES
from expunge.bench.folder import SCORES
from expunge.records import read_scores
from expunge.reports.attacks.findings import Findings, Victims, read_findings
from expunge.reports.attacks.tables import (
    COST,
    LEGEND,
    OF_COUNTS,
    PLAIN,
    SHARE,
    accuracy,
    alarms_of,
    guarded,
    has_counts,
    in_unit,
    left_of,
    less_told,
    number,
    over,
)
from expunge.reports.attacks.words import OF_ATTACKS, answers, judged
from expunge.reports.page.attack_folder import read_attack
from expunge.reports.page.html import template, write_page
from expunge.reports.tables import formats


def report_attack(folder: Path | str, command: str = "") -> Path:
    """Write ``report.html`` from the records of ``folder``; its path.

    The ``command`` that made them is kept beside them, and read where it is not given.
    """
    place = Path(folder)
    found, command = read_attack(place, "NAME SUITE", lambda _: read_findings(read_scores(place / SCORES)), command)
    target = place / "report.html"
    write_page(target, render(found, command))
    return target


def render(found: Findings, command: str) -> str:
    """The page as text."""
    view = {
        "found": found,
        "row": found.row,
        "victims": [(each.method, _lines(found, each), _guards(found, each)) for each in found.victims],
        "guarded": guarded(found),
        "against": found.success.against,
        "answers": answers(found),
        "legend": " ".join([LEGEND, *([OF_COUNTS] if has_counts(found) else []), OF_ATTACKS]),
        "cost": COST,
        "success": in_unit(found.success),
        "controls": found.row.controls,
        "command": command,
        "facts": sorted(found.facts.items()),
    }
    return template("attack.html.j2", "expunge.reports.attacks").render(view)


def _guards(found: Findings, victims: Victims) -> list[dict[str, str]]:
    """The cells of the table of defences."""
    return [
        {
            "name": each.name,
            "reason": each.reason,
            "summary": DEFENCES[each.name].summary if each.name in DEFENCES else "",
            "auroc": number(each.auroc, SHARE),
            "caught": number(each.caught, SHARE, found.models),
            "alarms": alarms_of(each.alarms),
            "success": left_of(each, found.success, found.models),
            "verdict": judged(each, victims),
            "over": over(each.excess, found.success),
            "accuracy": accuracy(each.utility),
            "cost": formats.compute(formats.value(each.cost)),
            "seconds": formats.seconds(each.seconds),
            "told": less_told(each),
        }
        for each in victims.guards
    ]


def _lines(found: Findings, victims: Victims) -> list[dict[str, str | list[str]]]:
    """The cells of one method's table."""
    return [
        {
            "arm": name,
            "reason": arm.reason,
            "success": number(arm.success, found.success, found.models),
            "over": over(victims.excess.get(name), found.success),
            "accuracy": accuracy(arm.utility),
            "cost": formats.compute(arm.cost),
            "seconds": formats.seconds(arm.seconds),
            "more": [f"{key} {number(cell, PLAIN)}" for key, cell in arm.more.items()],
        }
        for name, arm in victims.arms.items()
    ]

"""The page of a matrix of attacks: a heat map and tables, one file that opens without a network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2.utils import htmlsafe_json_dumps

from expunge.attacks.defences import DEFENCES
from expunge.attacks.lab.arms import CONTROLS
from expunge.bench.folder import SCORES
from expunge.records import read_scores
from expunge.reports.attacks.findings import Findings, Victims
from expunge.reports.attacks.matrix import (
    MARKS,
    SHOWS,
    UNTOLD,
    Cell,
    Matrix,
    by_chance,
    read_matrix,
    span_of_alarms,
    unusual_controls,
)
from expunge.reports.attacks.tables import SHARE, accuracy, number, over
from expunge.reports.attacks.words import COUNTS, OF_ATTACKS, OF_DEFENCES, too_many
from expunge.reports.page.attack_folder import read_attack
from expunge.reports.page.html import libraries, template, write_page
from expunge.reports.tables import formats

Spec = dict[str, Any]
NOBODY = "no defence"
PAGE = "index.html"


def report_matrix(folder: Path | str, command: str = "") -> Path:
    """Write ``index.html`` from the records of ``folder``; its path.

    The ``command`` that made them is kept beside them, and read where it is not given.
    """
    place = Path(folder)
    found, command = read_attack(place, "matrix SUITE", lambda _: read_matrix(read_scores(place / SCORES)), command)
    target = place / PAGE
    write_page(target, render(found, command))
    return target


def render(found: Matrix, command: str) -> str:
    """The page as text."""
    cells = list(found.cells())
    view = {
        "found": found,
        "marks": MARKS,
        "words": f"{OF_ATTACKS} {OF_DEFENCES} {COUNTS}",
        "chance": by_chance(cells),
        "shown": sum(cell.mark == SHOWS for cell in cells),
        "cells": sum(cell.success is not None for cell in cells),
        "attacks": [
            _attack(found, each, [cell for cell in cells if cell.attack == each.name]) for each in found.attacks
        ],
        "defences": [(name, DEFENCES[name].summary, DEFENCES[name].price) for name in found.defences],
        "command": command,
        "untold": UNTOLD,
    }
    data = htmlsafe_json_dumps({"plots": {"heat": heat_map(found, cells)}}, allow_nan=False, separators=(",", ":"))
    return template("matrix.html.j2", "expunge.reports.attacks").render(view, data=data, libraries=libraries())


def heat_map(found: Matrix, cells: Sequence[Cell]) -> Spec:
    """A rectangle for each cell, as dark as its success is above the control's; its mark and its success within."""
    columns = [NOBODY, *found.defences]
    of = {each.name: each for each in found.attacks}
    points = [_point(of[cell.attack], cell) for cell in cells]
    x: Spec = {"field": "defence", "type": "nominal", "sort": columns, "title": None}
    top: Spec = {"orient": "top", "labelPadding": 16}  # above the name of the first attack
    x |= {"axis": {**top, "labelAngle": 0, "labelLimit": 160, "domain": False, "ticks": False}}
    y: Spec = {"field": "method", "type": "nominal", "sort": found.methods, "title": None}
    y |= {"axis": {"domain": False, "ticks": False}}
    color = {
        "field": "excess",
        "type": "quantitative",
        "scale": {"domain": [0, 1], "clamp": True, "interpolate": "lab", "range": ["#f5f6f8", "#c44601"]},
        "legend": {"title": "success above the control's", "orient": "bottom", "format": ".1f"},
    }
    tooltip = [{"field": name, "type": "nominal"} for name in TOLD]
    return {
        "data": {"values": points},
        "facet": {
            "row": {"field": "attack", "type": "nominal", "title": None, "sort": list(of)}
            | {
                "header": {
                    "labelAngle": 0,
                    "labelAnchor": "start",
                    "labelOrient": "top",
                    "labelFontWeight": "bold",
                    "labelPadding": 12,
                }
            }
        },
        "resolve": {"axis": {"x": "shared"}},
        "spec": {
            "width": {"step": 150},
            "height": {"step": 24},
            "encoding": {"x": x, "y": y, "tooltip": tooltip},
            "layer": [
                {
                    "mark": {"type": "rect", "stroke": "white", "strokeWidth": 2, "invalid": None},
                    "encoding": {
                        "color": {**color, "condition": {"test": "datum.excess === null", "value": "#e3e6ea"}}
                    },
                },
                {
                    "mark": {"type": "text", "fontSize": 12},
                    "encoding": {
                        "text": {"field": "label"},
                        "color": {"condition": {"test": "datum.excess > 0.6", "value": "white"}, "value": "#1f2933"},
                    },
                },
            ],
        },
    }


TOLD = ("attack", "method", "defence", "success", "over the control", "reason")  # beside a cell that is pointed at


def _point(found: Findings, cell: Cell) -> dict[str, Any]:
    said = number(cell.success, found.success)
    return {
        "attack": cell.attack,
        "method": cell.method,
        "defence": cell.defence or NOBODY,
        "excess": None if cell.excess is None else cell.excess.value,
        "label": UNTOLD if cell.success is None else f"{cell.mark} {said.partition(' ')[0]}",
        "success": said,
        "over the control": over(cell.excess, found.success) or UNTOLD,
        "reason": cell.reason or UNTOLD,
    }


def _attack(matrix: Matrix, found: Findings, cells: Sequence[Cell]) -> dict[str, Any]:
    """All that the page says of one attack."""
    return {
        "name": found.name,
        "found": found,
        "row": found.row,
        "controls": unusual_controls(found),
        "facts": sorted(found.facts.items()),
        "methods": [
            _method(found, each, [cell for cell in cells if cell.method == each.method]) for each in found.victims
        ],
        "alarms": [_alarms([cell for cell in cells if cell.defence == name]) for name in matrix.defences],
    }


def _method(found: Findings, victims: Victims, cells: Sequence[Cell]) -> dict[str, Any]:
    bare, *looked_at = cells
    return {
        "name": victims.method,
        "reason": bare.reason,
        "mark": bare.mark,
        "success": number(bare.success, found.success, found.models),
        "over": over(bare.excess, found.success),
        "controls": [number(victims.arms[name].success, found.success, found.models) for name in CONTROLS],
        "strongest": victims.strongest,
        "accuracy": accuracy(bare.utility),
        "cost": formats.compute(bare.cost),
        "seconds": formats.seconds(bare.seconds),
        "left": [_left(found, cell, bare) for cell in looked_at],
    }


def _left(found: Findings, cell: Cell, bare: Cell) -> dict[str, str]:
    """What a defence leaves: what is the attack's own failure is not said again."""
    return {
        "mark": cell.mark,
        "success": number(cell.success, found.success, found.models),
        "over": over(cell.excess, found.success),
        "caught": "" if cell.caught is None else number(cell.caught, SHARE, found.models),
        "alarms": "" if cell.alarms is None else f"{formats.percent(cell.alarms.value)} %{too_many(cell.alarms)}",
        "verdict": cell.verdict,
        "accuracy": accuracy(cell.utility) if cell.utility else "",
        "cost": "" if cell.cost is None else formats.compute(cell.cost),
        "seconds": formats.seconds(cell.seconds) if cell.seconds is not None else "",
        "reason": "" if cell.reason == bare.reason else cell.reason,
    }


def _alarms(cells: Sequence[Cell]) -> str:
    told = span_of_alarms(cells)
    return f"{told} %" if told else formats.ABSENT

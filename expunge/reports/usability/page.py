"""The page of a usability attack: one file, with pictures of the condensed records, that opens without a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2.utils import htmlsafe_json_dumps

from expunge.attacks.defences import DEFENCES
from expunge.attacks.removal import ATTACK, RETRAINING
from expunge.attacks.usability import PICTURES
from expunge.bench.folder import SCORES, missing_arrays, say_what_is_missing
from expunge.bench.run_info import RunInfo
from expunge.errors import ExpungeError, StoreError
from expunge.number_files import read_arrays
from expunge.records import read_scores
from expunge.reports.page.attack_folder import read_attack
from expunge.reports.page.drawing import COLORS, png
from expunge.reports.page.html import libraries, template, write_page
from expunge.reports.summaries import Interval
from expunge.reports.tables import formats
from expunge.reports.usability.answers import answers
from expunge.reports.usability.findings import REQUESTS, TITLES, Findings, Seen, Served, read_findings
from expunge.reports.usability.tables import LEGEND, lost, lost_between, steps_in_words, whole_percent

Spec = dict[str, Any]
SHOWN = 5  # pictures of each class


@dataclass(frozen=True)
class Cell:
    """A number as it is written, and its interval."""

    value: str
    between: str


def report_usability(folder: Path | str, command: str = "") -> Path:
    """Write ``report.html`` from the records, and pictures, of ``folder``; its path.

    The ``command`` that made them is kept beside them, and read where it is not given.
    """
    place = Path(folder)

    def read(run: RunInfo) -> tuple[Findings, list[dict[str, Any]]]:
        say_what_is_missing(missing_arrays(place, [], run))
        return findings_of(place / SCORES), pictures(place / PICTURES)

    (found, shown), command = read_attack(place, "usability SUITE", read, command)
    target = place / "report.html"
    write_page(target, render(found, shown, command))
    return target


def findings_of(file: Path) -> Findings:
    """What the records in ``file`` say; StoreError where some of an attack's are not there."""
    scores = read_scores(file)
    try:
        found = read_findings(scores)
        _ = answers(found), found.share, found.records
    except ExpungeError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # whatever it is that lacks
        raise StoreError(
            f"{file} lacks records of the attack, or has some that do not belong together ({type(error).__name__}: "
            f"{error}); run the same attack again: it takes what is in the store"
        ) from None
    return found


def render(found: Findings, shown: Sequence[Mapping[str, Any]], command: str) -> str:
    """The page as text."""
    plots = {f"lost-{batching}": lost_plot(rows) for batching, rows in found.served.items()}
    plots |= {f"rounds-{batching}": rounds_plot(found, batching) for batching in found.rounds}
    view = {
        "found": found,
        "answers": answers(found),
        "share": formats.percent(found.share),
        "pictures": shown,
        "heads": [*(TITLES[request] for request in REQUESTS), "attack − random", "attack / random", "forget KLoM P95"],
        "served": {batching: [_row(row) for row in rows] for batching, rows in found.served.items()},
        "forgetting": _forgetting(found),
        "seen": [_seen_row(each) for each in found.seen],
        "legend": LEGEND,
        "command": command,
        "facts": sorted(found.facts.items()),
    }
    data = htmlsafe_json_dumps({"plots": plots}, allow_nan=False, separators=(",", ":"))
    return template("usability.html.j2", "expunge.reports.usability").render(view, data=data, libraries=libraries())


def pictures(file: Path) -> list[dict[str, Any]]:
    """Of each class some condensed records and those that they began as, as data addresses; none of a table."""
    if not file.is_file():
        return []

    def refuse(why: str) -> StoreError:
        return StoreError(f"{file} cannot be read: {why}; run the attack again")

    arrays = read_arrays(file, ("condensed", "real", "labels"), refuse)
    condensed, real, labels = arrays["condensed"], arrays["real"], arrays["labels"]
    if condensed.ndim < 2 or len(condensed) != len(real) or labels.shape != condensed.shape[:1]:
        raise StoreError(f"{file}: its arrays are not of one length; run the attack again")
    return [
        {
            "label": int(label),
            "condensed": [png(each) for each in condensed[labels == label][:SHOWN]],
            "real": [png(each) for each in real[labels == label][:SHOWN]],
        }
        for label in np.unique(labels)
    ]


def lost_plot(rows: Sequence[Served]) -> Spec:
    """Points of accuracy lost, a line for each method, a dot with its interval for each request."""
    points = [
        {
            "method": row.method,
            "records": TITLES[request],
            "lost": 100 * cell.value,
            "low": None if cell.low is None else 100 * cell.low,
            "high": None if cell.high is None else 100 * cell.high,
        }
        for row in rows
        for request, cell in row.drops.items()
    ]
    names = [TITLES[request] for request in REQUESTS]
    y = {"field": "method", "type": "nominal", "sort": [row.method for row in rows], "title": None}
    shift = {"field": "records", "sort": names}
    color = {
        "field": "records",
        "type": "nominal",
        "scale": {"domain": names, "range": list(COLORS[1:2] + COLORS[:1] + COLORS[2:4])},
        "legend": {
            "title": "removed",
            "orient": "top",
            "columns": 2,
            "columnPadding": 2,
        },  # four in a row are cut on a telephone
    }
    x = {"type": "quantitative", "title": "points of test accuracy lost"}
    common = {"y": {**y, "axis": {"grid": True, "labelLimit": 220}}, "yOffset": shift, "color": color}
    return {
        "data": {"values": points},
        "width": "container",
        "height": {"step": 11},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {**common, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 42},
                "encoding": {**common, "x": {**x, "field": "lost"}},
            },
        ],
    }


def rounds_plot(found: Findings, batching: str) -> Spec:
    """Test accuracy after each round, a line for each method, the attack's request beside random records."""
    points = [
        {"method": method, "records": TITLES[request], "round": number + 1, "accuracy": 100 * cell.value}
        for request, methods in found.rounds[batching].items()
        for method, cells in methods.items()
        for number, cell in enumerate(cells)
    ]
    return {
        "data": {"values": points},
        "facet": {"field": "records", "type": "nominal", "title": None, "sort": [TITLES[each] for each in REQUESTS]},
        "columns": 2,
        "spec": {
            "width": 430,
            "height": 260,
            "mark": {"type": "line", "point": True},
            "encoding": {
                "x": {"field": "round", "type": "ordinal", "axis": {"labelAngle": 0}},
                "y": {
                    "field": "accuracy",
                    "type": "quantitative",
                    "title": "test accuracy, %",
                    "scale": {"zero": False},
                },
                "color": {"field": "method", "type": "nominal", "scale": {"range": list(COLORS)}},
                "strokeDash": {"field": "method", "type": "nominal"},
            },
        },
    }


def _cell(cell: Interval | None, mark: str = "") -> Cell:
    if cell is None:
        return Cell(formats.ABSENT, "")
    return Cell(lost(cell.value) + mark, lost_between(cell, ", "))


def _row(row: Served) -> dict[str, Any]:
    mark = " *" if row.differs and row.method != RETRAINING else ""
    ratio = row.ratios.get("random")
    distance = row.klom.get(ATTACK)
    return {
        "method": row.method,
        "cells": [_cell(row.drops.get(request)) for request in REQUESTS],
        "more": _cell(row.excess.get("random"), mark),
        "ratio": Cell(f"{ratio.value:.1f}", f"[{ratio.low:.1f}, {ratio.high:.1f}]")
        if ratio
        else Cell(formats.ABSENT, ""),
        "klom": Cell(formats.klom(distance.value), formats.between(distance)) if distance else Cell(formats.ABSENT, ""),
        "reason": row.reason,
        "exact": row.method == RETRAINING,
    }


def _forgetting(found: Findings) -> list[dict[str, str]]:
    return [
        {
            "what": f"{batching} batches, {TITLES[request]}",
            "victims": f"{each.victims.value:.2g}",
            "oracles": f"{each.oracles.value:.2g}",
            "steps": steps_in_words(each.steps) + (f"; {each.late}" if each.late else ""),
            "lost": f"{lost(each.lost.value)} {lost_between(each.lost, ', ')}",
        }
        for batching, requests in found.forgetting.items()
        for request, each in requests.items()
    ]


def _seen_row(each: Seen) -> dict[str, str]:
    row = DEFENCES[each.name]
    area, caught, record_area, record_caught = (
        whole_percent(cell) for pair in (each.requests, each.records) for cell in (pair or (None, None))
    )
    return {
        "name": each.name,
        "summary": row.summary,
        "when": row.when,
        "price": row.price,
        "area": area,
        "caught": caught,
        "record_area": record_area,
        "record_caught": record_caught,
    }

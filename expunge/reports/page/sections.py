"""What stands on the page, section by section, as plain values; the template only lays it out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from expunge.bench.breakage import is_above
from expunge.bench.folder import ARRAYS, Folder
from expunge.names import as_file_name
from expunge.records import SPLITS, SplitName
from expunge.reports.boards import Board, Line
from expunge.reports.page import plots
from expunge.reports.page.drawing import Axis, Look, bar, distance_axis, looks, png
from expunge.reports.page.examples import Evidence, read_evidence
from expunge.reports.readings import LEGEND, MARKS, RULES, Reading
from expunge.reports.summaries import FLOOR, NOTHING, Interval, Summary
from expunge.reports.tables import formats
from expunge.reports.tables.classic import classic_table
from expunge.reports.tables.scores import NO_HEADROOM, few_in_words

HEIGHTS: dict[SplitName, int] = {"forget": 400, "retain": 180, "test": 180}
STRIPS = 190  # pixels of a histogram with its three strips
BEST: tuple[Reading, ...] = ("forgets", "forgets, drifts", "partly forgets", "does nothing", "moves away")

View = dict[str, Any]


@dataclass(frozen=True)
class Drawn:
    """What the sections share: a look for each method, one axis of distances, and the specifications so far."""

    looks: Mapping[str, Look]
    axis: Axis
    plots: View
    margins: View


def page(folder: Folder, found: Sequence[Board]) -> View:
    """Everything the template shows, and under ``data`` everything the script draws."""
    names = methods_of(found)
    drawn = Drawn(looks(names), distance_axis(found), {}, {})
    sections = [_section(f"set-{place}", board, folder, drawn) for place, board in enumerate(found)]
    counts = sorted({(line.row.models, line.row.oracle_models) for board in found for line in board.lines})
    first = folder.scores[0].subject
    return {
        "suite": first.suite,
        "digest": first.suite_digest,
        "counts": counts,
        "date": folder.date,
        "hardware": folder.run.hardware or first.hardware,
        "command": folder.run.command,
        "seconds": folder.run.seconds,
        "versions": folder.run.versions or first.versions,
        "summary": _summary(names, found, drawn.looks),
        "sections": sections,
        "legend": f"{LEGEND} {few_in_words(folder.run.sizes)}".strip(),
        "rules": [(MARKS[name], name, _slug(name), rule) for name, rule in RULES.items()],
        "methods": [(name, info) for name, info in folder.run.methods.items()],
        "axis": drawn.axis,
        "data": {
            "plots": drawn.plots,
            "margins": drawn.margins,
            "strips": plots.margins(STRIPS),
            "colors": {name: look.color for name, look in drawn.looks.items()},
        },
    }


def _summary(names: Sequence[str], found: Sequence[Board], seen: Mapping[str, Look]) -> list[View]:
    lines = [{line.row.method: line for line in board.lines} for board in found]
    return [
        {"name": name, "look": seen.get(name), "cells": [_short_cell(board.get(name)) for board in lines]}
        for name in by_reading(names, found)
    ]


def by_reading(names: Sequence[str], found: Sequence[Board]) -> list[str]:
    """Methods in the order of what is read of them over all forget sets, the best first; the anchors last."""
    lines = [{line.row.method: line for line in board.lines} for board in found]
    order = sorted(names, key=lambda name: sum(_rank(board.get(name)) for board in lines))
    return [*order, *(name for name in (NOTHING, FLOOR) if any(name in board for board in lines))]


def methods_of(found: Sequence[Board]) -> list[str]:
    """All methods but the anchors."""
    return sorted({line.row.method for board in found for line in board.lines} - {FLOOR, NOTHING})


def _rank(line: Line | None) -> float:
    """What reads better comes first and, of one reading, what closes more of the gap."""
    if line is None:
        return len(RULES)
    closed = line.row.closed
    return list(RULES).index(line.reading) - (min(max(closed.value, -1), 1) / 10 if closed else 0)


def _short_cell(line: Line | None) -> View | None:
    if line is None:
        return None
    value = formats.whole_percent(formats.value(line.row.closed))
    return {"mark": MARKS[line.reading], "reading": line.reading, "slug": _slug(line.reading), "value": value}


def _section(name: str, board: Board, folder: Folder, drawn: Drawn) -> View:
    usable = [line.row.method for line in board.lines if not line.row.failed]
    evidence = read_evidence(folder.path / ARRAYS / as_file_name(board.forget_set), usable)
    info = folder.run.forget_sets.get(board.forget_set)
    undrawn = _draw(name, board, folder, drawn)
    return {
        "id": name,
        "name": board.forget_set,
        "size": info.size if info else None,
        "description": info.description if info else "",
        "note": folder.run.notes.get(board.forget_set) or class_note(board, evidence.only_class),
        "groups": _groups(board),
        "lines": [_line(line, board, drawn) for line in board.lines],
        "floor": board.floor is not None,
        "no_headroom": NO_HEADROOM if board.no_headroom else "",
        "classic": classic_table(board),
        "undrawn": undrawn,
        "plots": [f"{name}-{split}" for split in SPLITS] if f"{name}-forget" in drawn.plots else [],
        "examples": [_example(f"{name}-x{place}", example, drawn) for place, example in enumerate(evidence.examples)],
        "missing": evidence.missing,
        **_choice(board, evidence),
    }


def _draw(name: str, board: Board, folder: Folder, drawn: Drawn) -> list[str]:
    """Add the three plots of quality against compute; return the methods that could not be drawn."""
    per_split = {split: plots.quality_points(board, folder.curve, split) for split in SPLITS}
    everywhere = [point for points in per_split.values() for point in points]
    if everywhere:
        across = plots.compute_axis(everywhere)
        for split, points in per_split.items():
            drawn.plots[f"{name}-{split}"] = plots.quality(
                board, points, split, drawn.looks, (across, drawn.axis), HEIGHTS[split]
            )
    methods = {point["method"] for point in everywhere}
    rows = [line.row for line in board.lines if line.row.method not in (FLOOR, NOTHING)]
    return [row.method for row in rows if row.method not in methods]


def _groups(board: Board) -> list[View]:
    groups: dict[Reading, list[str]] = {}
    for line in board.lines:
        if line.row.method not in (FLOOR, NOTHING):
            groups.setdefault(line.reading, []).append(line.row.method)
    return [
        {"mark": MARKS[name], "reading": name, "slug": _slug(name), "methods": groups[name]}
        for name in RULES
        if name in groups
    ]


def _line(line: Line, board: Board, drawn: Drawn) -> View:
    row, differ, klom = line.row, line.row.distinguishable("forget"), line.row.klom("forget")
    return {
        "name": row.method,
        "look": drawn.looks.get(row.method),
        "anchor": {FLOOR: "held-out oracles", NOTHING: "do nothing"}.get(row.method, ""),
        "rank": _places(row),
        "mark": MARKS[line.reading],
        "reading": line.reading,
        "slug": _slug(line.reading),
        "reason": line.note,
        "closed": {"value": formats.whole_percent(formats.value(row.closed)), "half": formats.half_percent(row.closed)},
        "distances": [_distance(line, board, split, drawn.axis) for split in SPLITS],
        "klom": {"value": formats.klom(formats.value(klom)), "between": formats.between(klom)},
        "differ": {"value": formats.percent(formats.value(differ)), "between": formats.percent_between(differ)},
        "accuracy": [_accuracy(row.accuracy(split), split) for split in SPLITS],
        "cost": formats.priced(row.cost, row.budget if row.dear else None),
        "seconds": formats.seconds(row.seconds),
    }


def _distance(line: Line, board: Board, split: SplitName, axis: Axis) -> View:
    cell, floor = line.row.distance(split), board.floor.distance(split) if board.floor else None
    drift = line.row.drift(split)
    return {
        "split": split,
        "value": formats.nats(formats.value(cell)),
        "between": formats.between(cell),
        "drift": f"drift {formats.nats(drift.value)} {formats.half(drift)}"
        if drift and line.reading != "floor"
        else "",
        "bar": bar(cell, floor, axis),
    }


def _places(row: Summary) -> str:
    """The group, the rank and the places that the data leave open."""
    rank = row.rank
    if rank is None:
        return ""
    places = f"rank {rank.value:.0f}" + (f" to {rank.high:.0f}" if rank.high and rank.high > rank.value else "")
    return f"#{row.group}, {places}" if row.group else places


def _accuracy(cell: Interval | None, split: SplitName) -> View:
    return {"split": split, "value": formats.percent(formats.value(cell)), "between": formats.percent_between(cell)}


def _choice(board: Board, evidence: Evidence) -> View:
    """The methods whose histograms can be shown, and the one shown first: the best reading, then the nearest."""
    known = evidence.examples[0].unlearned if evidence.examples else {}
    lines = [line for line in board.lines if line.row.method in known]
    best = min(lines, key=lambda line: BEST.index(line.reading) if line.reading in BEST else len(BEST), default=None)
    return {"choices": [line.row.method for line in lines], "chosen": best.row.method if best else ""}


def _example(name: str, example: Any, drawn: Drawn) -> View:
    drawn.margins[name] = plots.margin_data(example)
    return {
        "id": name,
        "index": example.index,
        "label": example.label,
        "distance": formats.nats(example.distance),
        "picture": png(example.picture) if example.picture is not None else "",
    }


def class_note(board: Board, only_class: int | None) -> str:
    """Why identity is far from the floor on test when a whole class is forgotten; "" where that is not so."""
    nothing = board.identity.distance("test") if board.identity else None
    floor = board.floor.distance("test") if board.floor else None
    if only_class is None or not is_above(nothing, floor) or nothing is None or floor is None:
        return ""
    told = formats.nats(nothing.value), formats.nats(floor.value)
    return (
        f"The test set holds class {only_class} too. The oracles never saw that class and are wrong on its test "
        f"examples, so models that still know it are far from the oracles there: {told[0]} for "
        f"identity, in sd of the oracles, against a floor of {told[1]}. On this set far on test beside far on forget "
        "means not yet forgotten, not broken."
    )


def _slug(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")

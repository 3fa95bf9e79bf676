"""The plots as Vega-Lite specifications, data inside: quality against compute, and margins of single examples."""

from collections.abc import Mapping, Sequence
from typing import Any

from expunge.records import Score, SplitName
from expunge.reports.boards import Board
from expunge.reports.page.drawing import Axis, Look, spread
from expunge.reports.page.examples import Example, histograms
from expunge.reports.summaries import FLOOR, NOTHING, Interval, Summary
from expunge.reports.tables import formats

Spec = dict[str, Any]

GREY, INK, RULE = "#6b7280", "#1f2933", "#9aa3af"
LABEL_GAP = 14  # pixels between two labels
LONGEST = 24  # characters of a label
ANCHORS = {FLOOR: "oracle (floor)", NOTHING: "identity"}  # what the anchors are called


def quality_points(board: Board, curve: Sequence[Score], split: SplitName) -> list[Spec]:
    """One point per method and epoch that has a cost and a distance; a method without a curve has its final point."""
    found: list[Spec] = []
    for line in board.lines:
        row = line.row
        if row.method in (FLOOR, NOTHING) or row.failed:
            continue
        epochs = [score for score in curve if _on(score, row, split)]
        points = [_point(score, row.method) for score in sorted(epochs, key=lambda score: score.epoch or 0)]
        final = row.distance(split)
        if not points and final is not None and row.cost is not None:
            points = [_spot(row.method, None, row.cost, final)]
        if points:
            points[-1]["end"] = True
        found += points
    return found


def _on(score: Score, row: Summary, split: SplitName) -> bool:
    return (
        (score.subject.forget_set, score.subject.method, score.split) == (row.forget_set, row.method, split)
        and (score.metric, score.aggregate) == ("distance", "mean")
        and score.value is not None
        and score.cost is not None
    )


def _point(score: Score, method: str) -> Spec:
    assert score.value is not None  # _on has seen to it
    assert score.cost is not None
    return _spot(method, score.epoch, score.cost, Interval(score.value, score.low, score.high))


def _spot(method: str, epoch: int | None, cost: float, cell: Interval) -> Spec:
    return {
        "method": method,
        "epoch": epoch,
        "compute": 100 * cost,
        "distance": round(cell.value, 4),
        "low": cell.low,
        "high": cell.high,
        "said": {
            "compute": formats.compute(cost),
            "distance": formats.nats(cell.value),
            "interval": formats.between(cell),
        },
        "end": False,
    }


def compute_axis(points: Sequence[Spec]) -> Axis:
    """Up to one retraining, 100 %, or further if a method costs more."""
    costs = [point["compute"] for point in points if point["compute"] > 0]
    return Axis(min([*costs, 10.0]) / 1.5, max([*costs, 100.0]) * 1.15)


def quality(
    board: Board,
    points: Sequence[Spec],
    split: SplitName,
    looks: Mapping[str, Look],
    axes: tuple[Axis, Axis],
    height: int,
    anchors: Mapping[str, str] = ANCHORS,
) -> Spec:
    """Distance on ``split`` against compute: a line per method over its epochs, the floor a band, identity a rule."""
    across, up = axes
    inside = [
        point | {"compute": max(point["compute"], across.low), "distance": min(max(point["distance"], up.low), up.high)}
        for point in points
    ]
    leaders, labels = _labels(board, inside, split, looks, (up, height), anchors)
    layers = [*_anchors(board, split, across, up), leaders, *_curves(inside, up, looks), labels]
    x = {"type": "log", "domain": [across.low, across.high], "nice": False}
    x_axis = {
        "title": "compute, % of one retraining",
        "values": across.ticks([0.001, 0.01, 0.1, 1, 10, 100, 1000]),
        "labelExpr": "format(datum.value, '~g')",
        "labelFlush": False,
    }
    y_axis = {
        "title": f"{split}: distance, sd of the oracles",
        "values": up.ticks([0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50]),
    }
    y = {"type": "log", "domain": [up.low, up.high], "nice": False}
    return {
        "width": "container",
        "height": height,
        "description": f"distance on {split} against compute on {board.forget_set}; the table above holds the numbers",
        "encoding": {
            "x": {"field": "compute", "type": "quantitative", "scale": x, "axis": x_axis},
            "y": {
                "field": "distance",
                "type": "quantitative",
                "scale": y,
                "axis": y_axis | {"labelExpr": "datum.value"},
            },
        },
        "layer": layers,
    }


def _anchors(board: Board, split: SplitName, across: Axis, up: Axis) -> list[Spec]:
    layers: list[Spec] = []
    floor = board.floor.distance(split) if board.floor else None
    nothing = board.identity.distance(split) if board.identity else None
    edge_to_edge = {"x": {"value": 0}, "x2": {"value": "width"}}
    if floor and floor.low is not None and floor.high is not None:
        band = [{"distance": max(floor.low, up.low), "high": max(floor.high, up.low)}]
        encoding = edge_to_edge | {"y2": {"field": "high"}}
        layers.append({"data": {"values": band}, "mark": {"type": "rect", "color": "#cfd4da"}, "encoding": encoding})
    for cell, dash in ((floor, [1, 0]), (nothing, [5, 4])):
        if cell:
            mark = {"type": "rule", "color": GREY, "strokeWidth": 1.25, "strokeDash": dash}
            values = [{"distance": max(cell.value, up.low)}]
            layers.append({"data": {"values": values}, "mark": mark, "encoding": edge_to_edge})
    if across.high >= 100:
        layers.append(
            {
                "data": {"values": [{"compute": 100}]},
                "mark": {"type": "rule", "color": RULE, "strokeDash": [2, 3]},
                "encoding": {"y": {"value": 0}, "y2": {"value": "height"}},
            }
        )
    return layers


def _curves(points: Sequence[Spec], up: Axis, looks: Mapping[str, Look]) -> list[Spec]:
    methods = list(dict.fromkeys(point["method"] for point in points))
    domain = {"legend": None, "field": "method", "type": "nominal"}
    color = domain | {"scale": {"domain": methods, "range": [looks[name].color for name in methods]}}
    shape = domain | {"scale": {"domain": methods, "range": [looks[name].shape for name in methods]}}
    tooltip = [
        {"field": "method", "title": "method"},
        {"field": "epoch", "title": "epoch"},
        {"field": "said.compute", "title": "compute"},  # what is drawn may stand on the edge, what is said never
        {"field": "said.distance", "title": "distance"},
        {"field": "said.interval", "title": "95 % interval"},
    ]
    ends = [
        point | {"distance": max(point["low"], up.low), "high": max(point["high"], up.low)}
        for point in points
        if point["end"] and point["low"] is not None and point["high"] is not None
    ]
    return [
        {
            "data": {"values": list(points)},
            "mark": {"type": "line", "strokeWidth": 1.75},
            "encoding": {"color": color, "order": {"field": "epoch"}},
        },
        {
            "data": {"values": ends},
            "mark": {"type": "rule", "strokeWidth": 1.75},
            "encoding": {"color": color, "y2": {"field": "high"}},
        },
        {
            "data": {"values": list(points)},
            "mark": {"type": "point", "filled": True, "opacity": 1, "stroke": "white", "strokeWidth": 0.75},
            "encoding": {
                "color": color,
                "shape": shape,
                "size": {"condition": {"test": "datum.end", "value": 90}, "value": 36},
                "tooltip": tooltip,
            },
        },
    ]


def _labels(
    board: Board,
    points: Sequence[Spec],
    split: SplitName,
    looks: Mapping[str, Look],
    scale: tuple[Axis, int],
    anchors: Mapping[str, str],
) -> list[Spec]:
    up, height = scale
    ends = {point["method"]: point for point in points if point["end"]}
    heights = {name: point["distance"] for name, point in ends.items()}
    colors = {name: looks[name].color for name in ends}
    for anchor, row in ((FLOOR, board.floor), (NOTHING, board.identity)):
        cell = row.distance(split) if row else None
        if cell:
            heights[anchor], colors[anchor] = cell.value, INK if anchor == FLOOR else GREY
    placed = spread({name: height * up.at(value) for name, value in heights.items()}, LABEL_GAP, 4, height - 4)
    rest = [
        {"text": _short(anchors.get(name, name)), "distance": up.back(place / height), "color": colors[name]}
        | {"name": anchors.get(name, name)}
        for name, place in placed.items()
    ]
    lines = [
        {"distance": ends[name]["distance"], "to": up.back(placed[name] / height), "compute": ends[name]["compute"]}
        for name in ends
    ]
    leader = {"type": "rule", "color": RULE, "strokeWidth": 0.6, "opacity": 0.8}
    text = {"type": "text", "align": "left", "dx": 6, "fontSize": 11.5, "baseline": "middle"}
    return [
        {
            "data": {"values": lines},
            "mark": leader,
            "encoding": {"x2": {"value": "width"}, "y2": {"field": "to"}},
        },
        {
            "data": {"values": rest},
            "mark": text,
            "encoding": {
                "x": {"value": "width"},
                "text": {"field": "text"},
                "color": {"field": "color", "type": "nominal", "scale": None},
                "tooltip": {"field": "name"},
            },
        },
    ]


def _short(name: str) -> str:
    """A name as a label; of a long ``folder/file.py:function`` the end, of others the beginning.

    >>> _short("mine.py:forget_it"), _short("my_methods/forget.py:forget"), _short("a-method-with-a-very-long-name")
    ('mine.py:forget_it', '…ethods/forget.py:forget', 'a-method-with-a-very-lo…')
    """
    if len(name) <= LONGEST:
        return name
    return f"…{name[1 - LONGEST :]}" if ":" in name else f"{name[: LONGEST - 1]}…"


def margins(height: int) -> Spec:
    """Three strips of one example over one axis, the oracles' middle 95 % shaded; the page fills in the data."""
    x = {"field": "from", "type": "quantitative", "scale": {"nice": False, "zero": False}}
    x_axis = {"title": "margin: log-odds of the true label", "tickCount": 6, "grid": False}
    y = {"type": "quantitative", "axis": None, "scale": {"domain": [0, 3], "nice": False}}
    return {
        "width": "container",
        "height": height,
        "encoding": {"x": x | {"axis": x_axis}},
        "layer": [
            {
                "data": {"name": "band"},
                "mark": {"type": "rect", "color": "#e3e6ea"},
                "encoding": {"x2": {"field": "to"}, "y": {"value": 0}, "y2": {"value": "height"}},
            },
            {
                "data": {"name": "bins"},
                "mark": {"type": "rect", "stroke": "white", "strokeWidth": 0.5},
                "encoding": {
                    "x2": {"field": "to"},
                    "y": y | {"field": "base"},
                    "y2": {"field": "top"},
                    "color": {"field": "color", "type": "nominal", "scale": None},
                    "tooltip": [
                        {"field": "who", "title": "models"},
                        {"field": "from", "title": "margin from", "format": ".2f"},
                        {"field": "to", "title": "to", "format": ".2f"},
                        {"field": "count", "title": "count"},
                    ],
                },
            },
            {
                "data": {"name": "strips"},
                "mark": {"type": "text", "align": "left", "baseline": "top", "dx": 4, "dy": 3, "fontSize": 11.5},
                "encoding": {
                    "x": {"value": 0},
                    "y": y | {"field": "top"},
                    "text": {"field": "who"},
                    "color": {"field": "color", "type": "nominal", "scale": None},
                },
            },
            {
                "data": {"name": "strips"},
                "mark": {"type": "rule", "color": RULE, "strokeWidth": 0.75},
                "encoding": {"x": {"value": 0}, "x2": {"value": "width"}, "y": y | {"field": "base"}},
            },
        ],
    }


def margin_data(example: Example) -> dict[str, Spec]:
    """Counts of one example for each method; the key "" stands for no method."""
    return {name: histograms(example, name or None) for name in (example.unlearned or [""])}

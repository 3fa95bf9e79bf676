"""The plot of a leaderboard: for each kind of forget set, how near each method comes to the oracles at which cost."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from expunge.errors import BadSetting
from expunge.files import write_file
from expunge.methods import METHODS
from expunge.methods.searches import BUDGETS, Search
from expunge.methods.tuned import shipped
from expunge.suites.forget_set import FORGET_KINDS

GREY, INK = "#c8cdd3", "#1f2933"
# Dark enough for paper, told apart in grey by their dashes too.
COLOURS = ("#1b6ca8", "#b5472f", "#2e7d4f", "#7a4fa3", "#8a6d1d", "#c2388b", "#0f7f86", "#5b5f66")
DASHES = ([1, 0], [6, 2], [2, 2], [8, 2, 2, 2])
PLOT = "frontiers.svg"  # in a folder of results
LEAST = 0.1  # % of a retraining, where the axis begins

Spec = dict[str, Any]


def draw_frontiers(file: Path, suite: str) -> bool:
    """Write an SVG of the frontiers that are shipped for a suite; False where none are."""
    searches = [each for name in METHODS for each in shipped(name) if each.suite == suite and each.frontier]
    if not searches:
        return False
    try:
        import vl_convert
    except ImportError:
        raise BadSetting(
            "drawing needs vl-convert-python; run pip install -e '.[figures]' in the checkout of expunge"
        ) from None
    write_file(file, vl_convert.vegalite_to_svg(frontiers(searches)))
    return True


def frontiers(searches: Sequence[Search]) -> Spec:
    """A panel for each kind: a step line for each method, the best at one of BUDGETS in colour."""
    leaders = _leaders(searches)
    kinds = [kind for kind in FORGET_KINDS if any(each.kind == kind for each in searches)]
    panels = [_panel(kind, [each for each in searches if each.kind == kind], leaders) for kind in kinds]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": "white",
        "columns": 2,
        "concat": panels,
        "resolve": {"legend": {"color": "shared", "strokeDash": "shared"}},
        "config": {"font": "sans-serif", "axis": {"labelColor": INK, "titleColor": INK, "grid": False}},
    }


def _leaders(searches: Sequence[Search]) -> list[str]:
    """The methods that are the nearest of all at one of BUDGETS for one kind, those that are so most often first."""
    firsts: list[str] = []
    for kind in {each.kind for each in searches}:
        for budget in BUDGETS:
            stops = [
                (stop.objective, each.method) for each in searches if each.kind == kind and (stop := each.at(budget))
            ]
            firsts += [min(stops)[1]] if stops else []
    often = sorted(set(firsts), key=lambda name: (-firsts.count(name), name))
    return often[: len(COLOURS)]


def _panel(kind: str, searches: Sequence[Search], leaders: Sequence[str]) -> Spec:
    nothing = searches[0].untouched.objective
    x = {
        "field": "cost",
        "type": "quantitative",
        "title": "compute, % of one retraining",
        "scale": {"type": "log", "domain": [LEAST, 100]},
        "axis": {"values": [0.1, 1, 5, 15, 50, 100]},
    }
    y = {"field": "distance", "type": "quantitative", "title": "distance, sd", "scale": {"zero": True, "nice": True}}
    color = {"field": "method", "type": "nominal", "title": None, "scale": {"domain": leaders, "range": COLOURS}}
    dash = {
        "field": "method",
        "type": "nominal",
        "title": None,
        "scale": {"domain": leaders, "range": _dashes(leaders)},
    }
    line = {"type": "line", "interpolate": "step-after"}
    others = [point for each in searches if each.method not in leaders for point in _points(each)]
    first = [point for each in searches if each.method in leaders for point in _points(each)]
    layers: list[Spec] = [
        {
            "data": {"values": others},
            "mark": {**line, "color": GREY, "strokeWidth": 1},
            "encoding": {"x": x, "y": y, "detail": {"field": "method"}},
        },
        {
            "data": {"values": first},
            "mark": {**line, "strokeWidth": 2},
            "encoding": {"x": x, "y": y, "color": color, "strokeDash": dash},
        },
        {
            "data": {"values": [{"distance": nothing}]},
            "mark": {"type": "rule", "strokeDash": [5, 4], "color": INK},
            "encoding": {"y": y},
        },
    ]
    return {"title": f"{kind} (dashed: doing nothing)", "width": 330, "height": 220, "layer": layers}


def _dashes(leaders: Sequence[str]) -> list[list[int]]:
    return [DASHES[at % len(DASHES)] for at in range(len(leaders))]


def _points(search: Search) -> list[Spec]:
    """The stops of a frontier, and its end at a whole retraining."""
    stops = [(max(100 * each.cost, LEAST), each.objective) for each in search.frontier if each.cost <= 1]
    ends = [(100.0, stops[-1][1])] if stops else []
    return [{"method": search.method, "cost": cost, "distance": round(value, 3)} for cost, value in [*stops, *ends]]

"""Heat maps as Vega-Lite specifications: every cell says its number, and its shade is told apart in grey too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]

ROW, LEAST = 26, 36  # pixels of a line, and the width of a cell below which it is a shade without its number
MOST, BESIDE, LEGEND = 120, 190, 420  # pixels of a cell at most, of the names beside, and of the legend's longest line


@dataclass(frozen=True)
class Shade:
    """How cells of a kind are filled, and the colour of what is written on them."""

    fill: str
    ink: str = "#1f2933"


def heat_map(
    cells: Sequence[Mapping[str, Any]],
    axes: tuple[Sequence[str], Sequence[str]],
    shades: Mapping[str, Shade],
    description: str,
) -> Spec:
    """Cells with a ``row``, a ``column``, a ``text`` and a ``shade``; ``axes`` are rows, downwards, and columns.

    What else a cell holds is told where the mouse points at it. The ``shades`` that occur are named in the legend. A
    picture of it need not be wider than ``widest`` says, in pixels: cells of few columns would be broad and empty.
    """
    rows, columns = axes
    names = [name for name in shades if any(cell["shade"] == name for cell in cells)]
    shown = [{**cell, "ink": shades[cell["shade"]].ink} for cell in cells]
    more = [key for key in (cells[0] if cells else {}) if key not in ("text", "shade")]
    fill = {"domain": names, "range": [shades[name].fill for name in names]}
    legend = {"title": None, "orient": "bottom", "symbolStrokeColor": "#6b7280", "columns": 1, "labelLimit": 0}
    fits = f"width < {LEAST * len(columns)} ? 0 : 1"
    band = {"paddingInner": 0, "paddingOuter": 0}
    return {
        "width": "container",
        "height": ROW * len(rows),
        "usermeta": {"widest": max(LEGEND, BESIDE + MOST * len(columns))},
        "description": description,
        "data": {"values": shown},
        "encoding": {
            "y": {"field": "row", "type": "nominal", "scale": {"domain": list(rows), **band}, "axis": _axis(0)},
            "x": {"field": "column", "type": "nominal", "scale": {"domain": list(columns), **band}, "axis": _axis(-90)},
        },
        "layer": [
            {
                "mark": {"type": "rect", "stroke": "#9aa3af", "strokeWidth": 0.5},
                "encoding": {
                    "fill": {"field": "shade", "type": "nominal", "scale": fill, "legend": legend},
                    "tooltip": [{"field": key} for key in more],
                },
            },
            {
                "mark": {"type": "text", "fontSize": 11, "baseline": "middle", "opacity": {"expr": fits}},
                "encoding": {
                    "text": {"field": "text"},
                    "color": {"field": "ink", "type": "nominal", "scale": None},
                },
            },
        ],
    }


def _axis(angle: int) -> Spec:
    turned = {"labelAngle": angle, "labelAlign": "left", "orient": "top"} if angle else {}
    return {"title": None, "ticks": False, "domain": False, "labelLimit": 170, "labelPadding": 6, **turned}

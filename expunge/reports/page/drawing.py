"""What is drawn without JavaScript: interval bars, plot symbols and pictures; and where labels go."""

import base64
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from expunge.reports.boards import Board
from expunge.reports.summaries import Interval

COLORS = ("#0067a5", "#c44601", "#00785a", "#9c3d8e", "#8a6000", "#3f2a8c", "#882255", "#117c8f")  # 4.5:1 on white
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
PATHS = {  # in a box of 12 x 12
    "circle": "M6 1.5a4.5 4.5 0 1 0 .01 0z",
    "square": "M2 2h8v8h-8z",
    "triangle-up": "M6 1.5L11 10.5H1z",
    "triangle-down": "M6 10.5L11 1.5H1z",
    "diamond": "M6 .8L10.6 6L6 11.2L1.4 6z",
    "cross": "M4.3 1h3.4v3.3H11v3.4H7.7V11H4.3V7.7H1V4.3h3.3z",
}


@dataclass(frozen=True)
class Look:
    """Colour and symbol of a method, the same on the whole page."""

    color: str
    shape: str

    @property
    def path(self) -> str:
        return PATHS[self.shape]


def looks(methods: Sequence[str]) -> dict[str, Look]:
    """A look for each method; 24 methods pass before one comes again."""
    return {name: Look(COLORS[place % len(COLORS)], SHAPES[place % len(SHAPES)]) for place, name in enumerate(methods)}


@dataclass(frozen=True)
class Axis:
    """A logarithmic axis from ``low`` to ``high``; what lies outside is drawn on the edge."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """0 at ``low``, 1 at ``high``."""
        inside = min(max(value, self.low), self.high)
        return math.log(inside / self.low) / math.log(self.high / self.low)

    def back(self, share: float) -> float:
        return self.low * math.exp(share * math.log(self.high / self.low))

    def ticks(self, candidates: Sequence[float]) -> list[float]:
        return [tick for tick in candidates if self.low <= tick <= self.high]


def distance_axis(found: Sequence[Board]) -> Axis:
    """One axis for every distance of the page, so that all plots can be compared."""
    cells = [
        edge
        for board in found
        for line in board.lines
        for (metric, _, _), cell in line.row.cells.items()
        if metric == "distance"
        for edge in (cell.value, cell.low, cell.high)
        if edge is not None and edge > 0
    ]
    return Axis(max(0.02, min([*cells, 0.5]) / 1.25), max([*cells, 2.0]) * 1.1)


def bar(cell: Interval | None, floor: Interval | None, axis: Axis) -> dict[str, float] | None:
    """Positions in percent of a bar's width: the dot, its interval and the floor's interval."""
    if cell is None:
        return None
    marks = {"dot": cell.value, "low": cell.low, "high": cell.high}
    if floor is not None:
        marks |= {"floor_low": floor.low, "floor_high": floor.high}
    return {name: round(100 * axis.at(value), 2) for name, value in marks.items() if value is not None}


def spread(wanted: Mapping[str, float], gap: float, low: float, high: float) -> dict[str, float]:
    """Move labels apart until neighbours are ``gap`` apart, each as near to where it was wanted as that allows.

    >>> spread({"a": 10, "b": 12, "c": 50}, gap=10, low=0, high=100)
    {'a': 6.0, 'b': 16.0, 'c': 50.0}
    """
    if not wanted:
        return {}
    gap = min(gap, (high - low) / max(1, len(wanted) - 1))
    names = sorted(wanted, key=lambda name: (wanted[name], name))
    blocks: list[tuple[list[str], float]] = []  # names that touch, and the place of the first
    for name in names:
        blocks.append(([name], _fit([name], wanted, gap, low, high)))
        while len(blocks) > 1 and blocks[-2][1] + gap * len(blocks[-2][0]) > blocks[-1][1] + 1e-9:
            merged = blocks[-2][0] + blocks[-1][0]
            blocks[-2:] = [(merged, _fit(merged, wanted, gap, low, high))]
    return {name: start + gap * place for members, start in blocks for place, name in enumerate(members)}


def _fit(names: Sequence[str], wanted: Mapping[str, float], gap: float, low: float, high: float) -> float:
    start = sum(wanted[name] - gap * place for place, name in enumerate(names)) / len(names)
    return max(low, min(start, high - gap * (len(names) - 1)))


def png(picture: ndarray) -> str:
    """A picture in [0, 1] as a data address: grey, ``(height, width)``, or in colour, ``(height, width, 3)``."""
    pixels = (np.clip(np.nan_to_num(picture), 0, 1) * 255).round().astype(np.uint8)
    height, width = pixels.shape[:2]
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode()

"""What a metric is: a formula, how its numbers come out of a row, and how they are to be read."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy import ndarray

from expunge.metrics.row import Reference, Row
from expunge.records import Score


@dataclass(frozen=True)
class Scored:
    """What a metric says of a row: its records and, where it has one for each column of the margins, the values."""

    scores: list[Score]
    columns: ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One row of METRICS; each metric's own file ends with it.

    ``scores(row, reference)`` gives the records of a row; ``compares(rows, reference)``, in its place, those of all
    rows of a forget set together, by the names of their methods. A row is asked only where it has what the metric
    ``reads``: "margins", "correct" (whether first choices are right), "run times", or "weights". What cannot be told is
    left out, never 0 and never NaN.
    """

    function: Callable[..., Any]  # the formula on arrays; its docstring is what `expunge info` shows
    scores: Callable[[Row, Reference], Scored] | None = None
    compares: Callable[[Mapping[str, Row], Reference], list[Score]] | None = None
    aggregates: tuple[str, ...]
    unit: str
    better: str
    oracle: str  # what a perfect method gets
    source: str
    reads: tuple[str, ...] = ("margins",)
    every_epoch: bool = False  # whether it stands in the curve of quality against compute
    every_split: bool = False  # whether there is one number for each split, which a failed row lacks
    asked: bool = False  # computed only where it is asked for, since it takes long
    classic: bool = False  # asked for by --classic
    kept_as: str = ""  # the name under which its values for each column are kept beside the records

    def bounds(self, aggregate: str) -> tuple[float, float]:
        """What its numbers cannot leave: shares lie within [0, 1], their gaps to the oracles' within [-1, 1]."""
        if not self.unit.startswith("share"):
            return -math.inf, math.inf
        return (-1.0, 1.0) if aggregate == "gap" else (0.0, 1.0)

    def can_read(self, row: Row) -> bool:
        """Whether the row has what the metric reads."""
        return all(row.has(what) for what in self.reads)

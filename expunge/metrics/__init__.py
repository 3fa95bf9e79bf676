"""How near to the oracle: the table of metrics, and the verbs that score."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from expunge.metrics.accuracy import accuracy
from expunge.metrics.bench import bench
from expunge.metrics.distinguishable import distinguishable
from expunge.metrics.evaluate import evaluate
from expunge.metrics.klom import klom
from expunge.metrics.klom_reference import klom_reference
from expunge.metrics.outliers import outliers
from expunge.metrics.own_margins import score_margins
from expunge.metrics.ranking import rank

__all__ = ["METRICS", "Metric", "bench", "distinguishable", "evaluate", "klom", "klom_reference", "score_margins"]


@dataclass(frozen=True)
class Metric:
    """One row of METRICS: a function of arrays that returns one value per example, and how to read it."""

    function: Callable[..., Any]
    aggregates: tuple[str, ...]
    unit: str
    better: str
    oracle: str  # what a perfect method gets
    source: str


METRICS: dict[str, Metric] = {
    "klom": Metric(
        klom, ("p95", "mean"), "nats", "lower", "the row `oracle`; p95 about 0.68 at N = 100", "arXiv:2410.23232"
    ),
    "distinguishable": Metric(
        distinguishable,
        ("share",),
        "share of examples",
        "lower",
        "0 in at least 95 % of benches",
        "two-sample test, false discovery rate 5 %",
    ),
    "outliers": Metric(outliers, ("share",), "share of models", "lower", "0", "median and MAD over models"),
    "rank": Metric(rank, ("p95",), "place", "lower", "not ranked", "paired differences, Holm-corrected"),
    "accuracy": Metric(
        accuracy, ("mean",), "share of examples", "as the oracle", "the row `oracle`", "first choice = label"
    ),
}

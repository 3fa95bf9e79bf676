"""How near to the oracle: the table of metrics, and the verbs that score."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from expunge.metrics.accuracy import accuracy
from expunge.metrics.average_gap import average_gap
from expunge.metrics.bench import bench
from expunge.metrics.classic import ra, ta, ua
from expunge.metrics.distinguishable import distinguishable
from expunge.metrics.evaluate import evaluate
from expunge.metrics.klom import klom
from expunge.metrics.klom_reference import klom_reference
from expunge.metrics.mia_efficacy import mia_efficacy, mia_efficacy_published
from expunge.metrics.modified_entropy import modified_entropy, modified_entropy_published
from expunge.metrics.outliers import outliers
from expunge.metrics.own_margins import score_margins
from expunge.metrics.ranking import rank
from expunge.metrics.run_time import run_time
from expunge.metrics.tow import tow

__all__ = [
    "METRICS",
    "Metric",
    "bench",
    "distinguishable",
    "evaluate",
    "klom",
    "klom_reference",
    "modified_entropy",
    "modified_entropy_published",
    "score_margins",
]


@dataclass(frozen=True)
class Metric:
    """One row of METRICS: a function of arrays, most return a value per example or per model, and how to read it."""

    function: Callable[..., Any]
    aggregates: tuple[str, ...]
    unit: str
    better: str
    oracle: str  # what a perfect method gets
    source: str


WITH_GAPS = ("mean", "gap", "absolute-gap")  # the gap: to the mean of the reference oracles
BESIDE = "said in each record; gaps: 0 but for chance"
HELD_OUT = "{} but for chance; what held-out oracles get is said in each record"

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
    "ua": Metric(ua, WITH_GAPS, "share of forget examples", "as the oracle", BESIDE, "arXiv:2304.04934"),
    "ra": Metric(ra, WITH_GAPS, "share of retain examples", "as the oracle", BESIDE, "arXiv:2304.04934"),
    "ta": Metric(ta, WITH_GAPS, "share of test examples", "as the oracle", BESIDE, "arXiv:2304.04934"),
    "mia-efficacy": Metric(
        mia_efficacy, WITH_GAPS, "share of forget examples", "as the oracle", BESIDE, "arXiv:2304.04934, mended"
    ),
    "mia-efficacy-published": Metric(
        mia_efficacy_published,
        WITH_GAPS,
        "share of forget examples",
        "as the oracle",
        BESIDE,
        "arXiv:2304.04934, as its code has it",
    ),
    "average-gap": Metric(average_gap, ("mean",), "share of examples", "lower", HELD_OUT.format(0), "arXiv:2304.04934"),
    "tow": Metric(tow, ("mean",), "product of shares", "higher", HELD_OUT.format(1), "arXiv:2406.01257"),
    "run-time": Metric(
        run_time, ("mean",), "seconds a model", "lower", "one retraining's, said in each record", "arXiv:2304.04934"
    ),
}

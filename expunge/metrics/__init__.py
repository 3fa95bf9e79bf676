"""How near to the oracle: formulas on arrays, and the table of metrics, out of which every number of a bench comes."""

from expunge.metrics import (
    accuracy,
    average_gap,
    classic,
    distance,
    distinguishable,
    klom,
    mia_efficacy,
    model_level,
    outliers,
    ranking,
    run_time,
    tow,
)
from expunge.metrics.metric import Metric, Scored
from expunge.metrics.row import Reference, Row

__all__ = ["METRICS", "Metric", "Reference", "Row", "Scored", "default_metrics"]

METRICS: dict[str, Metric] = {
    "distance": distance.DISTANCE,
    "gap-closed": distance.GAP_CLOSED,
    "drift": distance.DRIFT,
    "klom": klom.METRIC,
    "accuracy": accuracy.METRIC,
    "distinguishable": distinguishable.METRIC,
    "model-level": model_level.METRIC,
    "outliers": outliers.METRIC,
    "rank": ranking.METRIC,
    "ua": classic.UA,
    "ra": classic.RA,
    "ta": classic.TA,
    "mia-efficacy": mia_efficacy.EFFICACY,
    "mia-efficacy-published": mia_efficacy.PUBLISHED,
    "tow": tow.METRIC,
    "average-gap": average_gap.METRIC,
    "run-time": run_time.METRIC,
}


def default_metrics(*, classic: bool = False) -> tuple[str, ...]:
    """The metrics of a bench; with ``classic`` also those of most papers that take long, MIA-efficacy among them."""
    return tuple(name for name, metric in METRICS.items() if not metric.asked or (classic and metric.classic))

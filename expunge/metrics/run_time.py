"""Run time: seconds to unlearn one model, beside those of one retraining on the same machine."""

from collections.abc import Sequence

import numpy as np

from expunge.metrics.calibration import Estimate
from expunge.metrics.metric import Metric, Scored
from expunge.metrics.over_models import mean_over_models
from expunge.metrics.row import Reference, Row


def run_time(seconds: Sequence[float]) -> Estimate:
    """Seconds to unlearn one model, "RTE" in papers: the mean over chunks of models, which run one after the other.

    Lower is better; one retraining takes what the record says, by a short burst. Models of a chunk train together, as
    those of a retraining do that it is compared with; only ``sisa`` trains them one by one. On a CPU they are seconds
    of one core, whoever else wanted it, except for methods of the user's own, which the clock on the wall times;
    scoring is no part of them. They depend on the machine, which `cost`, the counted share of one retraining, does not.

    Args:
        seconds: for one model, of each chunk, 2 or more.

    Returns:
        The mean, with its interval by Student's t over chunks.

    Source: Jia et al. 2023, arXiv:2304.04934.

    >>> run_time([0.2, 0.4, 0.3]).value.__round__(4)
    0.3
    """
    return mean_over_models(np.array(seconds), bounds=(0.0, np.inf))


def run_time_scores(row: Row, reference: Reference) -> Scored:
    """Seconds to unlearn one model; beside it those of one retraining, without which it says little."""
    if reference.retraining_seconds is None:
        return Scored([])
    value, oracle = run_time(row.run_times), reference.retraining_seconds
    return Scored([row.score("forget", "run-time", "mean", value, reference, oracle=oracle, module=__name__)])


METRIC = Metric(
    function=run_time,
    scores=run_time_scores,
    aggregates=("mean",),
    unit="seconds a model",
    better="lower",
    oracle="one retraining's, said in each record",
    source="arXiv:2304.04934",
    reads=("margins", "run times"),
)

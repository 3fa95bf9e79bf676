"""Tug-of-war: how near to the oracles' accuracies on forget, retain and test, in one number."""

from jaxtyping import Float
from numpy import ndarray

from expunge.metrics.calibration import Estimate
from expunge.metrics.classic import ra_per_model, ta_per_model, ua_per_model
from expunge.metrics.gaps import HELD_OUT, shares_of
from expunge.metrics.metric import Metric, Scored
from expunge.metrics.over_models import distances
from expunge.metrics.row import Reference, Row


def tow(
    unlearned: list[Float[ndarray, " models"]], oracle: list[Float[ndarray, " oracles"]], *, level: float = 0.95
) -> Estimate:
    """``(1 - |d_forget|) (1 - |d_retain|) (1 - |d_test|)``, with d the gap of mean accuracies to the oracles; 0 to 1.

    Higher is better, oracles get 1 but for chance. A method that moves no accuracy may get nearly 1 where
    forgetting moves none.

    The interval is the image of three intervals of the gaps that hold at once (Bonferroni), so it covers in 95 % of
    benches or more, also where a gap is 0 and the product has a kink, which a delta method or a jackknife does not.

    Args:
        unlearned: accuracy of each model on forget, on retain and on test.
        oracle: the same of the oracles.
        level: of the interval.

    Returns:
        The number and its interval.

    Source: Zhao et al. 2024, arXiv:2406.01257.

    >>> import numpy as np
    >>> one, other = np.full(9, 1.0), np.full(9, 0.8)
    >>> round(tow([one, one, other], [other, one, one]).value, 4)  # 0.8 * 1 * 0.8
    0.64
    """
    value, low, high = 1.0, 1.0, 1.0
    for each in distances(list(zip(unlearned, oracle, strict=True)), level=level):
        value *= 1 - each.value
        low *= max(0.0, 1 - each.high)
        high *= 1 - each.low
    return Estimate(value, low, high)


def tow_scores(row: Row, reference: Reference) -> Scored:
    """Tug-of-war; it concerns all splits and stands under "forget", as a rank does."""
    found = shares_of(row, reference, [ua_per_model, ra_per_model, ta_per_model])
    if found is None:
        return Scored([])
    mine, oracle, best = found
    floor = tow(best, oracle).value
    return Scored([row.score("forget", "tow", "mean", tow(mine, oracle), reference, oracle=floor, module=__name__)])


METRIC = Metric(
    function=tow,
    scores=tow_scores,
    aggregates=("mean",),
    unit="product of shares",
    better="higher",
    oracle=HELD_OUT.format(1),
    source="arXiv:2406.01257",
    reads=("margins", "correct"),
)

"""The average gap: how far a method is from the oracles in UA, MIA-efficacy, RA and TA together."""

from jaxtyping import Float
from numpy import ndarray

from expunge.metrics.calibration import Estimate
from expunge.metrics.classic import ra_per_model, ta_per_model, ua_per_model
from expunge.metrics.gaps import HELD_OUT, shares_of
from expunge.metrics.metric import Metric, Scored
from expunge.metrics.mia_efficacy import efficacy_per_model
from expunge.metrics.over_models import distances
from expunge.metrics.row import Reference, Row


def average_gap(
    unlearned: list[Float[ndarray, " models"]], oracle: list[Float[ndarray, " oracles"]], *, level: float = 0.95
) -> Estimate:
    """``mean over the scores of |mean of the models - mean of the oracles|``, 0 to 1; lower is better.

    Oracles get 0 but for chance. Of UA, MIA-efficacy, RA and TA it is the "Avg. Gap" or "Disparity Ave." of papers,
    which print it in per cent. Note that being better than the oracles counts as far from them. The interval as in
    :func:`~expunge.metrics.tow.tow`.

    Args:
        unlearned: of each score, one number per model.
        oracle: the same of the oracles.
        level: of the interval.

    Returns:
        The number and its interval.

    Source: Jia et al. 2023, arXiv:2304.04934; Fan et al. 2024, arXiv:2310.12508.

    >>> import numpy as np
    >>> one, other = np.full(9, 1.0), np.full(9, 0.75)
    >>> average_gap([one, one], [other, one]).value
    0.125
    """
    gaps = distances(list(zip(unlearned, oracle, strict=True)), level=level)
    value, low, high = (sum(part) / len(gaps) for part in zip(*((g.value, g.low, g.high) for g in gaps), strict=True))
    return Estimate(value, low, high)


def average_gap_scores(row: Row, reference: Reference) -> Scored:
    """The average gap; it concerns all splits and stands under "forget", as a rank does."""
    found = shares_of(row, reference, [ua_per_model, efficacy_per_model, ra_per_model, ta_per_model])
    if found is None:
        return Scored([])
    mine, oracle, best = found
    floor, value = average_gap(best, oracle).value, average_gap(mine, oracle)
    return Scored([row.score("forget", "average-gap", "mean", value, reference, oracle=floor, module=__name__)])


METRIC = Metric(
    function=average_gap,
    scores=average_gap_scores,
    aggregates=("mean",),
    unit="share of examples",
    better="lower",
    oracle=HELD_OUT.format(0),
    source="arXiv:2304.04934",
    reads=("margins", "correct"),
    asked=True,
    classic=True,  # with MIA-efficacy, which it holds
)

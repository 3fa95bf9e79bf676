"""The distance of a row to the oracles, the share of the gap that it closes, and how far it drifts elsewhere."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.metrics.calibration import Difference, Estimate, estimate_of
from expunge.metrics.comparable import require_comparable
from expunge.metrics.jackknife import LeftOut
from expunge.metrics.metric import Metric, Scored
from expunge.metrics.row import LEAST_ORACLES, Reference, Row
from expunge.metrics.wasserstein import wasserstein
from expunge.records import SPLITS, SplitName

HEADROOM = 0.5  # of the gap: where a perfect method's share is less certain, the set has no headroom


def distance_scores(row: Row, reference: Reference) -> Scored:
    """The mean distance of each split, in standard deviations of the oracles; nothing of fewer than 3 oracles."""
    require_comparable(row.margins.values, reference.oracle.values)
    if reference.models < LEAST_ORACLES:
        return Scored([])
    found = estimate_of(lambda mine: mine, [reference.distances(row.margins)], besides=reference.floor_spread)
    scores = [
        row.score(split, "distance", "mean", _within(each, 0.0), reference, module=__name__)
        for split, each in zip(SPLITS, found, strict=True)
    ]
    values = wasserstein(row.margins.values, reference.oracle.values, least=reference.least_scale)
    return Scored(scores, values)


def gap_closed(
    mine: Float[ndarray, " splits"], nothing: Float[ndarray, " splits"], floor: Float[ndarray, " splits"]
) -> Float[ndarray, " splits"]:
    """``(nothing - mine) / (nothing - floor)``: which share of the way to the oracles a method goes; higher is better.

    Args:
        mine: distances of the unlearned models to the oracles.
        nothing: the same of the untouched models: they close 0.
        floor: the same of held-out oracles: they close 1. A method may lie beyond, by chance or by overfitting.

    Returns:
        One share per split; below 0 where the method is farther than nothing is.

    Source: `results/methods.md` speaks in it; the share of a gap recovered is common where two anchors are known.

    >>> import numpy as np
    >>> gap_closed(np.array([1.0]), np.array([3.0]), np.array([0.5]))
    array([0.8])
    """
    shares: ndarray = (nothing - mine) / (nothing - floor)
    return shares


def has_headroom(nothing: LeftOut, floor: LeftOut) -> bool:
    """Whether forgetting can be told on the forget set: a perfect method would show a share of 1 ± 0.5 or narrower.

    Perfect are other held-out oracles, as many. Else one would speak of shares of a gap that is not there: the examples
    are as well known without having been seen, or the models are too few. The unit, the oracles' spread, cancels.
    """
    if not nothing.whole[0] > floor.whole[0]:
        return False
    perfect = estimate_of(gap_closed, [floor, nothing, floor])[0]  # the first and the last as if independent
    return perfect.high - perfect.value <= HEADROOM


def gap_closed_scores(row: Row, reference: Reference) -> Scored:
    """The share of the gap closed on forget; nothing where the set has no headroom, or untouched models lack."""
    if reference.models < LEAST_ORACLES:
        return Scored([])
    nothing, floor = reference.nothing, reference.floor
    if nothing is None or not has_headroom(nothing, floor):
        return Scored([])
    mine, paired = reference.distances(row.margins), _began_there(row, reference)
    closed = estimate_of(gap_closed, [mine, nothing, floor], pairs=[(0, 1)] if paired else [])[0]
    estimate = Estimate(closed.value, closed.low, closed.high)
    return Scored([row.score("forget", "gap-closed", "mean", estimate, reference, module=__name__)])


def drift_scores(row: Row, reference: Reference) -> Scored:
    """How much farther than held-out oracles the row lies on retain and test, in standard deviations of the oracles."""
    if reference.models < LEAST_ORACLES:
        return Scored([])
    both = [reference.distances(row.margins), reference.floor]
    found = estimate_of(lambda mine, floor: mine - floor, both, besides=np.sqrt(2) * reference.floor_spread)
    drifts: dict[SplitName, Difference] = dict(zip(SPLITS, found, strict=True))
    return Scored(
        [
            row.score(split, "drift", "mean", Estimate(each.value, each.low, each.high), reference, module=__name__)
            for split, each in drifts.items()
            if split != "forget"
        ]
    )


def _within(found: Difference, least: float) -> Estimate:
    return Estimate(found.value, max(found.low, least), found.high)


def _began_there(row: Row, reference: Reference) -> bool:
    """Whether row i of the margins began from untouched model i, so that what both share cancels."""
    return (
        reference.untouched is not None
        and row.margins.origin.models == reference.untouched.origin.models
        and (row.margins.origin.kind != "oracle")
    )


DISTANCE = Metric(
    function=wasserstein,
    scores=distance_scores,
    aggregates=("mean",),
    unit="sd of the oracles",
    better="lower",
    oracle="the row `oracle`; about 0.18 at N = 100",
    source="Wasserstein-1; chosen in results/metrics.md",
    every_epoch=True,
    every_split=True,
    kept_as="distance",
)
GAP_CLOSED = Metric(
    function=gap_closed,
    scores=gap_closed_scores,
    aggregates=("mean",),
    unit="of the gap between doing nothing and the floor",
    better="higher",
    oracle="1",
    source="distance",
    every_epoch=True,
)
DRIFT = Metric(
    function=wasserstein,
    scores=drift_scores,
    aggregates=("mean",),
    unit="sd of the oracles",
    better="lower",
    oracle="0",
    source="distance",
)

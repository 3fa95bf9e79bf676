"""Models far outside their own ensemble: a few of them stretch KLoM's bins and hide what the others do."""

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

FAR = 6.0  # robust standard deviations, on the middle example; honest models stay under 4


def outliers(
    unlearned: Float[ndarray, "models examples"], oracle: Float[ndarray, "oracles examples"]
) -> Bool[ndarray, " models"]:
    """Which models lie far from the others: median over examples of ``|m - median| / scale`` above 6.

    The scale of an example is the largest of 1.4826 MAD of the unlearned models, 1.4826 MAD of the oracles, and the
    distance of the two medians: models that went different lengths of the way to the oracles are no outliers. KLoM
    takes its bins from the smallest to the largest margin, so one exploded model of a hundred puts all others into one
    bin with the oracles and brings an untouched ensemble below the floor. A method should have none.

    Args:
        unlearned: margins, one row per model; of one split, for a model may break on that split alone.
        oracle: the same of the oracles.

    Returns:
        One bool per model.

    Source: the masking is measured in ``tests/metrics/test_outliers.py``; MAD as a scale: Hampel 1974,
    doi:10.1080/01621459.1974.10482962.

    >>> margins, oracle = np.random.default_rng(0).normal(size=(2, 50, 30))
    >>> margins[7] *= 50
    >>> np.flatnonzero(outliers(margins, oracle))
    array([7])
    """
    middle, goal = np.median(unlearned, axis=0), np.median(oracle, axis=0)
    distance = np.abs(unlearned - middle)
    spreads = [1.4826 * np.median(np.abs(side - at), axis=0) for side, at in ((unlearned, middle), (oracle, goal))]
    scale = np.maximum.reduce([*spreads, np.abs(middle - goal)])
    with np.errstate(divide="ignore", invalid="ignore"):  # an example on which most models agree to the last bit
        robust = np.where(scale > 0, distance / scale, np.where(distance > 0, np.inf, 0.0))
    far: ndarray = np.median(robust, axis=1) > FAR
    return far

"""Models far outside their own ensemble: a few of them stretch KLoM's bins and hide what the others do."""

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

FAR = 6.0  # robust standard deviations, on the middle example; honest models stay under 4


def outliers(margins: Float[ndarray, "models examples"]) -> Bool[ndarray, " models"]:
    """Which models lie far from the others: median over examples of ``|m - median| / (1.4826 MAD)`` above 6.

    Median and MAD are over models, for each example. KLoM takes its bins from the smallest to the largest margin, so
    one exploded model of a hundred puts all others into one bin with the oracles and brings an untouched ensemble
    below the floor. None of the oracles is an outlier; a method should have none.

    Args:
        margins: one row per model; of one split, for a model may break on that split alone.

    Returns:
        One bool per model.

    Source: the masking is measured in ``tests/metrics/test_outliers.py``; MAD as a scale: Hampel 1974,
    doi:10.1080/01621459.1974.10482962.

    >>> margins = np.random.default_rng(0).normal(size=(50, 30))
    >>> margins[7] *= 50
    >>> np.flatnonzero(outliers(margins))
    array([7])
    """
    distance = np.abs(margins - np.median(margins, axis=0))
    scale = 1.4826 * np.median(distance, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):  # an example on which most models agree to the last bit
        robust = np.where(scale > 0, distance / scale, np.where(distance > 0, np.inf, 0.0))
    far: ndarray = np.median(robust, axis=1) > FAR
    return far

"""Song and Mittal's modified entropy, a feature for membership inference, and what public code computes instead."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

LEAST = 1e-30  # in place of a probability of 0 in a logarithm


def modified_entropy(
    probabilities: Float[ndarray, "examples classes"], labels: Int[ndarray, " examples"]
) -> Float[ndarray, " examples"]:
    """``-(1 - p_y) log p_y - sum over i != y of p_i log(1 - p_i)``, nats: 0 where the label is sure, large where it is
    surely wrong. Members of a training set have low values.

    Plain entropy is low for every sure prediction, right or wrong; this one is not.

    Args:
        probabilities: of each class, one row per example, each row with sum 1. Margins alone do not suffice.
        labels: the class of each example.

    Returns:
        One value per example, float64.

    Source: Song and Mittal 2021, arXiv:2003.10595.

    >>> modified_entropy(np.array([[0.5, 0.25, 0.25]]), np.array([0])).round(4)  # 0.5 log 2 + 2 * 0.25 log(4 / 3)
    array([0.4904])
    """
    p = np.asarray(probabilities, np.float64)
    rows = np.arange(len(p))
    terms = p * np.log(np.maximum(1 - p, LEAST))
    own = p[rows, labels]
    terms[rows, labels] = (1 - own) * np.log(np.maximum(own, LEAST))
    result: ndarray = -terms.sum(axis=1)
    return result


def modified_entropy_published(
    probabilities: Float[ndarray, "examples classes"], labels: Int[ndarray, " examples"]
) -> Float[ndarray, " examples"]:
    """What the public code of Jia et al. 2023 computes in its place, for published numbers only.

    Two slips: ``log p`` stands where ``log(1 - p)`` is meant, and whole columns are picked where single entries are
    meant, so that in every row each class that is the label of any example gets ``-(1 - p_i) log p_i``. An example's
    value then depends on which others stand beside it.

    Args:
        probabilities: as in :func:`modified_entropy`; all that are computed at once.
        labels: the class of each example.

    Returns:
        One value per example, float64.

    Source: the code of Jia et al. 2023, arXiv:2304.04934, read, not copied.

    >>> modified_entropy_published(np.array([[0.5, 0.25, 0.25]]), np.array([0])).round(4)  # all logs are of p
    array([1.0397])
    """
    p = np.asarray(probabilities, np.float64)
    weights = p.copy()
    labelled = np.unique(labels)
    weights[:, labelled] = 1 - p[:, labelled]
    result: ndarray = -(weights * np.log(np.maximum(p, LEAST))).sum(axis=1)
    return result

"""Do two ensembles come from one distribution? One p-value for all their margins together, by permuting models."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.metrics.anderson_darling import deal_labels, statistic_blocks
from expunge.metrics.comparable import require_comparable


def exchangeable(
    first: Float[ndarray, "models examples"],
    second: Float[ndarray, "others examples"],
    *,
    permutations: int = 999,
    seed: int = 0,
) -> float:
    """P-value of the hypothesis that the labels of the models could have been dealt otherwise; small means different.

    The statistic is Anderson and Darling's, mean over examples; the p-value is the share of labellings, the given one
    included, with one at least as large. It holds however dependent the examples are, for whole models are dealt.

    Returns:
        A share in ``[1 / (permutations + 1), 1]``; two halves of one ensemble get any value, all equally likely.

    >>> margins = np.random.default_rng(0).normal(size=(40, 5))
    >>> exchangeable(margins[:20], margins[20:]) > 0.05 > exchangeable(margins[:20] + 2, margins[20:])
    True
    """
    require_comparable(first, second)
    total = np.zeros(permutations + 1)
    for _, statistics in statistic_blocks(first, second, deal_labels(len(first), len(second), permutations, seed)):
        total = np.vstack([total, statistics]).sum(axis=0)  # one after the other, whatever the blocks
    return float(np.mean(total >= total[0]))

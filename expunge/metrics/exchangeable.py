"""Do two ensembles come from one distribution? One p-value for all their margins together, by permuting models."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.ensembles.mapped_arrays import blocks
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
    total = _ranks_apart(first, second, deal_labels(len(first), len(second), permutations, seed))
    return float(np.mean(total >= total[0]))


def too_near(
    unlearned: Float[ndarray, "models examples"],
    oracle: Float[ndarray, "oracles examples"],
    *,
    permutations: int = 999,
    seed: int = 0,
) -> float:
    """P-value of the hypothesis that the models are independent of the oracles; small means nearer than chance allows.

    The other tail of :func:`exchangeable`: two independent samples of one distribution lie a certain distance apart,
    and what was made of the oracles themselves, shuffled, with noise, or drawn from their means and spreads, lies
    nearer. Two statistics are asked, Anderson and Darling's and the squared difference of the means in standard
    deviations, both mean over examples; the p-value is twice the smaller of the shares of labellings, the given one
    included, with one at most as large. The second sees models that were mixed with each other, which keeps the means.

    Args:
        unlearned: margins, one row per model, of the examples to forget.
        oracle: the same of the reference oracles.
        permutations: of the labels.
        seed: of the permutations.

    Returns:
        A share in ``[2 / (permutations + 1), 1]``; independent oracles get one of 0.01 or less in 1 % of runs, models
        that did not forget hardly ever.

    Source: ours; dealing the labels: Pitman 1937, doi:10.2307/2984124.

    >>> rng = np.random.default_rng(0)
    >>> oracle, other = rng.normal(size=(2, 40, 30))
    >>> too_near(rng.permuted(oracle, axis=0), oracle) < 0.01 < too_near(other, oracle)
    True
    """
    require_comparable(unlearned, oracle)
    labels = deal_labels(len(unlearned), len(oracle), permutations, seed)
    apart = (_ranks_apart(unlearned, oracle, labels), _means_apart(unlearned, oracle, labels))
    return min(1.0, 2 * min(float(np.mean(each <= each[0] * (1 + 1e-9))) for each in apart))


def _ranks_apart(first: ndarray, second: ndarray, labels: ndarray) -> Float[ndarray, " columns"]:
    """Anderson and Darling's statistic, summed over examples, under each column of labels."""
    total = np.zeros(labels.shape[1])
    for _, statistics in statistic_blocks(first, second, labels):
        total = np.vstack([total, statistics]).sum(axis=0)  # one after the other, whatever the blocks
    return total


def _means_apart(first: ndarray, second: ndarray, labels: ndarray) -> Float[ndarray, " columns"]:
    """The squared difference of the means in standard deviations of all, summed over examples."""
    total = np.zeros(labels.shape[1])
    weights = labels / labels.sum(axis=0) - (1 - labels) / (1 - labels).sum(axis=0)
    for _, parts in blocks(first, second):
        pooled = np.concatenate(parts).astype(np.float64)
        spread = pooled.std(axis=0)
        varied = (pooled[:, spread > 0] - pooled.mean(axis=0)[spread > 0]) / spread[spread > 0]
        total += ((varied.T @ weights) ** 2).sum(axis=0)
    return total

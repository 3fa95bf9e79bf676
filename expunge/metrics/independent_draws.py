"""Numbers that were drawn for each example by itself: models have skill and moods, so their margins hang together."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import ndtri
from scipy.stats import rankdata


def dependence(margins: Float[ndarray, "models examples"]) -> float:
    """How surely the examples depend on each other through the models, in standard errors; about 0 where they do not.

    ``(mean r^2 - 1 / (N - 1)) / s``, with r the correlation, over the N models, of two examples' normal scores (ranks
    as quantiles of a normal, so that no exploded model decides), the mean over all pairs of K examples, and
    ``s = sqrt(4 / (K (K - 1))) / (N - 1)``, the standard error of that mean were all examples independent: then each
    ``r^2`` has the mean ``1 / (N - 1)`` and nearly the standard deviation ``sqrt(2) / (N - 1)``, and no two pairs are
    correlated. Examples that do not vary are left out; with fewer than two the number is 0, which says nothing.

    Of oracles on digits, 100 models: 10 on 50 memorised examples, 43 on 144 random ones, thousands on a class.

    Source: the sum of squared correlations, Schott 2005, doi:10.1093/biomet/92.4.951.

    >>> rng = np.random.default_rng(0)
    >>> apart, shared = rng.normal(size=(100, 30)), rng.normal(size=(100, 1))
    >>> abs(dependence(apart)) < 3 < dependence(apart + shared)
    True
    """
    scores = _normal_scores(margins)
    models, examples = scores.shape
    if examples < 2 or models < 3:
        return 0.0
    pairs = examples * (examples - 1)
    mean = (np.linalg.norm(scores @ scores.T) ** 2 - examples) / pairs
    error = np.sqrt(4 / pairs) / (models - 1)
    return float((mean - 1 / (models - 1)) / error)


def cross_dependence(
    margins: Float[ndarray, "models examples"],
    others: Float[ndarray, "models _others"],
    *,
    permutations: int = 100,
    seed: int = 0,
) -> float:
    """How surely two groups of examples depend on each other through the models, in standard errors; about 0 if not.

    The sum of the squared correlations of the normal scores of every example of one group with every one of the other,
    less its mean over orders of the models in one group, by its standard deviation over them. It is what shows that
    margins on the examples to forget are of the same models as the margins on all others: who draws them anew, be it
    with the oracles' own means and covariance, draws them apart from the models. Neither group may be empty or without
    variation: then it is 0, which says nothing.

    Of 100 models on digits: 4 to 50 of honest ones, up to 1.8 of draws.

    Source: a permutation test of the Hilbert-Schmidt independence criterion with linear kernels, Gretton et al. 2007.

    >>> rng = np.random.default_rng(0)
    >>> mine, others, shared = rng.normal(size=(100, 30)), rng.normal(size=(100, 40)), rng.normal(size=(100, 1))
    >>> abs(cross_dependence(mine, others)) < 3 < cross_dependence(mine + shared, others + shared)
    True
    """
    sides = [_normal_scores(side) for side in (margins, others)]
    if not all(side.shape[1] for side in sides) or len(margins) < 3:
        return 0.0
    alike = [side @ side.T for side in sides]
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(margins)) for _ in range(permutations)]
    chance = np.array([(alike[0][np.ix_(order, order)] * alike[1]).sum() for order in orders])
    given = (alike[0] * alike[1]).sum()
    return float((given - chance.mean()) / max(chance.std(), 1e-300))


def _normal_scores(margins: Float[ndarray, "models examples"]) -> Float[ndarray, "models varied"]:
    """Of the examples that vary, the ranks of the models as quantiles of a normal; mean 0, length 1."""
    varied = margins[:, margins.max(axis=0) > margins.min(axis=0)]
    scores = ndtri(rankdata(varied, axis=0) / (len(varied) + 1))
    scores -= scores.mean(axis=0)
    unit: ndarray = scores / np.linalg.norm(scores, axis=0)
    return unit

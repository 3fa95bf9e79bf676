"""Distances between two ensembles that could be the ruler: what the study of metrics compares, a function each.

Each takes the margins of unlearned models and of oracles on the examples of one split, (models, examples) both, and
gives one number, lower is better. None is in METRICS but those that won.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy import ndarray
from scipy.spatial.distance import cdist
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from expunge.metrics.klom import klom
from expunge.metrics.wasserstein import least_scale, wasserstein

NEIGHBOURS = 5
DIRECTIONS = 100
FOLDS = 5

Function = Callable[[ndarray, ndarray], float]


@dataclass(frozen=True)
class Ruler:
    """A distance, whether it looks at examples one by one or at all together, and where it comes from."""

    function: Function
    joint: bool
    source: str


def klom_p95(unlearned: ndarray, oracle: ndarray) -> float:
    """KLoM's 95th percentile over examples, nats."""
    return float(np.percentile(klom(unlearned, oracle), 95))


def klom_mean(unlearned: ndarray, oracle: ndarray) -> float:
    """KLoM's mean over examples, nats."""
    return float(klom(unlearned, oracle).mean())


def wasserstein_mean(unlearned: ndarray, oracle: ndarray) -> float:
    """Wasserstein-1 in standard deviations of the oracles, mean over examples."""
    return float(wasserstein(unlearned, oracle).mean())


def energy(unlearned: ndarray, oracle: ndarray) -> float:
    """``2 E|X - Y| - E|X - X'| - E|Y - Y'|`` of each example, in sd of the oracles; mean over examples.

    ``E|X - X'|`` of n numbers in order is ``2 / n^2 sum_k (2 k - n - 1) x_(k)``, k from 1.
    """
    one, other = _standardised(unlearned, oracle)
    both = np.concatenate([one, other])
    m, n = len(one), len(other)
    within, of_other = _spread(one), _spread(other)
    pooled = _spread(both) * (m + n) ** 2  # sum over all pairs of both
    across = (pooled - within * m**2 - of_other * n**2) / (2 * m * n)
    return float((2 * across - within - of_other).mean())


def gaussian_kl(unlearned: ndarray, oracle: ndarray) -> float:
    """KL(N(mean, var of the unlearned) || N(mean, var of the oracles)) of each example, nats; mean over examples."""
    one, other = _standardised(unlearned, oracle)
    least = 1e-6  # of a variance: constant margins have none
    variances = [np.maximum(side.var(axis=0, ddof=1), least) for side in (one, other)]
    ratio = variances[0] / variances[1]
    moved = (one.mean(axis=0) - other.mean(axis=0)) ** 2 / variances[1]
    return float((0.5 * (ratio - 1 - np.log(ratio) + moved)).mean())


def neighbour_kl(unlearned: ndarray, oracle: ndarray) -> float:
    """KL by the distances to the k-th neighbour in either ensemble, nats; mean over examples.

    ``mean_i log(nu_k(x_i) / rho_k(x_i)) + log(m / (n - 1))``, k = 5: Wang, Kulkarni and Verdu 2009,
    doi:10.1109/TIT.2009.2016060.
    """
    one, other = _standardised(unlearned, oracle)
    values = []
    for mine, theirs in zip(one.T, other.T, strict=True):
        near = np.sort(np.abs(mine[:, None] - mine), axis=1)[:, NEIGHBOURS]  # the first is itself
        far = np.sort(np.abs(mine[:, None] - theirs), axis=1)[:, NEIGHBOURS - 1]
        values.append(np.log(np.maximum(far, 1e-9) / np.maximum(near, 1e-9)).mean())
    return float(np.mean(values) + np.log(len(other) / (len(one) - 1)))


def kolmogorov_smirnov(unlearned: ndarray, oracle: ndarray) -> float:
    """The largest difference of the two distribution functions of each example, 0 to 1; mean over examples."""
    both = np.concatenate([unlearned, oracle])
    order = np.argsort(both, axis=0, kind="stable")
    steps = np.where(order < len(unlearned), 1 / len(unlearned), -1 / len(oracle))
    return float(np.abs(np.cumsum(steps, axis=0)).max(axis=0).mean())


def classifier(unlearned: ndarray, oracle: ndarray) -> float:
    """How often a logistic regression on the margins of all examples tells the ensembles apart, less a half.

    Cross-validated in 5 folds: the classifier two-sample test of Lopez-Paz and Oquab 2017, arXiv:1610.06545.
    """
    x = np.concatenate(_standardised(unlearned, oracle))
    y = np.repeat([1, 0], [len(unlearned), len(oracle)])
    return float(cross_val_score(LogisticRegression(C=0.01, max_iter=200), x, y, cv=FOLDS).mean()) - 0.5


def sliced_wasserstein(unlearned: ndarray, oracle: ndarray) -> float:
    """Wasserstein-1 along 100 random directions of the examples, in oracle sd along them; their mean."""
    return float(np.mean(_slices(unlearned, oracle)))


def max_sliced_wasserstein(unlearned: ndarray, oracle: ndarray) -> float:
    """The same, along the direction of the 100 that tells most."""
    return float(np.max(_slices(unlearned, oracle)))


def joint_energy(unlearned: ndarray, oracle: ndarray) -> float:
    """The energy distance between models as vectors of margins in sd of the oracles, over the root of their length."""
    one, other = _standardised(unlearned, oracle)
    across, within, of_other = (cdist(a, b).mean() for a, b in ((one, other), (one, one), (other, other)))
    return float(2 * across - within - of_other) / float(np.sqrt(one.shape[1]))


def _standardised(unlearned: ndarray, oracle: ndarray) -> tuple[ndarray, ndarray]:
    """Margins in standard deviations of the oracles from their mean, as the distance has them."""
    sides = [side.clip(-100, 100).astype(np.float64) for side in (unlearned, oracle)]
    scale = np.maximum(sides[1].std(axis=0, ddof=1), least_scale(oracle))
    middle = sides[1].mean(axis=0)
    return (sides[0] - middle) / scale, (sides[1] - middle) / scale


def _spread(values: ndarray) -> ndarray:
    """E|X - X'| of each column."""
    count = len(values)
    weights = 2 * np.arange(1, count + 1) - count - 1
    spread: ndarray = 2 * (weights[:, None] * np.sort(values, axis=0)).sum(axis=0) / count**2
    return spread


def _slices(unlearned: ndarray, oracle: ndarray) -> ndarray:
    one, other = _standardised(unlearned, oracle)
    directions = np.random.default_rng(0).normal(size=(one.shape[1], DIRECTIONS))
    return wasserstein(one @ directions, other @ directions)


RULERS: Mapping[str, Ruler] = {
    "KLoM P95": Ruler(klom_p95, joint=False, source="arXiv:2410.23232"),
    "KLoM mean": Ruler(klom_mean, joint=False, source="arXiv:2410.23232"),
    "Wasserstein-1": Ruler(wasserstein_mean, joint=False, source="doi:10.1137/1118101"),
    "energy": Ruler(energy, joint=False, source="doi:10.1016/j.jspi.2013.03.018"),
    "Gaussian KL": Ruler(gaussian_kl, joint=False, source="of two normals"),
    "k-neighbour KL": Ruler(neighbour_kl, joint=False, source="doi:10.1109/TIT.2009.2016060"),
    "Kolmogorov-Smirnov": Ruler(kolmogorov_smirnov, joint=False, source="the two-sample statistic"),
    "classifier": Ruler(classifier, joint=True, source="arXiv:1610.06545"),
    "sliced Wasserstein": Ruler(sliced_wasserstein, joint=True, source="arXiv:1902.00434"),
    "max-sliced Wasserstein": Ruler(max_sliced_wasserstein, joint=True, source="arXiv:1904.05877"),
    "joint energy": Ruler(joint_energy, joint=True, source="doi:10.1016/j.jspi.2013.03.018"),
}

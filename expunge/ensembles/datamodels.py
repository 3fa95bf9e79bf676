"""Datamodels: what a training example does to the margin of every other, out of models trained on random halves.

The datamodel of an example x is linear: its margin is ``b(x) + sum_i beta_i(x) z_i``, where ``z_i`` says whether
training example i was in the model's half. Ilyas et al. 2022, arXiv:2202.00622. All halves have one size, so a number
added to all ``beta_i(x)`` changes no prediction: an effect is that of one example in the place of another.

An estimator takes margins and masks of the models and the indices of a forget set, and returns the sum of its
``beta_i(x)`` for every x: removing the set moves the margin of x by minus that, had the models been trained on halves.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

Estimator = Callable[[ndarray, ndarray, ndarray], ndarray]

_BLOCK = 4096  # examples at once: the margins of a store may be larger than the memory
_STRENGTHS = np.logspace(-3, 3, 49)  # of ridge, in units of the mean eigenvalue
_THRESHOLD = 0.5  # the best of 0.5 to 1 on tuning sets of digits, and better than both other estimators


def ridge(
    margins: Float[ndarray, "models examples"], masks: Bool[ndarray, "models train"], forget: Int[ndarray, " forget"]
) -> Float[ndarray, " examples"]:
    """Ridge regression of the margins on the masks, all examples at once, through the kernel of the models.

    With centred masks Z, margins m and ``K = Z Z^T``: ``beta = Z^T (K + s)^-1 m``. The strength s is the one of least
    generalised cross-validation error (Golub, Heath and Wahba 1979), summed over examples scaled to variance 1.
    """
    z = masks - masks.mean(axis=0)
    values, vectors = np.linalg.eigh(z @ z.T)
    values = values.clip(0)
    strengths = _STRENGTHS * values.mean()
    kept = values / (values + strengths[:, None])  # (strengths, models): the hat matrix, in its eigenvectors
    freedom = 1 - (1 + kept.sum(axis=1)) / len(values)  # one for the mean
    error: ndarray = np.zeros(len(strengths))
    for block in _blocks(margins):
        power = (vectors.T @ block) ** 2 / block.var(axis=0).clip(1e-12)
        error += ((1 - kept) ** 2 @ power).sum(axis=1) / freedom**2
    chosen = vectors.T @ z[:, forget].sum(axis=1)
    weights = vectors @ (chosen / (values + strengths[error.argmin()]))
    return np.concatenate([weights @ block for block in _blocks(margins)])


def difference(
    margins: Float[ndarray, "models examples"], masks: Bool[ndarray, "models train"], forget: Int[ndarray, " forget"]
) -> Float[ndarray, " examples"]:
    """``beta_i`` is the mean margin of the models with example i minus that of those without."""
    contrast, _ = _contrast(masks, forget)
    return np.concatenate([contrast.sum(axis=1) @ block for block in _blocks(margins)])


def soft_threshold(
    margins: Float[ndarray, "models examples"], masks: Bool[ndarray, "models train"], forget: Int[ndarray, " forget"]
) -> Float[ndarray, " examples"]:
    """The differences of means drawn towards 0 by half of ``sqrt(2 log train)`` standard errors, and no further.

    That is the lasso, were the masks orthogonal, as random halves nearly are: most examples have no effect on most
    others, and the sum of many small errors would hide those that have.
    """
    contrast, scale = _contrast(masks, forget)
    width = _THRESHOLD * math.sqrt(2 * math.log(masks.shape[1])) * scale
    parts = []
    for block in _blocks(margins):
        effects = contrast.T @ block  # (forget, examples)
        spared = (np.abs(effects) - width[:, None] * block.std(axis=0)).clip(0)
        parts.append((np.sign(effects) * spared).sum(axis=0))
    return np.concatenate(parts)


def _contrast(
    masks: Bool[ndarray, "models train"], forget: Int[ndarray, " forget"]
) -> tuple[Float[ndarray, "models forget"], Float[ndarray, " forget"]]:
    """Weights of the models whose sum is a difference of means; its standard error where margins have deviation 1."""
    chosen = masks[:, forget].astype(float)
    within = chosen.sum(axis=0).clip(1, len(masks) - 1)
    without = len(masks) - within
    return chosen / within - (1 - chosen) / without, np.sqrt(1 / within + 1 / without)


def _blocks(margins: ndarray) -> Iterator[ndarray]:
    """Centred margins in float64, so many examples at a time."""
    for first in range(0, margins.shape[1], _BLOCK):
        block = margins[:, first : first + _BLOCK].astype(float)
        yield block - block.mean(axis=0)


ESTIMATORS: dict[str, Estimator] = {"soft-threshold": soft_threshold, "ridge": ridge, "difference": difference}

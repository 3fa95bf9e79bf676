"""Margins whose truth is known: families of distributions, examples tied together through their models."""

import numpy as np
from numpy import ndarray

FAMILIES = {
    "normal": lambda rng, size: rng.normal(size=size),
    "t3": lambda rng, size: rng.standard_t(3, size=size) / np.sqrt(3),
    "bimodal": lambda rng, size: (rng.choice([-1.0, 1.0], size=size) + 0.4 * rng.normal(size=size)) / np.sqrt(1.16),
}


def draw(
    rng: np.random.Generator, models: int, examples: int, *, family: str = "normal", shared: float = 0.3
) -> ndarray:
    """Margins of mean 0 and variance 1, of which the share ``shared`` is one normal number per model."""
    own = FAMILIES[family](rng, (models, examples))
    margins: ndarray = np.sqrt(shared) * rng.normal(size=(models, 1)) + np.sqrt(1 - shared) * own
    return margins.astype(np.float32)


def halves(rng: np.random.Generator, margins: ndarray) -> tuple[ndarray, ndarray]:
    """Two halves of the models, at random."""
    order = rng.permutation(len(margins))
    return margins[order[: len(order) // 2]], margins[order[len(order) // 2 :]]

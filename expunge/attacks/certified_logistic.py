"""Certified removal from logistic regression: what a provider does that an attacker wants to slow down.

Trained on ``sum_i l(y_i x_i . w) + lambda n / 2 ||w||^2 + b . w`` with ``l(z) = log(1 + exp(-z))``, ``b ~ N(0, sigma^2
I)``; an example is removed by one Newton step. What such steps leave of the gradient is bounded, and the bounds add up
to a budget, over which the provider trains anew. Guo et al. 2020, arXiv:1911.03030, derived from the paper.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.special import expit

from expunge.certificates.theorems.removal import LOGISTIC, factor, residual_bound


@dataclass(frozen=True, eq=False)
class Logistic:
    """The objective on some examples: inputs, signs -1 or +1, ``decay`` lambda and the ``noise`` b."""

    x: Float[ndarray, "examples features"]
    y: Float[ndarray, " examples"]
    decay: float
    noise: Float[ndarray, " features"]

    def without(self, rows: int | Int[ndarray, " rows"]) -> "Logistic":
        """The objective on all examples but one, or some."""
        return replace(self, x=np.delete(self.x, rows, axis=0), y=np.delete(self.y, rows))

    def gradient(self, w: Float[ndarray, " features"]) -> Float[ndarray, " features"]:
        """Of the objective at ``w``."""
        slope = -self.y * expit(-self.y * (self.x @ w))
        found: ndarray = self.x.T @ slope + self.decay * len(self.y) * w + self.noise
        return found

    def hessian(self, w: Float[ndarray, " features"]) -> Float[ndarray, "features features"]:
        """Of the objective at ``w``."""
        chance = expit(self.x @ w)
        found: ndarray = (self.x.T * (chance * (1 - chance))) @ self.x
        return found + self.decay * len(self.y) * np.eye(self.x.shape[1])

    def trained(self, start: Float[ndarray, " features"], steps: int = 50) -> Float[ndarray, " features"]:
        """Where Newton's method ends, its step halved as long as the gradient would grow."""
        w = start
        for _ in range(steps):
            gradient = self.gradient(w)
            step, size = np.linalg.solve(self.hessian(w), gradient), 1.0
            while np.linalg.norm(self.gradient(w - size * step)) > np.linalg.norm(gradient) and size > 1e-6:
                size /= 2
            if np.linalg.norm(gradient) < 1e-10 or size <= 1e-6:
                break
            w = w - size * step
        return w


def removed(objective: Logistic, w: Float[ndarray, " features"], row: int) -> tuple[Float[ndarray, " features"], float]:
    """The weights after an example has left by one Newton step, and what that leaves of the gradient, at most.

    The step is ``H^-1 g``: H of the examples that remain, at ``w``, and ``g = grad l(x_row) + lambda w``, by which
    the gradients of the two objectives differ. The bound is ``1/4 ||X||_2 ||H^-1 g||_2 ||X H^-1 g||_2``, X the inputs
    that remain; where the gradient at ``w`` is not 0, its norm is to be added.
    """
    rest = objective.without(row)
    step = np.linalg.solve(rest.hessian(w), objective.gradient(w) - rest.gradient(w))
    return w + step, residual_bound(rest.x, step, LOGISTIC)


@dataclass(frozen=True)
class Ledger:
    """What came of a queue of removals: how often the provider trained anew, when first, and where it ended."""

    removals: int
    retrained: int
    first: int  # removals served before the first training anew; all of them where there was none
    spent: float  # bounds of all removals, added up, trainings anew or not
    w: Float[ndarray, " features"]


def served(
    objective: Logistic, rows: Sequence[int] | Int[ndarray, " rows"], *, epsilon: float, delta: float, sigma: float
) -> Ledger:
    """Serve removals one by one; train anew on what remains when ``sigma epsilon / sqrt(2 ln(1.5 / delta))`` is spent.

    After each training the norm of the gradient at which it stopped is the first that is spent.
    """
    budget = sigma * epsilon / factor(delta)
    w = objective.trained(np.zeros(objective.x.shape[1]))
    spent, total, anew, first = float(np.linalg.norm(objective.gradient(w))), 0.0, 0, len(rows)
    left = np.arange(len(objective.y))
    for number, row in enumerate(rows):
        place = int(np.flatnonzero(left == row)[0])
        moved, bound = removed(objective, w, place)
        objective, left = objective.without(place), np.delete(left, place)
        w, spent, total = moved, spent + bound, total + bound
        if spent > budget:
            w = objective.trained(w)
            spent, anew, first = float(np.linalg.norm(objective.gradient(w))), anew + 1, min(first, number)
    return Ledger(len(rows), anew, first, total, w)

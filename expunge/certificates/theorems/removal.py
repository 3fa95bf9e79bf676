"""Certified removal from linear models: Guo et al. 2020, arXiv:1911.03030; here derived from the paper, not its code.

Training minimises ``sum of losses + lambda n / 2 ||w||^2 + b . w`` with b ~ N(0, sigma^2 I). A Newton step on the data
that remain leaves a gradient there; b hides that gradient as long as its bounds, added up, stay below a budget.
"""

import math

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.certificates.theorems.statement import Calibration, Needed, Theorem, Values
from expunge.errors import EpsilonTooLarge

LOGISTIC = 0.25  # Lipschitz constant of the second derivative of the logistic loss; the least one is 1 / (6 sqrt(3))


def residual_bound(
    inputs: Float[ndarray, "examples features"], step: Float[ndarray, " features"], curvature: float = LOGISTIC
) -> float:
    """``curvature ||X||_2 ||step||_2 ||X step||_2``: the norm of the gradient that one Newton step leaves, at most.

    ``inputs`` are the X that remain, each of norm 1 at most, ``step`` is H^-1 g, the step that was taken, with the
    Hessian and the gradient of sums over them. Of several classes, one against the rest, each has a bound of its own.
    What is left is ``sum_i (l''(t_i) - l''(s_i)) x_i (x_i . step)`` with ``|t_i - s_i| <= ||x_i|| ||step||``, derived:
    so ``max ||x_i||`` belongs in it where inputs are longer. With 1/4, which is 3 sqrt(3) / 2 times the least constant
    of the logistic loss, it holds as it stands up to a norm of 2.598.
    Source: corollary 1, whose statement was read in secondary sources.
    """
    spectral = float(np.linalg.norm(inputs, 2)) if inputs.size else 0.0
    return curvature * spectral * float(np.linalg.norm(step)) * float(np.linalg.norm(inputs @ step))


def worst_residual(curvature: float, gradient: float, lambda_: float, n: int) -> float:
    """``4 curvature C^2 / (lambda^2 (n - 1))``, C a bound on the loss's gradient: one removal, whatever the data.

    For inputs of norm up to 1. Source: theorem 1, as a secondary source gives it.

    >>> round(worst_residual(0.25, 1.0, 0.1, 101), 6)
    1.0
    """
    return 4 * curvature * gradient**2 / (lambda_**2 * (n - 1))


def together(residuals: Float[ndarray, "removals heads"]) -> float:
    """The budget that removals took: added up for each head, then the L2 norm over heads, whose noises are independent.

    The sum over removals is Guo et al.'s; the norm over heads is derived here: their b is one vector.

    >>> together(np.array([[1.0, 2.0], [2.0, 2.0]]))
    5.0
    """
    return float(np.linalg.norm(np.sum(residuals, axis=0)))


def factor(delta: float) -> float:
    """``c = sqrt(2 ln(1.5 / delta))``, which solves delta = 1.5 exp(-c^2 / 2)."""
    return math.sqrt(2 * math.log(1.5 / delta))


def _sigma(values: Values, epsilon: float, delta: float) -> float:
    return values["beta"] * factor(delta) / _proven(epsilon)


def _epsilon(values: Values, sigma: float, delta: float) -> float:
    if values["beta"] == 0:
        return 0.0
    return _proven(values["beta"] * factor(delta) / sigma) if sigma else math.inf


def _proven(epsilon: float) -> float:
    """Epsilon up to 1: above, the tail of a Gaussian is more than 1.5 exp(-c^2 / 2)."""
    if epsilon > 1:
        raise EpsilonTooLarge(
            f"epsilon {epsilon:g}: delta = 1.5 exp(-c^2 / 2) is proven up to epsilon 1; take an epsilon up to 1, more "
            "noise in training, or remove less"
        )
    return epsilon


REMOVAL = Theorem(
    name="certified-removal",
    source="Guo et al. 2020, arXiv:1911.03030, theorem 3",
    reads=(Needed("beta", "norm of the gradient that all removals so far left, at most, with what training left"),),
    conditions=("linear model", "converged", "objective perturbation", "exact Hessian", "no buffers"),
    calibration=Calibration(_sigma, _epsilon),
    sequential="the bounds of all removals are added up in beta; where they are too many, train anew",
)

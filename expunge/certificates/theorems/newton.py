"""How far one Newton step lies from retraining: Zhang et al. 2024, arXiv:2408.00920, on the ball of radius C.

Constants, all on the ball ||w|| <= C: ``L`` Lipschitz constant of the gradient, ``M`` of the Hessian, ``lambda_`` what
is added to the Hessian's diagonal, ``lambda_min`` its least eigenvalue before that (may be negative), ``G`` bound on
the gradient where training stopped, ``d`` parameters, ``rho`` chance that the sampled inverse is worse than the bound.
"""

import math

from expunge.certificates.theorems.statement import Needed, Shift, Theorem, Values, all_of_it, analytic
from expunge.errors import NotPositiveDefinite

BALL = Needed("C", "radius of the ball that all weights are projected on", above=0.0)
HESSIAN = Needed("M", "Lipschitz constant of the Hessian on the ball")
DAMPING = Needed("lambda", "added to the diagonal of the Hessian")
LEAST = Needed("lambda_min", "least eigenvalue of the Hessian of the retained loss, before damping", least=-math.inf)


def exact_shift(C: float, M: float, lambda_: float, lambda_min: float) -> float:
    """``2C(MC + lambda) / (lambda + lambda_min)``, a distance of weights: exact Hessian, training converged.

    Source: theorem 3.4, as secondary sources give it; its proof was derived again: ||w~ - w~*|| is at most
    ``(M/2 ||w* - w~*||^2 + lambda ||w* - w~*||) / (lambda + lambda_min)``, and two points of the ball lie 2C apart.

    >>> exact_shift(C=10, M=1, lambda_=200, lambda_min=0)
    21.0
    """
    return 2 * C * (M * C + lambda_) / _curvature(lambda_, lambda_min)


def sampled_shift(
    C: float, M: float, lambda_: float, lambda_min: float, *, L: float, G: float, d: float, rho: float
) -> float:
    """``(2C(MC + lambda) + G) / c + (16 sqrt(ln(d / rho)) / c + 1/16) (2LC + G)``, c = lambda + lambda_min.

    A distance of weights that holds with probability 1 - rho, for the inverse by LiSSA and training that stopped early.
    Source: theorem 3.6, as two secondary sources give it. A public port has sqrt(d / rho) where ln(d / rho) stands.

    >>> round(sampled_shift(C=10, M=1, lambda_=200, lambda_min=0, L=1, G=0.01, d=136_000, rho=0.1), 1)
    28.3
    """
    curvature = _curvature(lambda_, lambda_min)
    newton = (2 * C * (M * C + lambda_) + G) / curvature
    sampling = (16 * math.sqrt(math.log(d / rho)) / curvature + 1 / 16) * (2 * L * C + G)
    return newton + sampling


def _curvature(lambda_: float, lambda_min: float) -> float:
    if not lambda_ + lambda_min > 0:
        raise NotPositiveDefinite(
            f"lambda {lambda_:g} + lambda_min {lambda_min:g} is not above 0: the damped Hessian may have no inverse; "
            f"take lambda above {-lambda_min:g}"
        )
    return lambda_ + lambda_min


def diameter(values: Values) -> float:
    """``2 C``: two points of the ball lie no farther apart."""
    return 2 * values["C"]


def _exact(values: Values) -> float:
    C, M, damping, least = (values[name] for name in ("C", "M", "lambda", "lambda_min"))
    return exact_shift(C, M, damping, least)


def _sampled(values: Values) -> float:
    C, M, damping, least = (values[name] for name in ("C", "M", "lambda", "lambda_min"))
    L, G, d, rho = (values[name] for name in ("L", "G", "d", "rho"))
    return sampled_shift(C, M, damping, least, L=L, G=G, d=d, rho=rho)


def _hidden(formula: Shift) -> Shift:
    return lambda values: min(formula(values), diameter(values))


_SOURCE = "Zhang et al. 2024, arXiv:2408.00920"
_SEQUENTIAL = "Delta does not grow with the request where the carried weights, without noise, are projected on the ball"

EXACT = Theorem(
    name="newton",
    source=f"{_SOURCE}, theorem 3.4",
    reads=(BALL, HESSIAN, DAMPING, LEAST),
    conditions=("smooth", "smooth Hessian", "projected", "converged", "exact Hessian", "no buffers", "no chance"),
    calibration=analytic(_hidden(_exact)),
    formula_of=_exact,
    diameter_of=diameter,
    spread_of=all_of_it,
    sequential=_SEQUENTIAL,
)
SAMPLED = Theorem(
    name="newton-lissa",
    source=f"{_SOURCE}, theorem 3.6",
    reads=(
        *(BALL, HESSIAN, DAMPING, LEAST),
        Needed("L", "Lipschitz constant of the gradient on the ball"),
        Needed("G", "norm of the gradient where training stopped, at most"),
        Needed("d", "parameters", least=1.0),
        Needed("rho", "chance that the sampled inverse is worse than the bound", above=0.0, below=1.0),
    ),
    conditions=("smooth", "smooth Hessian", "projected", "sampled Hessian", "no buffers", "no chance"),
    calibration=analytic(_hidden(_sampled)),
    formula_of=_sampled,
    diameter_of=diameter,
    spread_of=all_of_it,
    sequential=_SEQUENTIAL,
)

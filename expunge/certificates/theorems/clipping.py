"""Noisy fine-tuning on what is retained: Koloskova et al. 2025, arXiv:2506.06985: no assumption on the loss.

The weights are first clipped to norm C0, so that the models trained with and without the forgotten examples lie at most
2 C0 apart; what follows reads retained data only, and its noise makes the two indistinguishable.
"""

import math

import numpy as np

from expunge.certificates.theorems.gaussian import epsilon_of, log_delta_of
from expunge.certificates.theorems.renyi import epsilon_of_curve, least_noise
from expunge.certificates.theorems.roots import crossing
from expunge.certificates.theorems.statement import Calibration, Needed, Theorem, Values, all_of_it, analytic
from expunge.errors import BadConstant

_START = Needed("C0", "norm that the weights are clipped to before unlearning", above=0.0)
_ONLY = ("clipped weights", "retained data only", "no buffers")


def enough_steps(C0: float, gamma: float, eta: float) -> int:
    """``ceil(C0 / (gamma eta))``: steps after which the clipped gradients could have crossed the ball.

    >>> enough_steps(30.0, 10.0, 0.5)
    6
    """
    return math.ceil(C0 / (gamma * eta))


def distance(C0: float, gamma: float, eta: float, *, lambda_: float, T: float) -> float:
    """``2 C0 c^T + (2 gamma / lambda)(1 - c^T)``, c = 1 - eta lambda: how far two runs can drift apart in T steps.

    A step is ``w <- c w - eta clip(gradient, gamma) + N(0, sigma^2 I)``. At lambda 0: ``2 C0 + 2 gamma eta T``.
    """
    if lambda_ == 0:
        return 2 * C0 + 2 * gamma * eta * T
    kept = T * math.log1p(-eta * lambda_)
    return 2 * C0 * math.exp(kept) - 2 * gamma / lambda_ * math.expm1(kept)


def variance_weight(eta: float, *, lambda_: float, T: float) -> float:
    """``(1 - c^(2T)) / (eta lambda (2 - eta lambda))``: the noise of T steps that stays, in sigma^2; T at lambda 0."""
    decay = eta * lambda_
    return -math.expm1(2 * T * math.log1p(-decay)) / (decay * (2 - decay)) if decay else T


def divergence(alpha: float, sigma: float, drift: float, weight: float) -> float:
    """``alpha / 2 (distance / sigma)^2 / variance weight``: Renyi divergence of order alpha of the two runs.

    Privacy amplification by iteration, derived again: the shifts that each step's noise hides are chosen in proportion
    to what is left of that noise at the end. The published accountant leaves out alpha.
    """
    return alpha / 2 * (drift / sigma) ** 2 / weight


def variance_official(drift: float, weight: float, divergence: float, lambda_: float) -> float:
    """The published noise, squared: ``distance^2 / (2 R weight)``; at lambda 0 with 4 in place of 2.

    UNSOUND. At lambda 0 it is half of what its own accountant, and the limit of the other branch, ask for; and R, one
    number, stands for the divergence of every order, which for Gaussian noise grows with the order.
    Source: the authors' code.
    """
    return drift**2 / ((2 if lambda_ else 4) * divergence * weight)


def model_clipping_delta(epsilon: float, sigma: float, C2: float, T: float, start: float = 0.0) -> float:
    """Natural logarithm of the delta after T steps, each clipped to C2 and then noised; ``start`` is that before them.

    ``delta <- delta theta(ln(1 + (e^epsilon - 1) / delta), 2 C2 / sigma)``, theta(e, r) the delta of a Gaussian.
    Source: the authors' code; the step is theorem 1 of Balle et al. 2019, arXiv:1905.12264, recollected.
    """
    log_delta, over = start, _log_expm1(epsilon)
    for _ in range(round(T)):
        farther = _softplus(over - log_delta)
        log_delta += log_delta_of(farther, 2 * C2 / sigma)
    return log_delta


def _log_expm1(epsilon: float) -> float:
    return epsilon + math.log(-math.expm1(-epsilon)) if epsilon else -math.inf


def _softplus(value: float) -> float:
    """``ln(1 + e^value)``."""
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))


def _run(values: Values) -> tuple[float, float]:
    """Distance and variance weight."""
    C0, gamma, eta, lambda_, T = (values[name] for name in ("C0", "gamma", "eta", "lambda", "T"))
    if eta * lambda_ >= 1:
        raise BadConstant(f"eta lambda = {eta * lambda_:g}: expected below 1; take a smaller rate or penalty")
    return distance(C0, gamma, eta, lambda_=lambda_, T=T), variance_weight(eta, lambda_=lambda_, T=T)


def _clipped_epsilon(values: Values, sigma: float, delta: float) -> float:
    drift, weight = _run(values)
    return epsilon_of_curve(lambda alpha: divergence(alpha, sigma, drift, weight), delta) if sigma else math.inf


def _clipped_sigma(values: Values, epsilon: float, delta: float) -> float:
    return least_noise(lambda sigma: _clipped_epsilon(values, sigma, delta), epsilon)


def _official_epsilon(values: Values, sigma: float, delta: float) -> float:
    if not sigma:
        return math.inf
    drift, weight = _run(values)
    constant = variance_official(drift, weight, 1.0, values["lambda"]) / sigma**2
    return constant + _official_spread(delta)


def _official_sigma(values: Values, epsilon: float, delta: float) -> float:
    drift, weight = _run(values)
    left = epsilon - _official_spread(delta)
    if left <= 0:
        raise BadConstant(
            f"the published accountant gives no epsilon below {_official_spread(delta):.3g} at this delta"
        )
    return math.sqrt(variance_official(drift, weight, left, values["lambda"]))


def _official_spread(delta: float) -> float:
    """What the published conversion adds to a divergence, at the best of the orders that it tries."""
    alpha = np.linspace(1.001, 1000, 10_000)
    return float(np.min(np.log1p(-1 / alpha) - (np.log(delta) + np.log(alpha)) / (alpha - 1)))


def _model_epsilon(values: Values, sigma: float, delta: float) -> float:
    C0, start, C2, T = (values[name] for name in ("C0", "sigma0", "C2", "T"))
    most = epsilon_of(2 * C0 / start, delta) if start else math.inf  # of the noise before the first step, alone
    if not sigma:
        return most

    def over(epsilon: float) -> float:
        found = model_clipping_delta(epsilon, sigma, C2, T, _model_start(values, epsilon))
        return found - math.log(delta)

    most = min(most, epsilon_of(2 * C2 / sigma, delta))  # of one step, alone
    if not most or over(0.0) <= 0:
        return 0.0
    return crossing(over, 0.0, most * (1 + 1e-9))


def _model_start(values: Values, epsilon: float) -> float:
    return log_delta_of(epsilon, 2 * values["C0"] / values["sigma0"]) if values["sigma0"] else 0.0


def _model_sigma(values: Values, epsilon: float, delta: float) -> float:
    return least_noise(lambda sigma: _model_epsilon(values, sigma, delta), epsilon)


def _stays(values: Values, sigma: float) -> float:
    return sigma * math.sqrt(_run(values)[1])


def _diameter(values: Values) -> float:
    return 2 * values["C0"]


_SOURCE = "Koloskova et al. 2025, arXiv:2506.06985"
_SEQUENTIAL = "each request starts anew from the clipped weights; what several releases show adds up"
_GRADIENT = (
    _START,
    Needed("gamma", "norm that the gradient of each step is clipped to", above=0.0),
    Needed("eta", "rate of a step", above=0.0),
    Needed("lambda", "weight decay, in the step itself"),
    Needed("T", "noisy steps", least=1.0),
)

GRADIENT = Theorem(
    name="gradient-clipping",
    source=f"{_SOURCE}; with the order of the divergence kept, derived",
    reads=_GRADIENT,
    conditions=(*_ONLY, "clipped steps", "plain steps"),
    calibration=Calibration(_clipped_sigma, _clipped_epsilon),
    spread_of=_stays,
    sequential=_SEQUENTIAL,
)
OFFICIAL = Theorem(
    name="gradient-clipping-official",
    source=f"{_SOURCE}, the authors' code",
    reads=_GRADIENT,
    conditions=(*_ONLY, "clipped steps", "plain steps"),
    calibration=Calibration(_official_sigma, _official_epsilon),
    spread_of=_stays,
    sequential=_SEQUENTIAL,
    unsound="the published noise takes the Renyi divergence as the same at every order, and without weight decay it is "
    "half of the variance that its own accountant asks for",
)
MODEL = Theorem(
    name="model-clipping",
    source=f"{_SOURCE}; the accountant as the authors' code has it",
    reads=(
        _START,
        Needed("sigma0", "noise on the clipped weights before the first step; 0: none"),
        Needed("C2", "norm that the weights are clipped to at each step, before its noise", above=0.0),
        Needed("T", "noisy steps", least=1.0, most=100_000.0),
    ),
    conditions=(*_ONLY,),
    calibration=Calibration(_model_sigma, _model_epsilon),
    spread_of=all_of_it,
    sequential=_SEQUENTIAL,
)
OUTPUT = Theorem(
    name="output-perturbation",
    source=f"{_SOURCE}, its baseline; analytic calibration",
    reads=(_START,),
    conditions=("clipped weights", "no buffers"),
    calibration=analytic(_diameter),
    formula_of=_diameter,
    diameter_of=_diameter,
    spread_of=all_of_it,
    sequential=_SEQUENTIAL,
)

"""From Renyi divergence to (epsilon, delta): a curve over orders, read at its best order.

Two distributions whose Renyi divergence of order alpha is at most ``curve(alpha)``, in both directions, are
(epsilon, delta) indistinguishable; every order above 1 gives a valid epsilon, so the least of them is one too.
"""

import math
from collections.abc import Callable

from scipy.optimize import minimize_scalar

from expunge.certificates.theorems.roots import crossing
from expunge.errors import BadSetting

Curve = Callable[[float], float]

_LOW, _HIGH, _STEPS = -12.0, 24.0, 145  # natural logarithms of alpha - 1 that are tried
_FINE = 1e-9
_WIDEST = 1e100  # of noises that are tried


def epsilon_at(alpha: float, divergence: float, delta: float) -> float:
    """``R + ln((alpha - 1) / alpha) - (ln delta + ln alpha) / (alpha - 1)`` for a divergence R, not below 0.

    Source: Canonne, Kamath and Steinke 2020, arXiv:2004.00010, as opacus has it; below :func:`epsilon_mironov`.

    >>> round(epsilon_at(10.0, 0.1, 1e-5), 3) < round(epsilon_mironov(10.0, 0.1, 1e-5), 3)
    True
    """
    spared = math.log1p(-1 / alpha) - math.log(alpha) / (alpha - 1)
    return max(0.0, epsilon_mironov(alpha, divergence, delta) + spared)


def epsilon_mironov(alpha: float, divergence: float, delta: float) -> float:
    """``R + ln(1 / delta) / (alpha - 1)``. Source: Mironov 2017, arXiv:1702.07476, proposition 3.

    >>> epsilon_mironov(2.0, 0.0, math.exp(-3.0))
    3.0
    """
    return divergence - math.log(delta) / (alpha - 1)


def epsilon_of_curve(curve: Curve, delta: float, convert: Callable[[float, float, float], float] = epsilon_at) -> float:
    """The least epsilon of all orders above 1; infinite where the curve is infinite at all of them.

    >>> round(epsilon_of_curve(lambda alpha: alpha / 2, 1e-5), 2)  # Gaussian noise as large as the shift
    4.73
    """

    def at(order: float) -> float:
        alpha = 1 + math.exp(order)
        return convert(alpha, curve(alpha), delta)

    width = (_HIGH - _LOW) / (_STEPS - 1)
    best = min((_LOW + step * width for step in range(_STEPS)), key=at)
    found = minimize_scalar(at, bounds=(best - width, best + width), method="bounded", options={"xatol": _FINE})
    return min(at(best), float(found.fun))


def least_noise(epsilon_of: Callable[[float], float], epsilon: float) -> float:
    """The least noise whose epsilon is no more than ``epsilon``, where epsilon falls as the noise grows.

    Raises :class:`~expunge.errors.BadSetting` where no noise is enough.
    """
    low = high = 1.0
    while epsilon_of(high) > epsilon:
        high *= 4
        if high > _WIDEST:
            raise BadSetting(f"no noise reaches epsilon {epsilon:g}: raise epsilon or delta, or change the constants")
    while epsilon_of(low) < epsilon:
        low /= 4
        if low < 1 / _WIDEST:
            return 0.0
    if low == high:
        return low
    return math.exp(crossing(lambda power: epsilon_of(math.exp(power)) - epsilon, math.log(low), math.log(high)))

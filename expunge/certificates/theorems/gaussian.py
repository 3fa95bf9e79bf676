"""The Gaussian mechanism: how much noise hides a shift, and how well a noise hides one.

Two weights that lie ``shift`` apart (L2) become, with noise N(0, sigma^2 I) on each, two clouds that nobody tells apart
better than (epsilon, delta) says. Only ``ratio = shift / sigma`` matters.
"""

import math

from jaxtyping import Float
from numpy import ndarray
from scipy.special import log_ndtr

from expunge.certificates.theorems.roots import crossing
from expunge.errors import BadSetting, EpsilonTooLarge

_ROOM = 1e-9  # so that rounding moves no root out of its bracket

Numbers = float | Float[ndarray, " models"]


def sigma_classic(shift: Numbers, epsilon: float, delta: float) -> Numbers:
    """``shift * sqrt(2 ln(1.25 / delta)) / epsilon``, a standard deviation; refused above epsilon 1, unproven there.

    Source: Dwork and Roth 2014, theorem A.1. Raises :class:`~expunge.errors.EpsilonTooLarge`.

    >>> round(sigma_classic(1.0, 1.0, 1e-5), 3)
    4.845
    """
    require_target(epsilon, delta)
    if epsilon > 1:
        raise EpsilonTooLarge(
            f"epsilon {epsilon:g}: the classic calibration is proven up to 1; take the analytic one, or epsilon up to 1"
        )
    return shift * (math.sqrt(2 * math.log(1.25 / delta)) / epsilon)


def sigma_analytic(shift: Numbers, epsilon: float, delta: float) -> Numbers:
    """The least sigma that hides ``shift`` at (epsilon, delta), exact for every epsilon above 0.

    Source: Balle and Wang 2018, arXiv:1805.06530, theorem 8.

    >>> round(sigma_analytic(1.0, 1.0, 1e-5), 3)
    3.731
    """
    return shift / ratio_of(epsilon, delta)


def delta_of(epsilon: float, ratio: float) -> float:
    """``Phi(r/2 - epsilon/r) - e^epsilon Phi(-r/2 - epsilon/r)``, r = ``ratio``: what delta remains; lower is better.

    Source: Balle and Wang 2018, arXiv:1805.06530, theorem 8.

    >>> round(delta_of(0.0, 1.0), 4)  # the total variation of two normals one standard deviation apart
    0.3829
    """
    return math.exp(log_delta_of(epsilon, ratio))


def log_delta_of(epsilon: float, ratio: float) -> float:
    """The natural logarithm of :func:`delta_of`, which has no smallest number; minus infinity at ratio 0."""
    if ratio == 0:
        return -math.inf
    present, absent = log_ndtr(ratio / 2 - epsilon / ratio), log_ndtr(-ratio / 2 - epsilon / ratio)
    if present == -math.inf:
        return -math.inf
    gap = epsilon + absent - present
    if not gap < 0:  # both tails are beyond what floats tell apart
        return -math.inf
    return float(present + math.log(-math.expm1(gap)))


def epsilon_of(ratio: float, delta: float) -> float:
    """The least epsilon at which noise of ``shift / ratio`` hides a shift; 0 where delta alone covers it.

    The inverse of :func:`delta_of` in epsilon; infinite where there is no noise under a shift.

    >>> round(epsilon_of(1 / 3.7306, 1e-5), 3)
    1.0
    """
    _require_delta(delta)
    if not ratio >= 0:
        raise BadSetting(f"expected a ratio of shift to sigma from 0 on, got {ratio:g}")
    if math.isinf(ratio):
        return math.inf
    goal = math.log(delta)
    if log_delta_of(0.0, ratio) <= goal:
        return 0.0
    most = ratio * ratio / 2 + ratio * math.sqrt(2 * math.log(1 / delta))  # by the tail of the privacy loss
    return crossing(lambda epsilon: log_delta_of(epsilon, ratio) - goal, 0.0, most * (1 + _ROOM))


def ratio_of(epsilon: float, delta: float) -> float:
    """The largest ``shift / sigma`` that is (epsilon, delta) indistinguishable; higher is less noise."""
    require_target(epsilon, delta)
    goal = math.log(delta)
    low = high = 1.0
    while log_delta_of(epsilon, high) < goal:  # it ends: delta goes to 1
        high *= 2
    while log_delta_of(epsilon, low) > goal:
        low /= 2
    return crossing(lambda ratio: log_delta_of(epsilon, ratio) - goal, low, high)


def require_target(epsilon: float, delta: float) -> None:
    """Refuse an (epsilon, delta) that no certificate can have."""
    if not (0 < epsilon < math.inf):
        raise BadSetting(f"expected an epsilon above 0 and finite, got {epsilon:g}")
    _require_delta(delta)


def _require_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise BadSetting(f"expected a delta between 0 and 1, got {delta:g}")

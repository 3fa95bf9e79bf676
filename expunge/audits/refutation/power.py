"""What a count of models can refute: the least true epsilon at which a claim falls in 80 of 100 cases."""

from functools import cache

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.special import bdtrc, ndtr
from scipy.stats import binom

from expunge.audits.epsilon import LEVEL, cap, epsilon_of_rates, rate_at_least, rate_at_most, require_privacy
from expunge.certificates.theorems.gaussian import epsilon_of

POWER = 0.8
_THRESHOLDS = 101
_FARTHEST = 80.0  # ratio of shift to sigma: beyond, all models of both arms lie on their own sides


@cache
def least_refuted(
    epsilon: float, delta: float, models: int, references: int, *, level: float = LEVEL, power: float = POWER
) -> float | None:
    """The least true epsilon that refutes the claim (``epsilon``, ``delta``) with chance ``power``; None above the cap.

    The truth is taken to be Gaussian: one number a model whose arms lie a shift apart, under noise that leaves an
    epsilon at ``delta`` by the analytic formula. The threshold is the best there is, as if nothing had to be chosen, so
    what is measured has at most this power. Exact, over all counts of so many held-out models.

    >>> least_refuted(4.0, 1e-5, 100, 100) is None
    True
    """
    require_privacy(epsilon, delta)
    if cap(models, references, delta, level) <= epsilon:
        return None
    needed = hits_needed(epsilon, delta, models, references, level)
    low, high = 0.0, _FARTHEST
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if _chance(middle, needed, models) >= power else (middle, high)
    return epsilon_of(high, delta)


def hits_needed(
    epsilon: float, delta: float, models: int, references: int, level: float = LEVEL
) -> Int[ndarray, " alarms"]:
    """The fewest hits that refute a claim, for each number of alarms from 0 on; one more than ``models`` if none do."""
    tail = (1 - level) / 2
    high = rate_at_most(np.arange(references + 1), references, tail)
    few, many = np.zeros(references + 1, int), np.full(references + 1, models + 1)
    while (few < many).any():  # by bisection: more hits never refute less
        middle = (few + many) // 2
        low = rate_at_least(np.minimum(middle, models), models, tail)
        enough = (epsilon_of_rates(low, high, delta) > epsilon) | (middle > models)
        few, many = np.where(enough, few, np.minimum(middle + 1, many)), np.where(enough, middle, many)
    return few


def _chance(ratio: float, needed: Int[ndarray, " alarms"], models: int) -> float:
    """How often a claim falls that needs so many hits, at the best of many thresholds."""
    thresholds = np.linspace(-4.0, ratio + 4.0, _THRESHOLDS)[:, None]
    alarms = binom.pmf(np.arange(len(needed)), len(needed) - 1, ndtr(-thresholds))
    hits: Float[ndarray, "thresholds alarms"] = _at_least(needed, models, ndtr(ratio - thresholds))
    return float((alarms * hits).sum(axis=1).max())


def _at_least(needed: Int[ndarray, " alarms"], models: int, rate: ndarray) -> Float[ndarray, "thresholds alarms"]:
    """The chance of so many hits or more."""
    some = np.clip(needed - 1, 0, models)
    found: ndarray = np.where(needed == 0, 1.0, np.where(needed > models, 0.0, bdtrc(some, models, rate)))
    return found

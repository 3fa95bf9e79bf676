"""Epsilon from below: how often an event happens in two arms of models says how far apart they lie at least.

The definition of certified unlearning holds for all events T, with P the distribution of the released models
``U(D, D_u, A(D))`` and Q that of the reference ``U(D_r, nothing, A(D_r))``, and with P and Q exchanged:
``P(T) <= e^epsilon Q(T) + delta``. So each single event says something of epsilon, if it was fixed without a look at
the models in which it is counted. Let it happen in P at the rate p, in Q at the rate q; asked of T, and of its
complement with P and Q exchanged, the definition says

    e^epsilon >= (p - delta) / q        and        e^epsilon >= (1 - q - delta) / (1 - p).

Both right sides rise with p and fall with q. With confidence ``level`` p is at least ``low`` and q at most ``high``,
the one-sided bounds of Clopper and Pearson, each at half of ``1 - level`` (Bonferroni), so both may be put in at once:
the larger of two bounds that hold together holds, and to take it costs nothing.

Source: of the first form with Clopper-Pearson, Jagielski et al. 2020, arXiv:2006.07709; the second is derived here.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import brentq
from scipy.special import betainccinv, betaincinv

from expunge.errors import BadSetting, TooFewModels

LEVEL = 0.95
_LEAST_P = (
    1e-60  # below which nobody needs to know a p-value; of a few models the quantiles of a beta fail from 1e-120 on
)
_MOST_EPSILON = 1e6  # that counts can tell is far less; what is minus infinity is taken for its negative


@dataclass(frozen=True)
class Counts:
    """In how many held-out models of either arm an event happened that was fixed on other models.

    ``hits`` of ``models`` that were released, ``alarms`` of ``references``.
    """

    hits: int
    models: int
    alarms: int
    references: int

    def __post_init__(self) -> None:
        if self.models < 1 or self.references < 1:
            raise TooFewModels(
                f"expected at least 1 held-out model in either arm, got {self.models} released ones and "
                f"{self.references} of reference; give more models"
            )
        if not (0 <= self.hits <= self.models and 0 <= self.alarms <= self.references):
            raise BadSetting(
                f"expected no more events than models, got {self.hits} of {self.models} and {self.alarms} of "
                f"{self.references}"
            )


def lower_bound(counts: Counts, delta: float, level: float = LEVEL) -> float:
    """Epsilon at least, at ``delta``, with confidence ``level``; nats; 0 refutes nothing. Never infinite.

    ``max(0, log((low - delta) / high), log((1 - high - delta) / (1 - low)))``, see above.

    >>> round(lower_bound(Counts(100, 100, 0, 100), 0.0), 3), lower_bound(Counts(50, 100, 50, 100), 0.0)
    (3.281, 0.0)
    """
    require_privacy(0.0, delta)
    low, high = rates(counts, level)
    return float(np.maximum(epsilon_of_rates(np.array(low), np.array(high), delta), 0.0))


def rates(counts: Counts, level: float = LEVEL) -> tuple[float, float]:
    """The rate of hits at least, and that of alarms at most, which hold together with confidence ``level``."""
    if not 0 < level < 1:
        raise BadSetting(f"expected a level above 0 and below 1, got {level}")
    tail = (1 - level) / 2
    low = rate_at_least(np.array(counts.hits), counts.models, tail)
    high = rate_at_most(np.array(counts.alarms), counts.references, tail)
    return float(low), float(high)


def rate_at_least(hits: ndarray, models: int, tail: float) -> Float[ndarray, "..."]:
    """The lower bound of Clopper and Pearson, wrong at most at the rate ``tail``; of 0 hits it is 0."""
    some = np.where(hits > 0, hits, 1)
    found: ndarray = np.where(hits > 0, betaincinv(some, models - some + 1, tail), 0.0)
    return found


def rate_at_most(alarms: ndarray, references: int, tail: float) -> Float[ndarray, "..."]:
    """Their upper bound, likewise; where the event happened in all it is 1."""
    fewer = np.where(alarms < references, alarms, references - 1)
    found: ndarray = np.where(alarms < references, betainccinv(fewer + 1, references - fewer, tail), 1.0)
    return found


def epsilon_of_rates(low: ndarray, high: ndarray, delta: float) -> Float[ndarray, "..."]:
    """The larger of both logarithms of the definition; minus infinity where delta alone allows for the event."""
    with np.errstate(divide="ignore"):
        forth = np.log(np.maximum(low - delta, 0.0)) - np.log(high)
        back = np.log(np.maximum(1 - high - delta, 0.0)) - np.log(1 - low)
    found: ndarray = np.asarray(np.maximum(forth, back))
    return found


def cap(models: int, references: int, delta: float = 0.0, level: float = LEVEL) -> float:
    """The largest lower bound that so many held-out models can give: the event in all, and in no reference.

    With ``tail = (1 - level) / 2`` then ``low = tail^(1 / models)`` and ``high = 1 - tail^(1 / references)``, so for
    equal arms of n it is ``log((tail^(1/n) - delta) / (1 - tail^(1/n)))``, near ``log(n / log(1 / tail))``. Derived.

    >>> round(cap(100, 100), 2), round(cap(200, 200), 2)
    (3.28, 3.98)
    """
    return lower_bound(Counts(models, models, 0, references), delta, level)


def p_value(counts: Counts, epsilon: float, delta: float) -> float:
    """Of the claim (epsilon, delta): the least ``1 - level`` whose bound lies above ``epsilon``; 1 where none does.

    Where the claim is true it is below any a in at most the share a of cases, so it can be corrected by Holm. Rounded
    up, from one part in a million.

    >>> p_value(Counts(50, 100, 50, 100), 0.0, 0.0), p_value(Counts(100, 100, 0, 100), 3.281, 0.0) <= 0.05
    (1.0, True)
    """
    require_privacy(epsilon, delta)

    def beyond(log_p: float) -> float:
        tail = math.exp(log_p) / 2
        low = rate_at_least(np.array(counts.hits), counts.models, tail)
        high = rate_at_most(np.array(counts.alarms), counts.references, tail)
        return max(float(epsilon_of_rates(low, high, delta)), -_MOST_EPSILON) - epsilon

    least = math.log(_LEAST_P)
    if beyond(0.0) <= 0:
        return 1.0
    if beyond(least) > 0:
        return _LEAST_P
    return math.exp(min(float(brentq(beyond, least, 0.0, xtol=5e-7)) + 1e-6, 0.0))


def require_privacy(epsilon: float, delta: float) -> None:
    """Refuse what is no finite epsilon or no delta."""
    if not 0 <= epsilon < math.inf:
        raise BadSetting(f"expected a finite epsilon of at least 0, got {epsilon}")
    if not 0 <= delta < 1:
        raise BadSetting(f"expected a delta of at least 0 and below 1, got {delta}")

"""Whether a private trigger still works: a one-sided binomial test, its errors, and the queries that it needs.

Of ``n`` queries that carry a trigger, ``K`` are answered with the label that it stands for. Where the data was deleted
``K ~ Bin(n, q)``, where it was not ``K ~ Bin(n, p)``. Source: Sommer et al. 2020, arXiv:2003.04247 (Athena).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.special import bdtr, bdtrc

from expunge.errors import BadSetting
from expunge.metrics.calibration import Estimate
from expunge.metrics.over_models import share_of_models

MOST_QUERIES = 1 << 20  # beyond which nobody asks: a trigger that needs more has no power


@dataclass(frozen=True)
class Power:
    """What a test of this size can tell. ``alpha`` is achieved, at most what was wanted; ``beta`` is what is missed.

    The deletion is believed where at most ``threshold`` of ``queries`` are hits.
    """

    queries: int
    p: float
    q: float
    threshold: int
    alpha: float
    beta: float

    @property
    def confidence(self) -> float:
        """Deletion confidence: the chance that data which is still there is noticed."""
        return 1 - self.beta


def power(queries: int, p: float, q: float, alpha: float = 1e-3) -> Power:
    """The errors of the test: ``alpha = P(K > t | q)`` and ``beta = P(K <= t | p)``, ``t`` by :func:`threshold`.

    >>> found = power(30, 0.956, 0.1098)
    >>> found.threshold, f"{found.beta:.2e}"
    (9, '3.17e-22')
    """
    require_share("p", p)
    limit = threshold(queries, q, alpha)
    return Power(queries, p, q, limit, float(bdtrc(limit, queries, q)), float(bdtr(limit, queries, p)))


def threshold(queries: int, q: float, alpha: float = 1e-3) -> int:
    """The fewest hits ``t`` with ``P(K > t) <= alpha`` for ``K ~ Bin(queries, q)``: up to ``t`` are no alarm.

    >>> threshold(30, 0.1098), threshold(30, 1.0)
    (9, 30)
    """
    if queries < 1 or queries > MOST_QUERIES:
        raise BadSetting(f"expected 1 to {MOST_QUERIES:,} queries, got {queries}")
    require_share("q", q)
    require_chance("alpha", alpha)
    return int(_thresholds(np.array([queries]), q, alpha)[0])


def queries_needed(p: float, q: float, alpha: float = 1e-3, beta: float = 1e-3) -> int | None:
    """The fewest queries from which on, however many more, the test misses at most ``beta``; None where none do.

    One query more can cost power, for the threshold is a whole number; so the answer is past the last such step.

    >>> queries_needed(0.956, 0.1098), queries_needed(0.2, 0.1), queries_needed(0.1, 0.1)
    (8, 484, None)
    """
    require_share("p", p)
    require_share("q", q)
    for name, chance in (("alpha", alpha), ("beta", beta)):
        require_chance(name, chance)
    if p <= q:
        return None
    most = 64
    while most <= MOST_QUERIES:
        if power(most, p, q, alpha).beta <= beta:  # else all below need not be looked at
            numbers = np.arange(1, most + 1)
            missed = bdtr(_thresholds(numbers, q, alpha), numbers, p) > beta
            last = int(np.flatnonzero(missed)[-1]) + 1 if missed.any() else 0
            if last < most // 2:  # far from the end, where the steps no longer reach
                return last + 1
        most *= 2
    return None


def exact(hits: int, queries: int, *, level: float = 0.95) -> Estimate:
    """The share of hits with its exact interval, that of Clopper and Pearson.

    >>> found = exact(0, 100)
    >>> found.low, round(found.high, 4)
    (0.0, 0.0362)
    """
    if not 0 <= hits <= queries or queries < 1:
        raise BadSetting(f"expected at least 1 query and no more hits than queries, got {hits} hits of {queries}")
    return share_of_models(np.arange(queries) < hits, level=level)


def majority(alarms: Sequence[bool]) -> bool:
    """Whether more than half of the owners' tests raise an alarm; a tie is none.

    >>> majority([True, False]), majority([True, True, False])
    (False, True)
    """
    return 2 * sum(alarms) > len(alarms)


def chance_of_majority(chances: Sequence[float]) -> float:
    """The chance that more than half of independent tests raise an alarm, each with a chance of its own.

    >>> round(chance_of_majority([0.5, 0.5, 0.5]), 3), round(chance_of_majority([0.5, 0.5]), 3)
    (0.5, 0.25)
    """
    return float(_alarms(chances)[len(chances) // 2 + 1 :].sum())


def chance_of_no_majority(chances: Sequence[float]) -> float:
    """The chance that at most half of them do; computed as such, so that a small one is not lost in a difference."""
    return float(_alarms(chances)[: len(chances) // 2 + 1].sum())


def _alarms(chances: Sequence[float]) -> Float[ndarray, " counts"]:
    """The distribution of the number of alarms: of a sum of independent indicators."""
    found = np.ones(1)
    for chance in chances:
        found = np.convolve(found, [1 - chance, chance])
    return found


def _thresholds(queries: Int[ndarray, " n"], q: float, alpha: float) -> Int[ndarray, " n"]:
    """By bisection, since the tail falls in t; the tail itself, for ``1 - alpha`` would lose a small one."""
    low, high = np.zeros_like(queries), queries.copy()
    while (low < high).any():
        middle = (low + high) // 2
        enough = bdtrc(middle, queries, q) <= alpha
        low, high = np.where(enough, low, np.minimum(middle + 1, high)), np.where(enough, middle, high)
    return low


def require_share(name: str, value: float) -> None:
    """Refuse what is no share, such as NaN."""
    if not 0 <= value <= 1:
        raise BadSetting(f"expected {name} to be a share in [0, 1], got {value}")


def require_chance(name: str, value: float) -> None:
    """Refuse what is no chance of an error, above 0 and below 1."""
    if not 0 < value < 1:
        raise BadSetting(f"expected {name} to be a chance above 0 and below 1, got {value}")

"""How many models and oracles tell two distances apart: what a difference is, how it scatters, the cheapest numbers."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.special import stdtrit

from expunge.metrics.jackknife import GROUPS

LEVEL, POWER = 0.05, 0.95
MARGIN = 1.15  # on the standard error: that of a single table scatters, which costs power (tests/bench/test_enough.py)
LEAST, MOST = 10, 100_000  # of either: with fewer no jackknife knows its own error, and more nobody trains


@dataclass(frozen=True)
class Contrast:
    """The difference of two mean distances, as N models against M oracles show it.

    A distance whose limit, of endlessly many, is d shows ``sqrt(d^2 + floor^2 (1 / N + 1 / M))`` in the mean, for
    finite ensembles lie apart also where they are of one distribution. The difference of two has the variance
    ``models / N + oracles / M``: of the first share what pairing leaves.
    """

    near: float  # the limits of both distances
    far: float
    floor: float
    models: float
    oracles: float

    def difference(self, models: ndarray, oracles: ndarray) -> Float[ndarray, "..."]:
        """How much farther the far one lies, in the mean."""
        bias = self.floor**2 * (1 / models + 1 / oracles)
        apart: ndarray = np.sqrt(self.far**2 + bias) - np.sqrt(self.near**2 + bias)
        return apart

    def tells(self, models: ndarray, oracles: ndarray) -> Bool[ndarray, "..."]:
        """Whether a paired test at the 5 % level sees the difference in 95 of 100 cases.

        ``difference >= 1.15 (t(97.5 %) + t(95 %)) sqrt(models / N + oracles / M)``, with Satterthwaite's degrees of
        freedom of a jackknife over at most 20 groups on either side, as a bench computes its intervals.
        """
        parts = self.models / models, self.oracles / oracles
        variance = parts[0] + parts[1]
        fourth = sum(
            part**2 / (np.minimum(size, GROUPS) - 1) for part, size in zip(parts, (models, oracles), strict=True)
        )
        freedom = np.divide(variance**2, fourth, out=np.full_like(variance, GROUPS - 1), where=fourth > 0)
        needed = MARGIN * (stdtrit(freedom, 1 - LEVEL / 2) + stdtrit(freedom, POWER)) * np.sqrt(variance)
        seen: ndarray = self.difference(models, oracles) >= needed
        return seen


def cheapest(
    contrast: Contrast, model: float, oracle: float, *, models: int = MOST, oracles: int = MOST
) -> tuple[int, int] | None:
    """The numbers of models and oracles, at most so many, that tell a contrast at the least cost; None where none do.

    ``model`` and ``oracle`` are what one more of them costs. Numbers above 300 are searched in steps of a hundredth.

    >>> cheapest(Contrast(near=1.0, far=2.0, floor=0.0, models=1.0, oracles=1.0), 1.0, 1.0)
    (35, 38)
    """
    some = np.unique(np.r_[LEAST : min(models, 300) + 1, np.geomspace(min(models, 300), models, 600).round()])
    few, many = np.full(some.size, float(LEAST)), np.full(some.size, float(oracles))
    possible = contrast.tells(some, many) if models >= LEAST <= oracles else np.zeros(some.size, bool)
    if not possible.any():
        return None
    while (few < many).any():  # bisection: more oracles never tell less
        middle = (few + many) // 2
        enough = contrast.tells(some, middle)
        few, many = np.where(enough, few, np.minimum(middle + 1, many)), np.where(enough, middle, many)
    cost = np.where(possible, model * some + oracle * many, np.inf)
    best = int(cost.argmin())
    return int(some[best]), int(many[best])

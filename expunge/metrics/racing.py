"""Methods raced to a decision: compared again and again while models are added, with one chance of error for all."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import stdtr

from expunge.errors import MismatchedEnsembles
from expunge.metrics.calibration import holm
from expunge.metrics.jackknife import LeftOut, left_out_of, spread, standard_error, without_bias
from expunge.metrics.ranking import LEVEL, mean_difference

Pair = frozenset[str]


@dataclass(frozen=True)
class Decision:
    """Which of two methods is nearer to the oracles, and how many models said so."""

    nearer: str
    farther: str
    models: int


@dataclass
class Race:
    """Pairs of methods, and what is decided of them; each :meth:`look` is given more models than the one before.

    The chance of any false decision, over all pairs and all looks, is at most ``level``. A look at n of ``full`` models
    after one at m has the part ``level (n^2 - m^2) / full^2`` of it, and Holm's correction divides that over the pairs
    that are still open: a bound that holds however the looks depend on each other. Once a pair is decided, its part
    goes to the others: for the first pair that would be decided wrongly, all pairs without a difference are still open.

    Source: spending, Kim and DeMets 1987, doi:10.1093/biomet/74.1.149, here by Bonferroni's bound; that the part of
    decided pairs goes on, Maurer and Bretz 2013, doi:10.1080/19466315.2013.807748.
    """

    methods: tuple[str, ...]
    full: int
    level: float = LEVEL
    decided: dict[Pair, Decision] = field(default_factory=dict)
    seen: int = 0  # models at the last look
    same: set[Pair] = field(default_factory=set)  # pairs whose models are the very same so far

    @property
    def open(self) -> list[Pair]:
        """The pairs that are not decided, in the order of the methods."""
        pairs = (frozenset(each) for each in combinations(self.methods, 2))
        return [pair for pair in pairs if pair not in self.decided]

    def look(self, distances: Mapping[str, LeftOut], models: int) -> None:
        """Compare the open pairs of which both methods have ``distances``, of so many models each.

        The correction is for all open pairs, compared or not: who is compared may hang on the data.
        """
        self._tell_the_same(distances)
        share, self.seen = self.level * (models**2 - self.seen**2) / self.full**2, models
        pairs = self.open
        at_hand = [tuple(name for name in self.methods if name in pair) for pair in pairs if pair <= distances.keys()]
        found = [compared(distances[one], distances[other]) for one, other in at_hand]
        rest = [1.0] * (len(pairs) - len(found))
        for (one, other), (value, _), p in zip(at_hand, found, holm([p for _, p in found] + rest), strict=False):
            if p <= share:
                nearer, farther = (one, other) if value < 0 else (other, one)
                self.decided[frozenset((one, other))] = Decision(nearer, farther, models)

    def waiting(self, names: Collection[str]) -> set[str]:
        """Those of ``names`` that are not decided against every other one of them.

        Two that are the very same in every model, as a method that does nothing and no method are, are not waited for.
        """
        return {name for pair in self.open if pair <= set(names) and pair not in self.same for name in pair}

    def _tell_the_same(self, distances: Mapping[str, LeftOut]) -> None:
        for pair in self.open:
            if pair <= distances.keys():
                one, other = (distances[name] for name in pair)
                alike = np.array_equal(_numbers(one), _numbers(other))
                (self.same.add if alike else self.same.discard)(pair)


def compared(one: LeftOut, other: LeftOut) -> tuple[float, float]:
    """``one`` less ``other``, mean distances over all numbers, without the bias of few models; and a p-value.

    Wasserstein-1 of finite ensembles is too large, by an amount that goes with one over their number, and with the
    shape: of 20 models that spread more than the oracles, more than of 20 that are shifted as far. So a plain
    difference would make the wide method lose to the shifted one. The jackknife takes that out, at the price of more
    scatter than it says; so the p-value is the larger one of the plain difference and of that
    :func:`~.jackknife.without_bias`, by Student's t with the standard error of the first, and 1 where they disagree
    in sign. For methods of one distribution
    both differences are 0 in the mean, and neither sees a winner more often than the plain one, which keeps its level.

    Source: `docs/concepts.md` has what was measured of this, of the corrected difference alone, and of a cross-fitted
    one, whose sign is not always that of the distance.

    >>> near = LeftOut(np.ones(1), np.ones((9, 1)), np.ones((9, 1)), (np.arange(9), np.arange(9)))
    >>> compared(near, near)
    (0.0, 1.0)
    """
    if one.grouped[0].shape != other.grouped[0].shape:
        raise MismatchedEnsembles(
            f"expected two methods on the same models, got {one.grouped[0].size} and {other.grouped[0].size}"
        )
    value, parts = left_out_of(mean_difference, [one, other], [(0, 1)])
    corrected = without_bias(value, parts)
    error, freedom = standard_error([spread(value, *part) for part in parts])
    least = np.minimum(abs(value), abs(corrected)) if value * corrected > 0 else np.zeros(1)
    with np.errstate(divide="ignore"):  # an error of 0
        p = 2 * stdtr(freedom, -least / error) if least > 0 else np.ones(1)
    return float(corrected[0]), float(p[0])


def _numbers(distances: LeftOut) -> Float[ndarray, "versions numbers"]:
    return np.concatenate([distances.whole[None], distances.without_models])

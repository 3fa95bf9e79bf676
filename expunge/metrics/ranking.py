"""Who is better than whom: methods compared in pairs on the same pretrained models, corrected for their number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from expunge.errors import MismatchedEnsembles
from expunge.metrics.calibration import Difference, Estimate, estimate_of, holm
from expunge.metrics.jackknife import LeftOut, leave_out
from expunge.metrics.metric import Metric
from expunge.metrics.row import Reference, Row, mean_distances
from expunge.metrics.wasserstein import least_scale
from expunge.records import Score

LEVEL = 0.05  # chance of any false order among all pairs


@dataclass(frozen=True)
class Rank:
    """Where a method stands. Ties are ties.

    ``best`` is one plus the number of methods significantly better, ``worst`` the number of methods less the number
    significantly worse: the places that the data leave open. Methods of one ``group``, 1 is best, cannot be told from
    the nearest of them: each group begins with the nearest method that is significantly worse than the first of the
    group before.
    """

    best: float
    worst: float
    group: int


@dataclass(frozen=True)
class Pair:
    """Two methods side by side: how much farther from the oracles the first lies than the second.

    ``mean`` is the difference of the mean over the splits, which ranks; ``corrected`` its p-value, corrected for the
    number of pairs that were compared at once.
    """

    first: str
    second: str
    splits: tuple[Difference, ...]
    mean: Difference
    corrected: float

    @property
    def nearer(self) -> str:
        """The one that is surely nearer to the oracles, at 5 % among all pairs; "" where the two cannot be told apart.

        >>> same = Difference(0.0, 0.0, 0.0, 1.0)
        >>> Pair("one", "other", (), same, 1.0).nearer
        ''
        """
        if self.corrected > LEVEL:
            return ""
        return self.first if self.mean.value < 0 else self.second


def rank(
    margins: Mapping[str, Float[ndarray, "models examples"]],
    oracle: Float[ndarray, "oracles examples"],
    splits: Sequence[Int[ndarray, " _columns"]],
) -> dict[str, Rank]:
    """Rank methods by their distance to the oracles, mean over examples, then over ``splits``; 1 is best.

    The distance is :func:`~expunge.metrics.wasserstein.wasserstein`, and the splits are forget, retain and test: who
    forgets by breaking the model is not better than who does nothing. Row ``i`` of every method began from pretrained
    model ``i``. Each pair is compared by :func:`~expunge.metrics.calibration.estimate_of`, and Holm's correction over
    all pairs holds the chance of any false order at 5 %. What the jackknife needs of a method is computed once and
    serves all its pairs.

    Source: the correction, Holm 1979, Scandinavian Journal of Statistics 6, 65 to 70.

    >>> rng = np.random.default_rng(0)
    >>> oracle, near = rng.normal(size=(2, 50, 30))
    >>> rank({"near": near, "far": near + 3, "as far": near + 3.01}, oracle, [np.arange(9), np.arange(9, 30)])["near"]
    Rank(best=1.0, worst=1.0, group=1)
    """
    return rank_of(distances_of(margins, oracle, splits))


def distances_of(
    margins: Mapping[str, Float[ndarray, "models examples"]],
    oracle: Float[ndarray, "oracles _examples"],
    splits: Sequence[Int[ndarray, " _columns"]],
) -> dict[str, LeftOut]:
    """The mean distance to the oracles on each split, of methods that began from the same models; see :func:`rank`."""
    if len({values.shape for values in margins.values()}) > 1:
        raise MismatchedEnsembles("expected methods on the same models, got " + _shapes(margins))
    if not margins:
        return {}
    statistic = mean_distances(least_scale(oracle), splits)
    return {name: leave_out(statistic, values, oracle) for name, values in margins.items()}


def rank_of(distances: Mapping[str, LeftOut]) -> dict[str, Rank]:
    """:func:`rank`, from the distances of methods that began from the same models."""
    told = [pair for pair in compare_pairs(distances) if pair.nearer]
    beats = {(pair.nearer, pair.second if pair.nearer == pair.first else pair.first) for pair in told}
    group, leader, groups = 0, "", dict[str, int]()
    for name in sorted(distances, key=lambda name: float(distances[name].whole.mean())):
        if not group or (leader, name) in beats:
            group, leader = group + 1, name
        groups[name] = group
    return {
        name: Rank(
            best=1.0 + sum(loser == name for _, loser in beats),
            worst=float(len(distances) - sum(winner == name for winner, _ in beats)),
            group=groups[name],
        )
        for name in distances
    }


def compare_pairs(distances: Mapping[str, LeftOut]) -> list[Pair]:
    """Every two methods that began from the same models, Holm-corrected for the number of pairs."""
    pairs = list(combinations(distances, 2))
    found = [estimate_of(differences, [distances[one], distances[other]], pairs=[(0, 1)]) for one, other in pairs]
    corrected = holm([each[-1].p_value for each in found])
    return [
        Pair(first, second, tuple(each[:-1]), each[-1], float(p))
        for (first, second), each, p in zip(pairs, found, corrected, strict=True)
    ]


def differences(one: Float[ndarray, " numbers"], other: Float[ndarray, " numbers"]) -> Float[ndarray, " more"]:
    """How much more one is than the other in each number and, last, in the mean over all."""
    return np.append(one - other, mean_difference(one, other))


def mean_difference(one: Float[ndarray, " numbers"], other: Float[ndarray, " numbers"]) -> Float[ndarray, "1"]:
    """How much more one is than the other, mean over all numbers."""
    return np.atleast_1d(one.mean() - other.mean())


def _shapes(margins: Mapping[str, ndarray]) -> str:
    return ", ".join(f"{values.shape} of {name!r}" for name, values in margins.items())


def rank_scores(rows: Mapping[str, Row], reference: Reference) -> list[Score]:
    """The rank of every row, with the places that the data leave open."""
    if not rows:
        return []
    distances = {name: reference.distances(row.margins) for name, row in rows.items()}
    if len({len(row.margins.values) for row in rows.values()}) > 1:
        raise MismatchedEnsembles("expected methods on the same models")
    return [
        rows[name].score("forget", "rank", aggregate, estimate, reference, module=__name__)
        for name, place in rank_of(distances).items()
        for aggregate, estimate in (
            ("distance", Estimate(place.best, place.best, place.worst)),
            ("group", Estimate(place.group, place.group, place.group)),
        )
    ]


METRIC = Metric(
    function=rank,
    compares=rank_scores,
    aggregates=("distance", "group"),
    unit="place",
    better="lower",
    oracle="not ranked",
    source="paired differences of the distance, Holm-corrected",
)

"""Who is better than whom: methods compared in pairs on the same pretrained models, corrected for their number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from expunge.errors import MismatchedEnsembles
from expunge.metrics.blockwise import ByExample
from expunge.metrics.calibration import Estimate, difference_of, group_models, holm, left_out_numbers
from expunge.metrics.klom import klom
from expunge.metrics.metric import Metric
from expunge.metrics.row import Reference, Row
from expunge.records import Score

LEVEL = 0.05  # chance of any false order among all pairs


@dataclass(frozen=True)
class Rank:
    """``best`` is one plus the number of methods significantly better, ``worst`` the number of methods less the number
    significantly worse: the places that the data leave open. Ties are ties."""

    best: float
    worst: float


def rank(
    margins: Mapping[str, Float[ndarray, "models examples"]],
    oracle: Float[ndarray, "oracles examples"],
    splits: Sequence[Int[ndarray, " _columns"]],
) -> dict[str, Rank]:
    """Rank methods by KLoM's 95th percentile over examples, mean over ``splits``; 1 is best.

    The splits are forget, retain and test: who forgets by breaking the model is not better than who does nothing. Row
    ``i`` of every method began from pretrained model ``i``. Each pair is compared by
    :func:`~expunge.metrics.calibration.paired_difference`, and Holm's correction over all pairs holds the chance of any
    false order at 5 %. What the jackknife needs of a method is computed once and serves all its pairs.

    Source: KLoM's percentile, Georgiev et al. 2024, arXiv:2410.23232; the correction, Holm 1979, Scandinavian Journal
    of Statistics 6, 65 to 70.

    >>> rng = np.random.default_rng(0)
    >>> oracle, near = rng.normal(size=(2, 50, 30))
    >>> rank({"near": near, "far": near + 3, "as far": near + 3.01}, oracle, [np.arange(9), np.arange(9, 30)])["near"]
    Rank(best=1.0, worst=1.0)
    """

    def headline(values: ndarray) -> ndarray:
        return np.array([np.mean([np.percentile(values[split], 95) for split in splits])])

    if len({values.shape for values in margins.values()}) > 1:
        raise MismatchedEnsembles("expected methods on the same models, got " + _shapes(margins))
    if not margins:
        return {}
    grouped = group_models(next(iter(margins.values())), oracle)
    statistic = ByExample(klom, headline)
    numbers = {name: left_out_numbers(statistic, values, oracle, grouped) for name, values in margins.items()}
    pairs = list(combinations(margins, 2))
    found = [difference_of(numbers[a], numbers[b], grouped)[0] for a, b in pairs]
    better = dict.fromkeys(margins, 0)
    worse = dict.fromkeys(margins, 0)
    for (first, second), difference, p in zip(pairs, found, holm([each.p_value for each in found]), strict=True):
        if p > LEVEL:
            continue
        winner, loser = (first, second) if difference.value < 0 else (second, first)
        better[loser] += 1
        worse[winner] += 1
    return {name: Rank(1.0 + better[name], float(len(margins) - worse[name])) for name in margins}


def _shapes(margins: Mapping[str, ndarray]) -> str:
    return ", ".join(f"{values.shape} of {name!r}" for name, values in margins.items())


def rank_scores(rows: Mapping[str, Row], reference: Reference) -> list[Score]:
    """The rank of every row, with the places that the data leave open."""
    if not rows:
        return []
    columns = list(next(iter(rows.values())).columns.values())
    places = rank({name: row.margins.values for name, row in rows.items()}, reference.oracle.values, columns)
    return [
        rows[name].score(
            "forget", "rank", "p95", Estimate(place.best, place.best, place.worst), reference, module=__name__
        )
        for name, place in places.items()
    ]


METRIC = Metric(
    function=rank,
    compares=rank_scores,
    aggregates=("p95",),
    unit="place",
    better="lower",
    oracle="not ranked",
    source="paired differences, Holm-corrected",
)

"""Two rows of a folder of results side by side, and all pairs of them: the comparison that ranks, with its numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy import ndarray

from expunge.bench.opened import Run, RunSet, open_run
from expunge.errors import BadSetting, MismatchedEnsembles
from expunge.methods import METHODS
from expunge.metrics.calibration import Difference, estimate_of
from expunge.metrics.dealing import dealt_spread
from expunge.metrics.ranking import Pair, compare_pairs, differences, distances_of
from expunge.metrics.row import LEAST_ORACLES, mean_distances
from expunge.metrics.wasserstein import least_scale, wasserstein
from expunge.records import SPLITS, Score, SplitName
from expunge.suites.shown import html_table

FLOOR = "oracle"


@dataclass(frozen=True)
class ExampleDifference:
    """One example under two methods: the distance of each to the oracles, in the oracles' standard deviations."""

    split: SplitName
    example: int  # numbered train then test
    column: int  # of the margins; another number only where an example has several
    label: int | None
    first: float
    second: float

    @property
    def difference(self) -> float:
        return self.first - self.second


@dataclass(frozen=True)
class Comparison:
    """How much farther from the oracles the models of one method lie than those of another, on one forget set.

    ``splits`` are the differences of the mean distance on each split, ``mean`` that of their mean, which ranks; all in
    standard deviations of the oracles, negative where ``first`` is nearer, with 95 % intervals over models. The
    p-values are of no difference, one by one: nothing corrects them for their number. ``examples`` are, of each split,
    those on which the two differ most. They are picked by what they show, so their numbers overstate.
    """

    forget_set: str
    first: str
    second: str
    splits: dict[SplitName, Difference]
    mean: Difference
    examples: tuple[ExampleDifference, ...]
    paired: bool  # whether models i of both began from the same pretrained model, so that what they share cancels
    models: int
    oracle_models: int

    def __repr__(self) -> str:
        """In a line; the numbers of each split are in ``splits``."""
        mean = f"{self.mean.value:.3g} [{self.mean.low:.3g}, {self.mean.high:.3g}], p = {self.mean.p_value:.2g}"
        return f"Comparison({self.forget_set}: {self.first} less {self.second}, {mean})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the differences."""
        title = f"{self.forget_set}: distance of {self.first} less that of {self.second}, sd of the oracles"
        rows = [
            [name, *(f"{number:.3g}" for number in (each.value, each.low, each.high, each.p_value))]
            for name, each in [*self.splits.items(), ("mean", self.mean)]
        ]
        return html_table(title, ["split", "difference", "low", "high", "p"], rows)

    @property
    def nearer(self) -> str:
        """The one that is surely nearer over all splits, p at most 5 %; "" where the two cannot be told apart."""
        return Pair(self.first, self.second, (), self.mean, self.mean.p_value).nearer


@dataclass(frozen=True)
class PairMatrix:
    """Every two rows of a forget set, their p-values corrected by Holm for the number of pairs."""

    forget_set: str
    methods: tuple[str, ...]  # nearest to the oracles first
    pairs: tuple[Pair, ...]
    left_out: dict[str, str]  # methods that are in no pair, and why
    models: int
    oracle_models: int

    def pair(self, first: str, second: str) -> Pair:
        """The pair of two methods, whichever was named first when they were compared."""
        return next(each for each in self.pairs if {each.first, each.second} == {first, second})


def compare(
    run: Run | Path | str, first: str, second: str, *, forget_set: str | None = None, examples: int = 3
) -> Comparison:
    """Compare two methods of a run on one forget set: which is nearer to the oracles, and by how much.

    ``run`` is an opened run or its folder. If the run has a single forget set, it need not be named.

    Methods that began from the same pretrained models are compared in pairs, as the ranks are: see
    :func:`expunge.metrics.ranking.compare_pairs`. The row ``oracle`` and margins that were made elsewhere share no
    models with other rows; for these the spreads of both count, and that of the floor, as in the records of the drift.
    """
    run = run if isinstance(run, Run) else open_run(run)
    among = [run.forget_set(forget_set)] if forget_set is not None else []
    usable = run.sets_with([first, second], among)
    if len(usable) > 1:
        raise BadSetting(f"expected forget_set, one of {', '.join(each.name for each in usable)}, got none")
    return compare_on(usable[0], first, second, examples=examples)


def compare_on(found: RunSet, first: str, second: str, *, examples: int = 3) -> Comparison:
    """:func:`compare` on a forget set of an opened run."""
    if first == second:
        raise BadSetting(f"expected two methods, got {first!r} twice")
    if examples < 0:
        raise BadSetting(f"expected a number of examples of 0 or more, got {examples}")
    one, other = _require_alike(found, [first, second])
    paired = shares_models(first) and shares_models(second) and _numbers(one) == _numbers(other)
    everything = (_paired if paired else _apart)(found, first, second)
    return Comparison(
        forget_set=found.name,
        first=first,
        second=second,
        splits=dict(zip(SPLITS, everything, strict=False)),
        mean=everything[-1],
        examples=tuple(_examples(found, first, second, examples)),
        paired=paired,
        models=one.models,
        oracle_models=one.oracle_models,
    )


def compare_all(found: RunSet) -> PairMatrix:
    """Every two rows that began from the same pretrained models; ``identity`` is one of them."""
    alone = {name: "shares no models with others" for name in found.methods if not shares_models(name)}
    left_out = {**alone, **found.failed}
    names = [name for name in found.methods if name not in left_out]
    if len(names) < 2:
        raise BadSetting(
            f"expected two rows or more on {found.name!r} to compare, got {', '.join(names) or 'none'}; bench more "
            "methods"
        )
    one, *others = _require_alike(found, names)
    for name, other in zip(names[1:], others, strict=True):
        if _numbers(other) != _numbers(one):
            raise MismatchedEnsembles(
                f"expected rows that began from the same models, got models {_numbers(one)} of {names[0]!r} and "
                f"{_numbers(other)} of {name!r}; bench both with one --models"
            )
    distances = distances_of({name: found.margins(name) for name in names}, found.oracles, _columns(found))
    order = sorted(names, key=lambda name: float(distances[name].whole.mean()))
    pairs = compare_pairs({name: distances[name] for name in order})
    return PairMatrix(found.name, tuple(order), tuple(pairs), left_out, one.models, one.oracle_models)


def shares_models(method: str) -> bool:
    """Whether the models of a row began from the pretrained ones: not so of oracles, and of margins made elsewhere."""
    return method != FLOOR and (method in METHODS or ":" in method)


def _numbers(score: Score) -> str:
    return score.subject.model_numbers


def _paired(found: RunSet, first: str, second: str) -> list[Difference]:
    distances = distances_of({name: found.margins(name) for name in (first, second)}, found.oracles, _columns(found))
    (pair,) = compare_pairs(distances)
    return [*pair.splits, pair.mean]


def _apart(found: RunSet, first: str, second: str) -> list[Difference]:
    """Two rows that share no models, compared as a drift is with the floor."""
    distances = distances_of({name: found.margins(name) for name in (first, second)}, found.oracles, _columns(found))
    statistic = mean_distances(least_scale(found.oracles), _columns(found))
    with_mean = replace(statistic, summary=lambda values: _and_mean(statistic.summary(values)))
    besides = np.sqrt(2) * dealt_spread(with_mean, found.margins(FLOOR), found.oracles)
    return estimate_of(differences, [distances[first], distances[second]], besides=besides)


def _and_mean(numbers: ndarray) -> ndarray:
    return np.append(numbers, numbers.mean())


def _columns(found: RunSet) -> list[ndarray]:
    return [found.splits[split] for split in SPLITS]


def _examples(found: RunSet, first: str, second: str, count: int) -> list[ExampleDifference]:
    """Of each split the ``count`` examples on which two methods differ most."""
    least = least_scale(found.oracles)
    one, other = (wasserstein(found.margins(name), found.oracles, least=least) for name in (first, second))
    told = []
    for split, columns in found.splits.items():
        far = np.argsort(-np.abs(one - other)[columns], kind="stable")[:count]
        for column in columns[far]:
            label = None if found.labels is None else int(found.labels[column])
            place = (split, int(found.owners[column]), int(column), label)
            told.append(ExampleDifference(*place, float(one[column]), float(other[column])))
    return told


def _require_alike(found: RunSet, methods: Sequence[str]) -> list[Score]:
    """A record of each of these rows, once they are found to be of the same examples and of as many models."""
    rows = {name: found.first(name) for name in methods}
    first = rows[methods[0]]
    if first.oracle_models < LEAST_ORACLES:
        raise BadSetting(
            f"expected {LEAST_ORACLES} oracles or more for an interval, got {first.oracle_models}; bench with more"
        )
    for name, row in rows.items():
        if row.subject.forget_digest != first.subject.forget_digest:
            raise MismatchedEnsembles(
                f"{methods[0]!r} and {name!r} forgot other examples on {found.name!r}; bench both on one forget set"
            )
        if (row.models, row.oracle_models) != (first.models, first.oracle_models):
            raise MismatchedEnsembles(
                f"expected rows of as many models, got {first.models} against {first.oracle_models} oracles of "
                f"{methods[0]!r} and {row.models} against {row.oracle_models} of {name!r}; bench both with one --models"
            )
    return list(rows.values())

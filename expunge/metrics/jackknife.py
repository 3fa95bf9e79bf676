"""The delete-a-group jackknife over models: numbers of ensembles without each group, and the spread these tell of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from expunge.errors import TooFewModels
from expunge.metrics.blockwise import Statistic, numbers_of

GROUPS = 20  # of models, at most: one more or less is left out at a time

Rows = ndarray | slice
Spread = tuple[ndarray, int]  # the variance of each number, and its degrees of freedom
LeftOutPart = tuple[ndarray, ndarray]  # numbers without each group of models, and the group of each model


def group_models(
    unlearned: Float[ndarray, "models examples"], oracle: Float[ndarray, "oracles _examples"], groups: int = GROUPS
) -> tuple[ndarray, ndarray]:
    """The group of each model of both ensembles, at most ``groups`` of each; a group is left out at once."""
    require_two(unlearned, oracle)
    return _groups(len(unlearned), groups), _groups(len(oracle), groups)


def _groups(models: int, groups: int) -> Int[ndarray, " models"]:
    return np.arange(models) % min(groups, models)


def left_out(grouped: tuple[ndarray, ndarray]) -> list[tuple[Rows, Rows]]:
    """Which rows of both ensembles stay: all, then all but each group of the first, then of the second."""
    everything = slice(None)
    first, second = ([group != number for number in range(int(group.max()) + 1)] for group in grouped)
    return [(everything, everything), *((keep, everything) for keep in first), *((everything, keep) for keep in second)]


def left_out_numbers(
    statistic: Statistic, unlearned: ndarray, oracle: ndarray, grouped: tuple[ndarray, ndarray]
) -> Float[ndarray, "versions numbers"]:
    """The numbers of the ensembles as they are, then without each group of models: what a jackknife is made of."""
    return numbers_of(statistic, unlearned, oracle, [partial(_kept, kept=each) for each in left_out(grouped)])


def _kept(unlearned: ndarray, oracle: ndarray, *, kept: tuple[Rows, Rows]) -> tuple[ndarray, ndarray]:
    return unlearned[kept[0]], oracle[kept[1]]


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Numbers of an ensemble against oracles: of all, and without each group of its models, and of the oracles."""

    whole: Float[ndarray, " numbers"]
    without_models: Float[ndarray, "groups numbers"]
    without_oracles: Float[ndarray, "others numbers"]
    grouped: tuple[Int[ndarray, " models"], Int[ndarray, " oracles"]]  # the group of each model


def leave_out(statistic: Statistic, unlearned: ndarray, oracle: ndarray, *, groups: int = GROUPS) -> LeftOut:
    """What :func:`~.calibration.estimate_of` needs of one ensemble, for any function of its numbers and of others'."""
    grouped = group_models(unlearned, oracle, groups)
    numbers, first = left_out_numbers(statistic, unlearned, oracle, grouped), int(grouped[0].max()) + 2
    return LeftOut(numbers[0], numbers[1:first], numbers[first:], grouped)


def left_out_of(
    function: Callable[..., ndarray], ensembles: Sequence[LeftOut], pairs: Sequence[tuple[int, ...]] = ()
) -> tuple[ndarray, list[LeftOutPart]]:
    """Numbers as :func:`~.calibration.estimate_of` compares them; and those without each group, with the groups.

    One part for each of ``pairs``, then for each ensemble in none of them, at last for the oracles.
    """
    whole = [each.whole for each in ensembles]
    alone = [(number,) for number in range(len(ensembles)) if not any(number in pair for pair in pairs)]
    parts = []
    for members in [*pairs, *alone]:
        group = ensembles[members[0]].grouped[0]
        without = [
            function(*(each.without_models[k] if i in members else each.whole for i, each in enumerate(ensembles)))
            for k in range(int(group.max()) + 1)
        ]
        parts.append((np.array(without), group))
    group = ensembles[0].grouped[1]
    without = [function(*(each.without_oracles[k] for each in ensembles)) for k in range(int(group.max()) + 1)]
    return np.asarray(function(*whole)), [*parts, (np.array(without), group)]


def without_bias(value: ndarray, parts: Sequence[LeftOutPart]) -> ndarray:
    """``value`` less what of it goes with one over the number of models, which the jackknife estimates of each part.

    It is ``G value - sum over g of (1 - m_g / m) value_g`` for G groups of m_g of m models, one part's correction added
    to another's.

    Source: Quenouille 1956, doi:10.1093/biomet/43.3-4.353; unequal groups as in :func:`~.calibration.estimate`.

    >>> without_bias(np.ones(1), [(np.full((4, 1), 1.5), np.arange(4))])  # 1 + 3 (1 - 1.5)
    array([-0.5])
    """
    corrected: ndarray = value + sum(_centre(value, *part) - value for part in parts)
    return corrected


def value_and_error(numbers: ndarray, grouped: tuple[ndarray, ndarray]) -> tuple[ndarray, ndarray, ndarray]:
    """The numbers themselves, their standard errors, and the degrees of freedom."""
    value, without = numbers[0], np.split(numbers[1:], [int(grouped[0].max()) + 1])
    spreads = [spread(value, part, group) for part, group in zip(without, grouped, strict=True)]
    return value, *standard_error(spreads)


def spread(value: ndarray, without: ndarray, group: ndarray) -> Spread:
    """The jackknife variance of numbers, from those ``without`` each group of models; and its degrees of freedom."""
    share = _share(group)
    pseudo = share * value - (share - 1) * without
    variance: ndarray = ((pseudo - _centre(value, without, group)) ** 2 / (share - 1)).mean(axis=0)
    return variance, len(without) - 1


def _centre(value: ndarray, without: ndarray, group: ndarray) -> ndarray:
    centre: ndarray = len(without) * value - ((1 - 1 / _share(group)) * without).sum(axis=0)
    return centre


def _share(group: ndarray) -> ndarray:
    """Of all models to those left out; the same for equal groups."""
    share: ndarray = (len(group) / np.bincount(group))[:, None]
    return share


def standard_error(spreads: Sequence[Spread]) -> tuple[ndarray, ndarray]:
    """Of independent contributions; and Satterthwaite's degrees of freedom."""
    variance = sum((part for part, _ in spreads), np.zeros(1))
    fourth = sum((part**2 / freedom for part, freedom in spreads), np.zeros(1))
    freedom = np.divide(variance**2, fourth, out=np.ones_like(variance), where=fourth > 0)
    return np.sqrt(variance), freedom


def require_two(*ensembles: ndarray) -> None:
    for margins in ensembles:
        if len(margins) < 2:
            raise TooFewModels(f"expected 2 models or more for an interval, got {len(margins)}")

"""Which examples tell unlearned models from oracles: a two-sample test of every example, false discoveries held."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, comb

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from expunge.errors import BadSetting, TooFewModels
from expunge.metrics import _kernels
from expunge.metrics.calibration import GROUPS, Estimate, estimate
from expunge.metrics.klom import require_comparable

COLUMNS = 256  # labellings done at once: 200 models x 256 float32 are 200 kB, which fits the second-level cache


@dataclass(frozen=True)
class FlagRule:
    """When an example is flagged: Benjamini-Hochberg at ``level``, on p-values read from the permuted statistics.

    Once made it can be applied to parts of the same ensembles without permuting again, as a jackknife needs.
    """

    level: float
    drawn: int  # statistics in all: examples times labellings
    tail: Float[ndarray, " tail"] = field(repr=False)  # the largest of them, rising


def distinguishable(
    unlearned: Float[ndarray, "models examples"],
    oracle: Float[ndarray, "oracles _examples"],
    *,
    rate: float = 0.05,
    permutations: int = 1000,
    seed: int = 0,
) -> Bool[ndarray, " examples"]:
    """Which examples' margins differ from the oracles', by a two-sample test; the fewer, the better.

    ``A = n^2 / (m (n - m)) sum over k < n of (M_k - k m / n)^2 / (k (n - k))``, Anderson and Darling's statistic, of
    each example: of its n margins, m are of unlearned models, and M_k of the k least are. It depends on ranks alone and
    sees location, scale and shape. Over a block of equal margins M rises in a straight line, as on average over all
    orders of the block: a constant that oracles do not take is seen, and one that all take is not.

    Two steps hold the false discoveries though examples share models and are dependent. A permutation deals the
    labels "unlearned" and "oracle" to the models anew, for all examples at once; the statistics of all examples under
    all permutations give p-values, and Benjamini-Hochberg flags at a level of ``rate``. If more than a share ``rate``
    of the permuted data sets had a flag when treated the same, the level is lowered until they do not.

    Held-out oracles get no flag at all with a probability of ``1 - rate`` or more, for any dependence between
    examples: this is exact. When some examples differ, the expected share of false flags among all flags was 0.05 or
    less wherever simulated: 0, 70 and 98 % of the variance shared through the model, 5 and 50 % of the examples
    shifted, 100 against 100, 50 against 100 and 10 against 10 models.

    Args:
        unlearned: margins, one row per unlearned model; finite.
        oracle: the same for models retrained without the forget set; any number of rows, the same examples.
        rate: of false discoveries.
        permutations: of the labels.
        seed: of the permutations.

    Returns:
        One truth value per example.

    Source: Anderson-Darling of two samples: Pettitt 1976, doi:10.1093/biomet/63.1.161; false discoveries: Benjamini and
    Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x; permuting whole rows: Westfall and Young 1993.

    >>> rng = np.random.default_rng(0)
    >>> distinguishable(rng.normal([0.0, 3.0], size=(50, 2)), rng.normal(size=(50, 2)))
    array([False,  True])
    """
    return flagged(flag_rule(unlearned, oracle, rate=rate, permutations=permutations, seed=seed), unlearned, oracle)


def distinguishable_share(
    unlearned: Float[ndarray, "models examples"],
    oracle: Float[ndarray, "oracles _examples"],
    splits: Sequence[Int[ndarray, "..."]],
    *,
    rate: float = 0.05,
    permutations: int = 1000,
    seed: int = 0,
    groups: int = GROUPS,
) -> tuple[Bool[ndarray, " examples"], list[Estimate]]:
    """Which examples are distinguishable, and their share in each of ``splits``, 0 to 1, with a 95 % interval.

    ``flagged examples of the split / examples of the split``, flagged over all examples together as in
    :func:`distinguishable`, whose arguments are the same. Lower is better; held-out oracles get 0 in 95 % of benches.
    The interval is :func:`~expunge.metrics.calibration.estimate`'s, for the mean over fresh ensembles, with the rule
    of flagging fixed, and one example wider on both sides, since flags that come and go all at once look certain.

    Measured with 100 against 100 models that share 5 % of their variance over examples, as real ones do: it covers in
    98 % of runs where all examples are shifted by half a standard deviation, and in 98 % where none or where 20 % are,
    by one. It covers too little where examples share much and the test has little power, since all flags then come or
    stay away together: 60 to 85 % at shifts of 0.25 to 0.5 and 30 % of the variance shared.

    Args:
        unlearned: margins, one row per unlearned model, 2 or more; finite.
        oracle: the same for models retrained without the forget set.
        splits: of each split, the columns of its examples.
        rate: of false discoveries.
        permutations: of the labels.
        seed: of the permutations.
        groups: of the jackknife.

    Returns:
        One truth value per example, and one estimate per split.

    Source: as :func:`distinguishable` and :func:`~expunge.metrics.calibration.estimate`.

    >>> rng = np.random.default_rng(1)
    >>> after, oracle = rng.normal([0.0, 9.0], size=(20, 2)), rng.normal(size=(20, 2))
    >>> flags, shares = distinguishable_share(after, oracle, [np.array([0, 1])])
    >>> flags, shares[0].value
    (array([False,  True]), 0.5)
    """
    if not all(len(split) for split in splits):
        raise BadSetting("expected at least 1 example in each split, got an empty one")
    rule = flag_rule(unlearned, oracle, rate=rate, permutations=permutations, seed=seed)

    def shares(after: ndarray, reference: ndarray) -> ndarray:
        flags = flagged(rule, after, reference)
        return np.array([flags[split].mean() for split in splits])

    estimates = estimate(shares, unlearned, oracle, groups=groups)
    widened = [_widened(each, 1 / len(split)) for each, split in zip(estimates, splits, strict=True)]
    return flagged(rule, unlearned, oracle), widened


def _widened(share: Estimate, margin: float) -> Estimate:
    return Estimate(share.value, max(0.0, share.low - margin), min(1.0, share.high + margin))


def flag_rule(
    unlearned: Float[ndarray, "models examples"],
    oracle: Float[ndarray, "oracles _examples"],
    *,
    rate: float = 0.05,
    permutations: int = 1000,
    seed: int = 0,
) -> FlagRule:
    """The rule by which :func:`distinguishable` flags: all of its permuting, none of its flags."""
    require_comparable(unlearned, oracle)
    _require_settings(len(unlearned), len(oracle), rate, permutations)
    statistics = permuted_statistics(unlearned, oracle, permutations, seed)
    tail = _upper_tail(statistics, rate)
    least = np.sort(_least_adjusted(statistics, tail))
    # the given labels are column 0, one among equals: so their flags are as rare as those of any other column
    below = float(np.nextafter(least[int(rate * (permutations + 1))], 0))
    return FlagRule(min(rate, below), statistics.size, tail)


def flagged(
    rule: FlagRule, unlearned: Float[ndarray, "models examples"], oracle: Float[ndarray, "oracles _examples"]
) -> Bool[ndarray, " examples"]:
    """Which examples ``rule`` flags."""
    statistics = permuted_statistics(unlearned, oracle, 0, 0)[:, 0]
    order = np.argsort(-statistics)
    p = _p_values(statistics[order], rule.tail, rule.drawn)
    passed = np.flatnonzero(p * p.size <= rule.level * np.arange(1, p.size + 1))
    flags = np.zeros(p.size, bool)
    flags[order[: passed[-1] + 1 if passed.size else 0]] = True
    return flags


def permuted_statistics(
    unlearned: ndarray, oracle: ndarray, permutations: int, seed: int
) -> Float[ndarray, "examples columns"]:
    """Anderson and Darling's statistic of each example: of the labels as they are in column 0, dealt anew in others."""
    return _statistics(unlearned, oracle, _labels(len(unlearned), len(oracle), permutations, seed))


def _labels(models: int, oracles: int, permutations: int, seed: int) -> Float[ndarray, "all columns"]:
    """1 for unlearned and 0 for oracle: as they are in column 0, dealt anew in the others."""
    given = np.repeat(np.array([1, 0], np.float32), [models, oracles])
    dealt = np.random.default_rng(seed).permuted(np.tile(given, (permutations, 1)), axis=1)
    return np.vstack([given, dealt]).T


def _statistics(unlearned: ndarray, oracle: ndarray, labels: ndarray) -> Float[ndarray, "examples columns"]:
    """Anderson and Darling's statistic of each example under each column of labels, float32; its null mean is 1."""
    models, columns = labels.shape
    share, k = len(unlearned) / models, np.arange(1, models)
    weight = np.append(1 / (k * (models - k) * share * (1 - share)), 0).astype(np.float32)
    starts = range(0, columns, COLUMNS)
    parts = [_kernels.frozen(labels[:, start : start + COLUMNS]) for start in starts]
    out = np.empty((unlearned.shape[1], columns), np.float32)

    def run(start: int, stop: int) -> None:
        pooled = np.ascontiguousarray(np.concatenate([unlearned[:, start:stop], oracle[:, start:stop]]).T, np.float64)
        order = np.argsort(pooled, axis=1)
        ordered = np.take_along_axis(pooled, order, axis=1)
        for first, part in zip(starts, parts, strict=True):
            piece = np.empty((stop - start, part.shape[1]), np.float32)
            _kernels.anderson_darling_block(order, ordered, part, weight, share, piece)
            out[start:stop, first : first + COLUMNS] = piece

    _kernels.over_blocks(run, len(out), out.size * models)
    return out


def _upper_tail(statistics: ndarray, rate: float) -> Float[ndarray, " tail"]:
    """The largest share ``rate`` of all statistics, rising; only these can have p-values of ``rate`` or less."""
    keep = ceil(rate * statistics.size)
    return np.sort(np.partition(statistics, statistics.size - keep, axis=None)[-keep:])


def _p_values(statistics: ndarray, tail: ndarray, drawn: int) -> ndarray:
    """Share of all statistics that are as large or larger; 1 for what lies below the tail."""
    above = tail.size - np.searchsorted(tail, statistics, side="left")
    return np.where(statistics >= tail[0], above / drawn, 1.0)


def _least_adjusted(statistics: ndarray, tail: ndarray) -> Float[ndarray, " columns"]:
    """The least Benjamini-Hochberg p-value of each column: the level from which on the column has a flag."""
    examples, columns = statistics.shape
    row, column = np.nonzero(statistics >= tail[0])
    value = statistics[row, column]
    order = np.lexsort((-value, column))
    value, column = value[order], column[order]
    rank = np.arange(1, column.size + 1) - np.searchsorted(column, np.arange(columns))[column]
    least = np.ones(columns)
    np.minimum.at(least, column, _p_values(value, tail, statistics.size) * examples / rank)
    return least


def _require_settings(models: int, oracles: int, rate: float, permutations: int) -> None:
    if not 0 < rate < 1:
        raise BadSetting(f"expected a rate between 0 and 1, both excluded, got {rate}")
    if rate * (permutations + 1) < 1:
        raise BadSetting(f"a rate of {rate} needs {ceil(1 / rate) - 1} permutations or more, got {permutations}")
    distinct = comb(models + oracles, models) // (2 if models == oracles else 1)
    if rate * distinct < 1:
        raise TooFewModels(
            f"{models} against {oracles} models can be dealt in {distinct} ways only, too few for a rate of {rate}; "
            "take more models"
        )

"""The rule by which examples are flagged: a level for Benjamini-Hochberg, and p-values out of permuted statistics."""

from dataclasses import dataclass, field, replace
from math import ceil, comb

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from expunge.errors import BadSetting, TooFewModels
from expunge.metrics import _kernels
from expunge.metrics._compiled import over_blocks
from expunge.metrics.anderson_darling import (
    deal_labels,
    largest,
    permuted_statistics,
    statistic_blocks,
    statistics_of,
)
from expunge.metrics.comparable import require_comparable

STEP = 1 << 20  # statistics looked at in one step
MOST = 1 << 26  # statistics that are kept, examples times labellings: 268 MB; of more, only how many are how large
DIGITS = 12  # binary digits of a float32 that counted statistics lose: they are rounded down by 0.05 % or less
LEAST = 0.125  # counted statistics below are not told apart; their p-value is near 1


@dataclass(frozen=True)
class FlagRule:
    """When an example is flagged: Benjamini-Hochberg at ``level``, on p-values read from the permuted statistics.

    Once made it can be applied to parts of the same ensembles without permuting again, as a jackknife needs.
    """

    level: float
    drawn: int  # statistics in all: examples times labellings
    tail: Float[ndarray, " tail"] = field(repr=False)  # the largest of them, rising; or all that occur, rounded
    above: Int[ndarray, " counts"] = field(repr=False)  # how many are as large as each of the tail; at the end 0
    rounded: bool = False

    def p_values(self, statistics: Float[ndarray, " examples"]) -> Float[ndarray, " examples"]:
        """Share of all statistics that are as large or larger; 1 for what lies below the tail."""
        if self.rounded:
            statistics = np.minimum(_rounded(statistics), self.tail[-1])
        above = self.above[np.searchsorted(self.tail, statistics, side="left")]
        return np.where(statistics >= self.tail[0], above / self.drawn, 1.0)

    def flags(self, statistics: Float[ndarray, " examples"]) -> Bool[ndarray, " examples"]:
        """Which examples are flagged."""
        order, flagged = np.argsort(-statistics), 0
        for start in range(0, order.size, STEP):
            p = self.p_values(statistics[order[start : start + STEP]])
            rank = np.arange(start + 1, start + p.size + 1)
            passed = np.flatnonzero(p * order.size <= self.level * rank)
            flagged = start + int(passed[-1]) + 1 if passed.size else flagged
        flags = np.zeros(order.size, bool)
        flags[order[:flagged]] = True
        return flags


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
    labels = deal_labels(len(unlearned), len(oracle), permutations, seed)
    make = _kept_rule if unlearned.shape[1] * (permutations + 1) <= MOST else _counted_rule
    rule, least = make(unlearned, oracle, labels, rate)
    # the given labels are column 0, one among equals: so their flags are as rare as those of any other column
    below = float(np.nextafter(np.sort(least)[int(rate * (permutations + 1))], 0))
    return replace(rule, level=min(rate, below))


def _kept_rule(unlearned: ndarray, oracle: ndarray, labels: ndarray, rate: float) -> tuple[FlagRule, ndarray]:
    """A rule at level 1, and the level from which on each column of labels has a flag."""
    statistics = statistics_of(unlearned, oracle, labels)
    tail = _upper_tail(statistics, rate)
    rule = FlagRule(1.0, statistics.size, tail, np.arange(tail.size, -1, -1))
    return rule, _least_adjusted(statistics, rule)


def _counted_rule(unlearned: ndarray, oracle: ndarray, labels: ndarray, rate: float) -> tuple[FlagRule, ndarray]:
    """As :func:`_kept_rule`, of more statistics than memory holds: they are rounded down, and counted.

    The test stays exact, since a rounded statistic is a statistic, dealt anew as any other. A p-value grows by the
    share of statistics that the rounding makes equal: by a percent of itself or less where statistics are below 20.
    """
    ends = np.array([LEAST, largest(len(unlearned), len(oracle))], np.float32)
    first, last = (_bits(ends) >> DIGITS).tolist()
    counts = np.zeros((labels.shape[1], last - first + 1), np.uint32)
    for _, statistics in statistic_blocks(unlearned, oracle, labels):
        bits = _bits(statistics)

        def run(start: int, stop: int, bits: ndarray = bits) -> None:
            _kernels.tally(bits, start, stop, DIGITS, first, counts)

        over_blocks(run, len(counts), bits.size, width=64)
    above = np.append(np.cumsum(counts.sum(axis=0, dtype=np.int64)[::-1])[::-1], 0)
    least = np.array([_least_counted(each, above[:-1]) for each in counts]) * (unlearned.shape[1] / above[0])
    edges = (np.arange(first, last + 1, dtype=np.uint32) << DIGITS).view(np.float32)
    return FlagRule(1.0, int(above[0]), edges, above, rounded=True), least


def _least_counted(counts: ndarray, above: ndarray) -> float:
    """The least ``statistics as large in all columns / in this column``, over all statistics of the column."""
    own, occur = np.cumsum(counts[::-1])[::-1], counts > 0
    return float((above[occur] / own[occur]).min())


def flagged(
    rule: FlagRule, unlearned: Float[ndarray, "models examples"], oracle: Float[ndarray, "oracles _examples"]
) -> Bool[ndarray, " examples"]:
    """Which examples ``rule`` flags."""
    return rule.flags(permuted_statistics(unlearned, oracle, 0, 0)[:, 0])


def _upper_tail(statistics: ndarray, rate: float) -> Float[ndarray, " tail"]:
    """The largest share ``rate`` of all statistics, rising; only these can have p-values of ``rate`` or less."""
    keep = ceil(rate * statistics.size)
    steps = range(0, len(statistics), 1 + STEP // statistics.shape[1])
    codes = (_bits(statistics[step : step + steps.step]).ravel() >> 16 for step in steps)
    counts = sum((np.bincount(each, minlength=1 << 16) for each in codes), np.zeros(1 << 16, np.int64))
    above = np.cumsum(counts[::-1])[::-1]
    lowest = np.uint32(np.flatnonzero(above >= keep)[-1] << 16).view(np.float32)  # so that little is sorted
    return np.sort(statistics[statistics >= lowest])[-keep:]


def _bits(statistics: ndarray) -> ndarray:
    """The bits of float32 numbers that are not negative: whole numbers in the same order."""
    return statistics.view(np.uint32)


def _rounded(statistics: Float[ndarray, " examples"]) -> Float[ndarray, " examples"]:
    return (_bits(statistics) >> DIGITS << DIGITS).view(np.float32)


def _least_adjusted(statistics: ndarray, rule: FlagRule) -> Float[ndarray, " columns"]:
    """The least Benjamini-Hochberg p-value of each column: the level from which on the column has a flag."""
    examples, columns = statistics.shape
    row, column = np.nonzero(statistics >= rule.tail[0])
    # one number for both, by column and then by falling value: sorting it is ten times as quick as sorting by two keys
    keys = (column.astype(np.uint64) << np.uint64(32)) | (_bits(statistics[row, column]) ^ np.uint32(0xFFFFFFFF))
    keys.sort()
    column = (keys >> np.uint64(32)).astype(np.int64)
    value = (keys.astype(np.uint32) ^ np.uint32(0xFFFFFFFF)).view(np.float32)
    rank = np.arange(1, column.size + 1) - np.searchsorted(column, np.arange(columns))[column]
    least = np.ones(columns)
    np.minimum.at(least, column, rule.p_values(value) * examples / rank)
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

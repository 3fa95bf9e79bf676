"""Do two rows of numbers speak of the same examples in the same order? What correlations of margins tell of that."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

LEVEL = 0.01  # of the tests that must reject: right columns follow each other
SURE = 3.0  # standard errors of Fisher's z by which one correlation must lie below another to be called smaller
ALIGNED = 0.5  # correlation from which on columns are in place, whatever others have: a rule of thumb
LAGS = (-3, -2, -1, 1, 2, 3)  # columns by which a stretch may be off
SHUFFLES = 999
COLUMNS = 1000  # at most, evenly spaced, where an answer does not need all examples


@dataclass(frozen=True)
class Agreement:
    """Pearson's r of two rows over examples, and its p-value: the share of orders of the examples with one as large."""

    r: float
    p: float
    examples: int

    @property
    def few(self) -> bool:
        """Whether there are too few examples for any order to stand out."""
        return math.factorial(min(self.examples, 20)) * LEVEL < 1

    @property
    def sure(self) -> bool:
        """Whether the rows surely follow each other."""
        return self.p <= LEVEL

    def is_below(self, other: "Agreement") -> bool:
        """Whether it is surely the smaller one, its own examples being so many."""
        return lies_below(self.r, fisher(other.r), self.examples)


def agreement(one: Float[ndarray, " examples"], other: Float[ndarray, " examples"]) -> Agreement:
    """Whether what is large in one row is large in the other, against 999 orders drawn at random.

    >>> agreement(np.arange(9.0), np.arange(9.0) ** 2).sure
    True
    """
    rng = np.random.default_rng(0)
    given = correlation(one, other)
    chance = np.array([correlation(one, rng.permutation(other)) for _ in range(SHUFFLES)])
    return Agreement(given, float(1 + (chance >= given).sum()) / (SHUFFLES + 1), len(one))


def halves(margins: Float[ndarray, "models examples"]) -> tuple[ndarray, ndarray]:
    """The mean margins of both halves of an ensemble."""
    half = len(margins) // 2
    return margins[:half].mean(axis=0, dtype=np.float64), margins[half:].mean(axis=0, dtype=np.float64)


def stretches_off(
    pretrained: Float[ndarray, " examples"], oracle: Float[ndarray, " examples"], blocks: int
) -> tuple[float, list[str]]:
    """The least r of so many stretches of two rows, and what is wrong with those that are not in place.

    A stretch is in place from r = 0.5 on. Below, it is off where it surely fits better when moved by up to three
    columns, or lies far below the middle one of the stretches, which a slip of some does and a change of the models, as
    far as it is alike, does not.
    """
    parts = [
        (one, other)
        for one, other in zip(np.array_split(pretrained, blocks), np.array_split(oracle, blocks), strict=True)
        if len(one) > 3
    ]
    found = [correlation(*part) for part in parts]
    limit = _limit(np.array([fisher(r) for r in found]), min((len(one) for one, _ in parts), default=0))
    wrong = []
    for number, (r, (one, other)) in enumerate(zip(found, parts, strict=True), start=1):
        if r >= ALIGNED:
            continue
        if lag := _better_lag(one, other, r):
            wrong.append(f"block {number} fits better when moved by {lag} columns")
        elif fisher(r) < limit:
            wrong.append(f"block {number} has r = {r:.2f}, far below the others")
    return min(found, default=0.0), wrong


def _better_lag(one: ndarray, other: ndarray, r: float) -> int:
    """By how many columns a stretch surely fits better than in place; 0 where by none."""
    moved = {lag: correlation(one, np.roll(other, lag)) for lag in LAGS if len(one) > 2 * abs(lag) + 3}
    best = max(moved, key=lambda lag: moved[lag], default=0)
    return best if best and lies_below(r, fisher(moved[best]), len(one), sides=2) else 0


def odd_ones(
    pretrained: Float[ndarray, " examples"], models: Float[ndarray, "models examples"]
) -> tuple[float, Int[ndarray, " odd"]]:
    """The least r of a model with the mean of the others, and which models alone are in another order.

    Such a one follows neither the pretrained models nor the others by 0.5, and lies far below what the others do among
    themselves: six times as far from their middle as the middle one of them.
    """
    if len(models) < 3:
        return 1.0, np.zeros(0, int)
    total = models.sum(axis=0, dtype=np.float64)
    alone = np.array([correlation(row, total - row) for row in models])
    z = np.arctanh(alone.clip(-1 + 1e-12, 1 - 1e-12))
    low = np.flatnonzero((alone < ALIGNED) & (z < _limit(z, models.shape[1])))
    odd = [row for row in low if correlation(pretrained, models[row]) < ALIGNED]
    return float(alone.min()), np.array(odd, int)


def _limit(z: ndarray, examples: int) -> float:
    """Below which one of several z of so many examples is far off: six times as far as the middle one, and surely."""
    if not z.size:
        return -math.inf
    spread = 1.4826 * float(np.median(np.abs(z - np.median(z))))
    return float(np.median(z)) - max(6 * spread, SURE / math.sqrt(max(examples - 3, 1)))


def correlation(first: ndarray, second: ndarray) -> float:
    """Pearson's r; 0 where one side does not vary."""
    first, second = first - first.mean(), second - second.mean()
    scale = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / scale) if scale > 0 else 0.0


def fisher(r: float) -> float:
    """Fisher's z of a correlation, in which all are about equally uncertain."""
    return float(np.arctanh(min(max(r, -1 + 1e-12), 1 - 1e-12)))


def lies_below(r: float, z: float, examples: int, *, sides: int = 1) -> bool:
    """Whether ``r`` of so many examples surely lies below ``z``, or, with two sides, below one as uncertain."""
    return bool(examples > 3 and fisher(r) < z - SURE * math.sqrt(sides / (examples - 3)))


def spaced(count: int, most: int = COLUMNS) -> Int[ndarray, " some"]:
    """Of ``count`` columns ``most`` at the most, evenly spaced.

    >>> spaced(10, 4)
    array([0, 3, 6, 9])
    """
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)

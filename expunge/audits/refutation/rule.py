"""From statistics to one event: chosen in models that pick, counted in others.

Of all statistics, thresholds and sides that are looked at one is taken, and it alone is counted, in models that had no
part in the choice. That is how choosing among examples and statistics is corrected for: by a split of the models, so no
p-value has to be divided by their number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from expunge.audits.epsilon import LEVEL, Counts, epsilon_of_rates, rate_at_least, rate_at_most
from expunge.audits.refutation.arms import Arms
from expunge.audits.refutation.statistic import Statistic
from expunge.errors import BadMargins

Pair = tuple[Int[ndarray, " thresholds"], Int[ndarray, " thresholds"]]  # of the released models, of the reference


@dataclass(frozen=True)
class Rule:
    """The event that a statistic lies ``above`` a threshold, or, where it does not say so, at or below it."""

    statistic: Statistic
    threshold: float
    above: bool

    def count(self, held_out: Arms) -> Counts:
        """In how many models of either arm it happens."""
        hits, alarms = (int(self._happens(self.statistic.score(arm)).sum()) for arm in held_out.both)
        return Counts(hits, len(held_out.released), alarms, len(held_out.reference))

    def _happens(self, scores: Float[ndarray, " models"]) -> ndarray:
        over: ndarray = scores > self.threshold
        return over if self.above else ~over

    def told(self) -> str:
        """In words."""
        return f"{self.statistic.name} {'above' if self.above else 'at most'} {self.threshold:.6g}"


@dataclass(frozen=True)
class Aim:
    """What a rule is chosen for: the highest bound, at ``delta``, of so many held-out models of either arm."""

    models: int
    references: int
    delta: float
    level: float = LEVEL

    def expected(self, counts: Pair, sizes: tuple[int, int]) -> Float[ndarray, " thresholds"]:
        """The bound where rates are ``(count + 1/2) / (size + 1)`` of models that pick; negative if none."""
        hits, alarms = ((count + 0.5) / (size + 1) for count, size in zip(counts, sizes, strict=True))
        tail = (1 - self.level) / 2
        low = rate_at_least(hits * self.models, self.models, tail)
        high = rate_at_most(alarms * self.references, self.references, tail)
        return epsilon_of_rates(low, high, self.delta)


def choose(statistics: Sequence[Statistic], pick: Arms, aim: Aim) -> Rule:
    """The event whose bound is to be the highest in held-out models, by what models that pick show.

    Few models often show several events that never err: of these that statistic is taken whose means lie farthest
    apart, in its own spread, and of its thresholds that in the widest gap.
    """
    if not statistics:
        raise BadMargins("expected a reading in which the arms differ in the mean, and found none: they are the same")
    found = []
    for statistic in statistics:
        released, reference = (np.sort(statistic.score(arm)) for arm in pick.both)
        bound, threshold, above = _best_threshold(released, reference, aim)
        found.append(((bound, _apart(released, reference)), Rule(statistic, threshold, above)))
    return max(found, key=lambda one: one[0])[1]  # the first of equals


def _apart(released: Float[ndarray, " models"], reference: Float[ndarray, " references"]) -> float:
    """The distance of the means in standard deviations; infinite where nothing varies but between the arms."""
    far = abs(float(released.mean() - reference.mean()))
    spread = float(np.sqrt((released.var() + reference.var()) / 2))
    return far / spread if spread > 0 else np.inf if far > 0 else 0.0


def _best_threshold(
    released: Float[ndarray, " models"], reference: Float[ndarray, " references"], aim: Aim
) -> tuple[float, float, bool]:
    """The bound that is expected of sorted scores, its threshold, and whether the event lies above it."""
    values = np.unique(np.concatenate([released, reference]))
    if len(values) == 1:
        return -np.inf, float(values[0]), True
    thresholds, gaps = (values[:-1] + values[1:]) / 2, np.diff(values)
    under = tuple(np.searchsorted(rows, thresholds, side="right") for rows in (released, reference))
    sizes = len(released), len(reference)
    over = (sizes[0] - under[0], sizes[1] - under[1])
    bounds = np.concatenate([aim.expected(over, sizes), aim.expected((under[0], under[1]), sizes)])
    best = int(np.lexsort((-np.tile(gaps, 2), -bounds))[0])
    return float(bounds[best]), float(thresholds[best % len(gaps)]), best < len(gaps)

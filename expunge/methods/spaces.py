"""Where tuning looks for a setting: a range of numbers, or a choice of values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from expunge.records import Setting


@dataclass(frozen=True)
class Between:
    """Numbers from ``low`` to ``high``, both possible; uniform, or uniform in the logarithm."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def draw(self, rng: np.random.Generator) -> Setting:
        """One value at random; others are rounded to 3 digits, so that settings can be read."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        if self.whole and not self.log:
            return int(rng.integers(int(low), int(high) + 1))
        value = math.exp(rng.uniform(low, high)) if self.log else rng.uniform(low, high)
        return round(value) if self.whole else min(max(float(f"{value:.3g}"), self.low), self.high)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int if self.whole else int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class OneOf:
    """One of ``values``, all equally likely."""

    values: tuple[Setting, ...]

    def draw(self, rng: np.random.Generator) -> Setting:
        """One value at random."""
        return self.values[int(rng.integers(len(self.values)))]

    def __contains__(self, value: object) -> bool:
        return value in self.values


Space = Between | OneOf


@dataclass(frozen=True)
class Published:
    """Settings that those who published a method take, which a search tries first.

    ``source`` says where they stand and what for, such as "the paper, table 5, a class of CIFAR-10". Only what is
    stated there is set; all of it lies in the row's ``search``, where that looks for the setting at all.
    """

    source: str
    settings: Mapping[str, Setting]


RATES = Between(1e-4, 0.5, log=True)  # learning rates of walks that see what is kept
FORGET_RATES = Between(1e-6, 0.1, log=True)  # of those that see forget examples only, or climb their loss

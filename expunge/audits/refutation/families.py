"""FAMILIES of statistics: what may tell two arms apart, from the strongest reading to the weakest."""

from collections.abc import Callable
from dataclasses import dataclass

from expunge.audits.refutation import columns, weights
from expunge.audits.refutation.arms import Arms, Reading
from expunge.audits.refutation.statistic import Statistic

Find = Callable[[Arms, float], list[Statistic]]  # models that fit, sigma of the noise that is claimed


@dataclass(frozen=True)
class Family:
    """What it reads of a model, and its statistics, whose directions are found in models that are not counted."""

    reads: Reading
    summary: str
    find: Find


FAMILIES: dict[str, Family] = {
    "shift": Family("weights", "weights along the shift that the noise is to hide", weights.along_shift),
    "buffers": Family("buffers", "each number that no noise covers, and all together", columns.of_buffers),
    "margins": Family("margins", "margins on the forget set: all, their mean, each", columns.of_margins),
}


def statistics_of(fit: Arms, sigma: float) -> list[Statistic]:
    """All statistics of all families whose reading is known."""
    return [each for family in FAMILIES.values() if family.reads in fit.known for each in family.find(fit, sigma)]

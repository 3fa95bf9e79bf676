"""Statistics of a table of numbers, a row a model: each column, their mean, the likelihood ratio of all together."""

from functools import partial

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.audits.refutation.arms import Arm, Arms, Reading
from expunge.audits.refutation.statistic import Statistic, along, fisher, shrunk_floor, spread_within

MOST_COLUMNS = 500  # tried one by one: those whose means lie farthest apart in the models that fit


def of_margins(fit: Arms, sigma: float) -> list[Statistic]:
    """Likelihood ratios of all margins on the forget set, their mean, and the margin of each example."""
    mean = Statistic("mean margin on the forget set", lambda arm: arm.read("margins").mean(axis=1))
    ratio = _ratio("likelihood ratio of margins", "margins", fit)
    return [*ratio, mean, *_each("margin of forget example {}", "margins", fit)]


def of_buffers(fit: Arms, sigma: float) -> list[Statistic]:
    """Likelihood ratios of all buffers, and each number that they hold."""
    return [*_ratio("likelihood ratio of buffers", "buffers", fit), *_each("buffer number {}", "buffers", fit)]


def _ratio(name: str, reading: Reading, fit: Arms) -> list[Statistic]:
    released, reference = (arm.read(reading) for arm in fit.both)
    apart, within = released.mean(axis=0) - reference.mean(axis=0), spread_within(released, reference)
    floor = shrunk_floor(within)
    directions = {
        name: fisher(apart, within, floor),
        f"{name}, shrunk less": fisher(apart, within, floor / 100),  # where one axis has most of the variance
    }
    return [along(told, reading, direction) for told, direction in directions.items() if direction.any()]


def _each(name: str, reading: Reading, fit: Arms) -> list[Statistic]:
    released, reference = (arm.read(reading) for arm in fit.both)
    spread = np.sqrt(released.var(axis=0) + reference.var(axis=0))
    apart = np.abs(released.mean(axis=0) - reference.mean(axis=0))
    far = np.divide(apart, spread, out=np.where(apart > 0, np.inf, 0.0), where=spread > 0)
    chosen = np.sort(np.argsort(-far, kind="stable")[:MOST_COLUMNS])
    return [Statistic(name.format(int(column)), partial(_column, reading, int(column))) for column in chosen]


def _column(reading: Reading, column: int, arm: Arm) -> Float[ndarray, " models"]:
    found: ndarray = arm.readings[reading][:, column].astype(np.float64)
    return found

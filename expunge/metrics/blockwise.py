"""A number of two ensembles: computed at once or, where it sums up a value per example, block by block."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.ensembles.mapped_arrays import blocks, held
from expunge.metrics._compiled import LARGE, over_blocks
from expunge.metrics.comparable import require_same_examples

Prepare = Callable[[ndarray, ndarray], tuple[ndarray, ...]]
Version = Callable[..., tuple[ndarray, ndarray]]


@dataclass(frozen=True)
class ByExample:
    """A statistic that is computed in bounded memory: a value of each example, then numbers that sum them up.

    ``values(unlearned, oracle)`` is given some of the examples, in several threads at once, their margins clipped to
    ``[-clip, clip]``: without it, what an exploded model says would overflow in a variance.
    """

    values: Callable[[ndarray, ndarray], ndarray]
    summary: Callable[[ndarray], ndarray]  # (examples,) -> one number per thing to report
    clip: float = 100.0  # as KLoM does


Statistic = ByExample | Callable[[ndarray, ndarray], ndarray]  # (unlearned, oracle) -> one number per thing to report


def numbers_of(
    statistic: Statistic,
    unlearned: ndarray,
    oracle: ndarray,
    versions: Sequence[Version],
    prepare: Prepare = lambda unlearned, oracle: (unlearned, oracle),
) -> Float[ndarray, "versions numbers"]:
    """The numbers of each version of two ensembles; ``version(*prepare(unlearned, oracle))`` is what is compared."""
    if not isinstance(statistic, ByExample):
        prepared = prepare(unlearned, oracle)
        return np.array([np.asarray(statistic(*version(*prepared)), np.float64) for version in versions])
    require_same_examples(unlearned, oracle)
    numbers, examples = [], unlearned.shape[1]
    at_once = held(8 * examples)
    for start in range(0, len(versions), at_once):
        some = versions[start : start + at_once]
        values = np.empty((len(some), examples))
        for columns, parts in blocks(unlearned, oracle):
            _values(statistic, parts, some, prepare, values[:, columns])
        numbers += [np.asarray(statistic.summary(each), np.float64) for each in values]
    return np.array(numbers)


def _values(
    statistic: ByExample, parts: tuple[ndarray, ...], versions: Sequence[Version], prepare: Prepare, out: ndarray
) -> None:
    """The value of each example (columns of ``out``) in each version (rows), in pieces that fit a cache."""
    models = sum(map(len, parts))

    def run(start: int, stop: int) -> None:
        # in C order, for numpy adds up in another one along columns that lie together
        prepared = prepare(*(part[:, start:stop].clip(-statistic.clip, statistic.clip, order="C") for part in parts))
        for version, row in zip(versions, out, strict=True):
            row[start:stop] = statistic.values(*version(*prepared))

    over_blocks(run, out.shape[1], out.size * models, width=LARGE // (2 * models))

"""Anderson and Darling's statistic of every example, under the true labels of the models and under dealt ones."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.ensembles.mapped_arrays import blocks, held, in_block, spans
from expunge.metrics._anderson_darling import anderson_darling_block, left_out_block
from expunge.metrics._compiled import frozen, over_blocks
from expunge.metrics.jackknife import Rows

COLUMNS = 256  # labellings done at once: 200 models x 256 float32 are 200 kB, which fits the second-level cache


def permuted_statistics(
    unlearned: ndarray, oracle: ndarray, permutations: int, seed: int
) -> Float[ndarray, "examples columns"]:
    """Anderson and Darling's statistic of each example: of the labels as they are in column 0, dealt anew in others."""
    return statistics_of(unlearned, oracle, deal_labels(len(unlearned), len(oracle), permutations, seed))


def deal_labels(models: int, oracles: int, permutations: int, seed: int) -> Float[ndarray, "all columns"]:
    """1 for unlearned and 0 for oracle: as they are in column 0, dealt anew in the others."""
    given = np.repeat(np.array([1, 0], np.float32), [models, oracles])
    dealt = np.random.default_rng(seed).permuted(np.tile(given, (permutations, 1)), axis=1)
    return np.vstack([given, dealt]).T


def statistics_of(unlearned: ndarray, oracle: ndarray, labels: ndarray) -> Float[ndarray, "examples columns"]:
    """The statistic of each example under each column of labels, float32; its null mean is 1."""
    out = np.empty((unlearned.shape[1], labels.shape[1]), np.float32)
    for rows, statistics in statistic_blocks(unlearned, oracle, labels):
        out[rows] = statistics
    return out


def statistic_blocks(
    unlearned: ndarray, oracle: ndarray, labels: ndarray
) -> Iterator[tuple[slice, Float[ndarray, "some columns"]]]:
    """As :func:`statistics_of`, of some examples after the other; which ones, and their statistics."""
    weight, share = _weight(len(unlearned), len(oracle))
    starts = range(0, labels.shape[1], COLUMNS)
    dealt = [frozen(labels[:, start : start + COLUMNS]) for start in starts]
    for columns, (one, other) in blocks(unlearned, oracle):
        for first, last in spans(one.shape[1], in_block(4 * labels.shape[1])):
            out = np.empty((last - first, labels.shape[1]), np.float32)

            def run(
                start: int,
                stop: int,
                pair: tuple[ndarray, ...] = (one[:, first:last], other[:, first:last]),
                out: ndarray = out,
            ) -> None:
                order, margins = _ranked(*(side[:, start:stop] for side in pair))
                for at, part in zip(starts, dealt, strict=True):
                    piece = np.empty((stop - start, part.shape[1]), np.float32)
                    anderson_darling_block(order, margins, part, weight, share, piece)
                    out[start:stop, at : at + COLUMNS] = piece

            over_blocks(run, len(out), out.size * len(labels))
            yield slice(columns.start + first, columns.start + last), out


def left_out_statistics(
    unlearned: ndarray, oracle: ndarray, versions: Sequence[tuple[Rows, Rows]]
) -> Iterator[Float[ndarray, " examples"]]:
    """The statistic of each example under the true labels, of those rows of both ensembles that each version keeps."""
    examples = unlearned.shape[1]
    at_once = held(4 * examples)
    for start in range(0, len(versions), at_once):
        kept = [_pooled(len(unlearned), len(oracle), version) for version in versions[start : start + at_once]]
        out = np.empty((len(kept), examples), np.float32)
        for columns, parts in blocks(unlearned, oracle):
            _left_out_block(parts, kept, out[:, columns])
        yield from out


def _left_out_block(parts: tuple[ndarray, ...], kept: Sequence[tuple[ndarray, int]], out: ndarray) -> None:
    weights = [_weight(first, int(stays.sum()) - first) for stays, first in kept]

    def run(start: int, stop: int) -> None:
        order, margins = _ranked(*(part[:, start:stop] for part in parts))
        for (stays, _), (weight, share), row in zip(kept, weights, out, strict=True):
            piece = np.empty(stop - start, np.float32)
            left_out_block(order, margins, stays, len(parts[0]), weight, share, piece)
            row[start:stop] = piece

    over_blocks(run, out.shape[1], out.size * sum(map(len, parts)))


def _pooled(models: int, oracles: int, version: tuple[Rows, Rows]) -> tuple[ndarray, int]:
    """Which of all models stay, the unlearned first, and how many of these."""
    stays: list[ndarray] = []
    for count, rows in zip((models, oracles), version, strict=True):
        stays.append(np.zeros(count, bool))
        stays[-1][rows] = True
    return np.concatenate(stays), int(stays[0].sum())


def _ranked(unlearned: ndarray, oracle: ndarray) -> tuple[ndarray, ndarray]:
    """Of each example the models by rising margin, and their margins in that order, float64."""
    pooled = np.ascontiguousarray(np.concatenate([unlearned, oracle]).T, np.float64)
    order = np.argsort(pooled, axis=1)
    return order, np.take_along_axis(pooled, order, axis=1)


def _weight(models: int, oracles: int) -> tuple[Float[ndarray, " all"], float]:
    """The weight of the gap after each of all models by rising margin, and the share of the unlearned."""
    both = models + oracles
    share, k = models / both, np.arange(1, both)
    return np.append(1 / (k * (both - k) * share * (1 - share)), 0).astype(np.float32), share


def largest(models: int, oracles: int) -> float:
    """A bound of the statistic: where all models of one ensemble lie below all of the other.

    >>> pair = np.arange(20.0).reshape(2, 10, 1)
    >>> largest(10, 10) >= permuted_statistics(*pair, 0, 0)[0, 0] > 0.99 * largest(10, 10)
    np.True_
    """
    weight, share = _weight(models, oracles)
    k = np.arange(1, models + oracles + 1)
    below = np.maximum(np.minimum(k, models) - k * share, k * share - np.maximum(k - oracles, 0))
    return float((weight.astype(np.float64) * below**2).sum() * 1.001)  # sums in float32 may lie above

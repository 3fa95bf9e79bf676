"""The inner loops of KLoM, of distances and of counts.

This module must stay out of the list of packages that the jaxtyping import hook of the tests rewrites: the hook puts
a type-checking decorator around every function, and numba cannot compile what it finds inside. The callers check.
"""

import numpy as np
from numpy import ndarray

from expunge.metrics._compiled import BLOCK, compiled

NEAR = 1e-6  # of a bin: nearer to an edge than this, a margin is compared with the edge itself


@compiled
def _widen(values: ndarray, start: int, clip: float, low: ndarray, high: ndarray) -> None:
    for model in range(values.shape[0]):
        row = values[model, start : start + low.size]  # a slice: plain offsets would keep the loop from using SIMD
        for j in range(low.size):
            x = min(max(np.float64(row[j]), -clip), clip)
            low[j] = min(low[j], x)
            high[j] = max(high[j], x)


@compiled
def _count(
    values: ndarray,
    start: int,
    clip: float,
    low: ndarray,
    step: ndarray,
    scale: ndarray,
    bins: int,
    delicate: bool,
    cell: ndarray,
    counts: ndarray,
) -> None:
    last = np.int32(bins - 1)
    for model in range(values.shape[0]):
        row = values[model, start : start + low.size]
        near_an_edge = delicate
        for j in range(low.size):
            x = min(max(np.float64(row[j]), -clip), clip)
            position = (x - low[j]) * scale[j]
            k = np.int32(min(position, float(last)))  # the last bin is closed
            beyond = position - np.float64(k)
            near_an_edge |= ((beyond < NEAR) & (k > 0)) | ((beyond > 1 - NEAR) & (k < last))
            cell[j] = np.uint32(np.int32(j * bins) + k)
        for j in range(low.size if near_an_edge else 0):
            # again, one step down or up where rounding put x on the wrong side of an edge of np.linspace
            x = min(max(np.float64(row[j]), -clip), clip)
            k = np.int32(min((x - low[j]) * scale[j], float(last)))
            below = x < np.float64(k) * step[j] + low[j]
            above = (x >= np.float64(k + np.int32(1)) * step[j] + low[j]) & (step[j] > 0)  # else all lies in one bin
            k = k - np.int32(below) + np.int32(above)
            cell[j] = np.uint32(np.int32(j * bins) + min(max(k, np.int32(0)), last))
        for j in range(low.size):
            counts[cell[j]] += np.uint32(1)


@compiled
def klom_block(
    unlearned: ndarray,  # (models, examples), float32 or float64
    oracle: ndarray,  # (oracles, examples), of the same type
    start: int,
    stop: int,
    bins: int,
    clip: float,
    log_unlearned: ndarray,  # log_unlearned[c] = log mass of a bin that holds c unlearned models
    log_oracle: ndarray,
    out: ndarray,  # (examples,); start to stop are written
) -> None:
    """KLoM of the examples ``start`` to ``stop``."""
    size = stop - start
    low, high, step, scale = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    cell = np.empty(size, np.uint32)  # unsigned: numba then spares the check for negative indices
    p, q = np.empty(size * bins, np.uint32), np.empty(size * bins, np.uint32)
    low[:], high[:], p[:], q[:] = np.inf, -np.inf, 0, 0
    _widen(unlearned, start, clip, low, high)
    _widen(oracle, start, clip, low, high)
    delicate = False  # ranges so small beside the margins themselves that edges are rounded by much of a bin
    for j in range(size):
        width = high[j] - low[j]
        step[j] = width / bins
        scale[j] = bins / width if width > 0 else 0.0
        delicate |= max(-low[j], high[j]) * scale[j] > 1e8
    _count(unlearned, start, clip, low, step, scale, bins, delicate, cell, p)
    _count(oracle, start, clip, low, step, scale, bins, delicate, cell, q)
    for j in range(size):
        total = 0.0
        for b in range(j * bins, (j + 1) * bins):
            total += p[b] * (log_unlearned[p[b]] - log_oracle[q[b]])
        out[start + j] = total / unlearned.shape[0]


@compiled
def count_near(
    unlearned: ndarray,  # (models, examples)
    oracle: ndarray,  # (oracles, examples), of the same type
    least: float,  # of the same type
    near: ndarray,  # (models, oracles): to each is added on how many examples the two differ by less
) -> None:
    """On how many examples each model has the margin of each oracle."""
    for start in range(0, unlearned.shape[1], BLOCK):
        for model in range(unlearned.shape[0]):
            mine = unlearned[model, start : start + BLOCK]
            for other in range(oracle.shape[0]):
                theirs = oracle[other, start : start + BLOCK]
                count = np.int32(0)
                for j in range(mine.size):
                    count += np.int32(abs(theirs[j] - mine[j]) < least)
                near[model, other] += count


@compiled
def tally(bits: ndarray, start: int, stop: int, shift: int, first: int, counts: ndarray) -> None:
    """Add to ``counts[column, k]`` how often ``bits[:, column] >> shift`` is ``first + k``, the ends closed."""
    last = counts.shape[1] - 1
    for example in range(bits.shape[0]):
        row = bits[example]
        for column in range(start, stop):
            counts[column, min(max((np.int64(row[column]) >> shift) - first, 0), last)] += np.uint32(1)


@compiled
def _sort_models(values: ndarray, network: ndarray) -> None:
    """Sort each column of ``values``, (models, lanes), by the exchanges of a sorting network."""
    for number in range(network.shape[0]):
        low, high = values[network[number, 0]], values[network[number, 1]]
        for j in range(low.size):  # the same for all columns, so SIMD does many at once
            a, b = low[j], high[j]
            low[j] = a if a < b else b
            high[j] = b if a < b else a


@compiled
def _clipped(values: ndarray, start: int, clip: float, out: ndarray) -> None:
    for model in range(values.shape[0]):
        row, mine = values[model, start : start + out.shape[1]], out[model]
        for j in range(mine.size):
            mine[j] = min(max(row[j], -clip), clip)


@compiled
def _spread(values: ndarray, least: float, out: ndarray) -> None:
    """The standard deviation of each column, ``least`` or more."""
    mean = np.zeros(out.size)
    for model in range(values.shape[0]):
        row = values[model]
        for j in range(out.size):
            mean[j] += np.float64(row[j])
    for j in range(out.size):
        mean[j] /= values.shape[0]
        out[j] = 0
    for model in range(values.shape[0]):
        row = values[model]
        for j in range(out.size):
            away = np.float64(row[j]) - mean[j]
            out[j] += away * away
    for j in range(out.size):
        out[j] = max(np.sqrt(out[j] / (values.shape[0] - 1)), least)


@compiled
def wasserstein_block(
    unlearned: ndarray,  # (models, examples), float32 or float64
    oracle: ndarray,  # (oracles, examples), of the same type
    start: int,
    stop: int,
    clip: float,  # a number of the same type
    networks: tuple[ndarray, ndarray],  # (exchanges, 2) rows to put in order, of both ensembles
    steps: tuple[ndarray, ndarray, ndarray],  # where the quantiles of both stay: the row of each, and the share
    least: float,  # smallest standard deviation that is divided by
    out: ndarray,  # (examples,); start to stop are written
) -> None:
    """Wasserstein-1 of the examples ``start`` to ``stop``, in standard deviations of the oracles."""
    size = stop - start
    mine = np.empty((unlearned.shape[0], size), unlearned.dtype)
    theirs = np.empty((oracle.shape[0], size), oracle.dtype)
    scale, total = np.empty(size), np.zeros(size)
    _clipped(unlearned, start, clip, mine)
    _clipped(oracle, start, clip, theirs)
    _spread(theirs, least, scale)
    _sort_models(mine, networks[0])
    _sort_models(theirs, networks[1])
    first, second, share = steps
    for k in range(share.size):
        one, other, part = mine[first[k]], theirs[second[k]], share[k]
        for j in range(size):
            total[j] += part * abs(np.float64(one[j]) - np.float64(other[j]))
    for j in range(size):
        out[start + j] = total[j] / scale[j]

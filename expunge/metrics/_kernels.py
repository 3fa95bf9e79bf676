"""The inner loops, compiled by numba, and the one place that compiles them and spreads them over threads.

This module must stay out of the list of packages that the jaxtyping import hook of the tests rewrites: the hook puts
a type-checking decorator around every function, and numba cannot compile what it finds inside. The callers check.

Threads come from Python, not from ``parallel=True``: numba's default threading layer ends the process when two
threads of the caller meet in it. The kernels release the GIL instead, and each works on its own examples.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

import numba
import numpy as np
import torch
from numpy import ndarray

from expunge.ensembles.mapped_arrays import spans

F = TypeVar("F", bound=Callable[..., object])

BLOCK = 512  # examples or more per call: 100 + 100 models of float32 are 400 kB and fit the second-level cache
LARGE = 1 << 19  # array elements from which on threads pay
NEAR = 1e-6  # of a bin: nearer to an edge than this, a margin is compared with the edge itself


def compiled(function: F) -> F:
    """``function`` compiled at its first call, and kept on disk where there is a place to keep it.

    numba raises RuntimeError when neither the package, nor the home, nor NUMBA_CACHE_DIR can be written, as in a
    read-only install: there the kernels are compiled anew in each process, about a second.
    """
    try:
        kernel = numba.njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:
        kernel = numba.njit(nogil=True, error_model="numpy")(function)
    return cast(F, kernel)


def frozen(values: ndarray) -> ndarray:
    """A contiguous, read-only view, so that every caller, memory-mapped or not, shares one compiled kernel."""
    view = np.ascontiguousarray(values).view()
    view.flags.writeable = False
    return view


def over_blocks(run: Callable[[int, int], None], examples: int, elements: int, width: int = BLOCK) -> None:
    """``run(start, stop)`` for each block of examples; with many ``elements``, on as many threads as torch may use."""
    parts = spans(examples, width)
    workers = min(torch.get_num_threads(), len(parts)) if elements >= LARGE else 1
    if workers <= 1:
        for start, stop in parts:
            run(start, stop)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda part: run(*part), parts))  # a list, so that an exception in a block is raised here


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
def _tied_block(
    rows: ndarray,
    first: int,
    labels: ndarray,
    weight: ndarray,
    share: float,
    step: ndarray,
    count: ndarray,
    total: ndarray,
) -> None:
    """Over models of equal margins, ``rows`` in number from ``first`` on, the count rises in a straight line."""
    step[:] = 0
    for k in range(rows.size):
        row = labels[rows[k]]
        for c in range(step.size):
            step[c] += row[c]
    part = np.float32(1 / rows.size)
    for k in range(first, first + rows.size):
        expected, w = np.float32((k + 1) * share), weight[k]
        for c in range(step.size):
            count[c] += step[c] * part
            total[c] += w * (count[c] - expected) ** 2


@compiled
def anderson_darling_block(
    order: ndarray,  # (examples, models): the models of both ensembles by rising margin
    margins: ndarray,  # (examples, models): their margins in that order
    labels: ndarray,  # (models, columns) float32: 1 where a column calls the model unlearned
    weight: ndarray,  # (models,) float32: weight[k] = weight of the gap after k + 1 models, 0 after the last
    share: float,  # of the models that are unlearned
    out: ndarray,  # (examples, columns) float32
) -> None:
    """The two-sample Anderson-Darling statistic of each example under each column of labels."""
    models, columns = labels.shape
    count, step = np.empty(columns, np.float32), np.empty(columns, np.float32)
    for example in range(order.shape[0]):
        total, ranked = out[example], order[example]
        total[:], count[:] = 0, 0
        first = 0
        while first < models:
            tied = 1
            while first + tied < models and margins[example, first + tied] == margins[example, first]:
                tied += 1
            if tied == 1:  # nearly always: the same sums, in one pass over the columns
                row, expected, w = labels[ranked[first]], np.float32((first + 1) * share), weight[first]
                for c in range(columns):
                    count[c] += row[c]
                    total[c] += w * (count[c] - expected) ** 2
            else:
                _tied_block(ranked[first : first + tied], first, labels, weight, share, step, count, total)
            first += tied


@compiled
def _left_out_with_ties(
    order: ndarray, margins: ndarray, place: ndarray, unlearned: int, weight: ndarray, expected: ndarray
) -> np.float32:
    """The statistic of one example of which some margins are equal, of the models at these places."""
    total, count, first = np.float32(0), np.float32(0), 0
    while first < place.size:
        tied, step = 1, np.float32(order[place[first]] < unlearned)
        while first + tied < place.size and margins[place[first + tied]] == margins[place[first]]:
            step += np.float32(order[place[first + tied]] < unlearned)
            tied += 1
        part = np.float32(1 / tied)
        for k in range(first, first + tied):
            count = np.float32(count + step * part)
            total = np.float32(total + weight[k] * (count - expected[k]) ** 2)
        first += tied
    return total


@compiled
def left_out_block(
    order: ndarray,  # (examples, models): as above, of all models, the unlearned numbered first
    margins: ndarray,  # (examples, models): their margins in that order
    stays: ndarray,  # (models,) bool: which models are not left out
    unlearned: int,  # how many of all models are unlearned
    weight: ndarray,  # (models that stay,) float32: as above
    share: float,
    out: ndarray,  # (examples,) float32
) -> None:
    """The same statistic of the models that stay, under their true labels: bit for bit as if no others were there."""
    models = order.shape[1]
    place = np.empty(models, np.int64)  # of the models that stay, in order
    expected = np.empty(weight.size, np.float32)
    for k in range(weight.size):
        expected[k] = np.float32((k + 1) * share)
    for example in range(order.shape[0]):
        kept, ties = 0, False
        for k in range(models):
            place[kept] = k
            kept += int(stays[order[example, k]])
            ties |= k > 0 and margins[example, k] == margins[example, k - 1]
        total, count = np.float32(0), np.float32(0)
        for k in range(0 if ties else kept):  # nearly always: no two margins are equal
            count = np.float32(count + np.float32(order[example, place[k]] < unlearned))
            total = np.float32(total + weight[k] * (count - expected[k]) ** 2)
        out[example] = total
        if ties:
            out[example] = _left_out_with_ties(
                order[example], margins[example], place[:kept], unlearned, weight, expected
            )


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

"""The distance: how far the margins of unlearned models lie from those of oracles, in the oracles' own spread."""

from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from expunge.ensembles.mapped_arrays import blocks
from expunge.ensembles.margins import all_finite
from expunge.errors import BadMargins, TooFewModels
from expunge.metrics import _kernels
from expunge.metrics._compiled import frozen, over_blocks
from expunge.metrics.comparable import require_comparable, require_same_examples

CLIP = 100.0  # as KLoM clips margins: one exploded model is far, not infinitely far
LEAST = 0.1  # of the middle example's scale: where oracles nearly agree, their spread is no unit


def wasserstein(
    unlearned: Float[ndarray, "models examples"],
    oracle: Float[ndarray, "oracles _examples"],
    *,
    least: float | None = None,
    clip: float = CLIP,
) -> Float[ndarray, " examples"]:
    """Wasserstein-1 between the margins of each example, in standard deviations of the oracles; lower is better.

    ``integral over u in (0, 1) of |P^-1(u) - Q^-1(u)| / sd``, with the quantiles P^-1 and Q^-1 of the unlearned models
    and of the oracles: how far, on average, a margin must move for one ensemble to become the other. For ensembles of
    one size it is the mean absolute difference of the sorted margins. Unlike KLoM it has no bins and no ceiling: twice
    as far is twice the number, and noise is not rewarded. The sd of an example is that of its oracles, ``ddof=1``, or a
    tenth of the middle example's if that is larger; otherwise an example on which the oracles agree to the last digit
    would outweigh all others.

    Even the best method does not get 0: held-out oracles get about 0.18 with 100 models against 100 oracles.

    Args:
        unlearned: margins ``log p_y - log(1 - p_y)``, one row per unlearned model; finite.
        oracle: the same for models retrained without the forget set; 2 or more, not necessarily as many.
        least: the smallest sd that is divided by; default: :func:`least_scale` of ``oracle``.
        clip: margins are first clipped to ``[-clip, clip]``.

    Returns:
        One value per example, float64.

    Raises:
        BadMargins: the oracles do not vary on any example, so that there is no unit.
        TooFewModels: fewer than 2 oracles.

    Source: the ruler is chosen by ``results/metrics.md``; of one dimension, Vallender 1974, doi:10.1137/1118101.

    >>> wasserstein(np.array([[3.0], [5.0]]), np.array([[0.0], [2.0]])).round(4)  # 3 / sd, which is sqrt(2)
    array([2.1213])
    """
    require_same_examples(unlearned, oracle)
    dtype = np.float32 if unlearned.dtype == oracle.dtype == np.float32 else np.float64
    networks = sorting_network(len(unlearned)), sorting_network(len(oracle))
    steps, out = common_steps(len(unlearned), len(oracle)), np.empty(unlearned.shape[1])
    edge: Any = dtype(clip)
    least = least_scale(oracle, clip=clip) if least is None else least
    for columns, parts in blocks(unlearned, oracle):
        if not all(map(all_finite, parts)):
            require_comparable(unlearned, oracle)  # names the models, of all blocks
        mine, theirs = (frozen(part.astype(dtype, copy=False)) for part in parts)
        block = out[columns]

        def run(start: int, stop: int, mine: ndarray = mine, theirs: ndarray = theirs, block: ndarray = block) -> None:
            _kernels.wasserstein_block(mine, theirs, start, stop, edge, networks, steps, least, block)

        over_blocks(run, block.size, mine.size + theirs.size)
    return out


def least_scale(oracle: Float[ndarray, "oracles examples"], *, clip: float = CLIP) -> float:
    """A tenth of the middle example's standard deviation, of those on which the oracles vary."""
    if len(oracle) < 2:
        raise TooFewModels(f"expected 2 oracles or more for their standard deviation, got {len(oracle)}")
    scales = np.concatenate(
        [part.clip(-clip, clip).std(axis=0, ddof=1, dtype=np.float64) for _, (part,) in blocks(oracle)]
    )
    if not (scales > 0).any():
        raise BadMargins("the oracles do not vary on any example, so their spread is no unit; they are one model")
    return LEAST * float(np.median(scales[scales > 0]))


@lru_cache(maxsize=64)
def sorting_network(size: int) -> Int[ndarray, "exchanges 2"]:
    """Pairs of places, in order, whose exchange where the first holds more sorts any ``size`` numbers.

    Source: Batcher's odd-even merge sort, for any size: Knuth, The Art of Computer Programming 3, 5.2.2 M.

    >>> sorting_network(3).tolist()
    [[0, 1], [0, 2], [1, 2]]
    """
    pairs, width = [], 1
    while width < size:
        step = width
        while step:
            places = np.arange(step % width, size - step)
            apart = places[(places - step % width) // step % 2 == 0]
            within = apart // (2 * width) == (apart + step) // (2 * width)
            pairs.append(np.stack([apart[within], apart[within] + step], axis=1))
            step //= 2
        width *= 2
    return frozen(np.concatenate(pairs)) if pairs else np.empty((0, 2), np.int64)


@lru_cache(maxsize=64)
def common_steps(models: int, oracles: int) -> tuple[ndarray, ndarray, ndarray]:
    """The parts of (0, 1) on which the quantiles of both ensembles are constant: the ranks they are, and the length.

    >>> [each.tolist() for each in common_steps(1, 2)]
    [[0, 0], [0, 1], [0.5, 0.5]]
    """
    edges = np.union1d(np.arange(models + 1) * oracles, np.arange(oracles + 1) * models)
    return edges[:-1] // oracles, edges[:-1] // models, np.diff(edges) / (models * oracles)

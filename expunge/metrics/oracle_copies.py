"""Models that are oracles in disguise: they would get a KLoM of 0 that nobody earned."""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from expunge.ensembles.mapped_arrays import blocks
from expunge.metrics import _kernels

NEAR = 1e-3  # nats of margin: models of different seeds differ by about 1 on the middle example
CLIP = 100.0  # as KLoM clips margins
ALIKE = 0.98  # likeness from which two models are one in disguise


def copies(
    unlearned: Float[ndarray, "models _examples"],
    oracle: Float[ndarray, "oracles _examples"],
    columns: Int[ndarray, " examples"],
) -> Bool[ndarray, " models"]:
    """Which models have the margins of an oracle: median over the examples ``columns`` of ``|m - o|`` below 0.001.

    >>> margins, oracle = np.random.default_rng(0).normal(size=(2, 4, 30))
    >>> margins[2] = oracle[1] + 1e-5
    >>> copies(margins, oracle, np.arange(10, 30))
    array([False, False,  True, False])
    """
    near = _near(unlearned, oracle, columns)
    found: ndarray = np.any(2 * near > columns.size, axis=1)
    for model, other in np.argwhere(2 * near == columns.size):  # half near and half not: the median is between
        rows = (side[row, columns].clip(-CLIP, CLIP) for side, row in ((unlearned, model), (oracle, other)))
        found[model] |= np.median(np.abs(np.subtract(*rows))) < NEAR
    return found


def likeness(
    one: Float[ndarray, "models _examples"], other: Float[ndarray, "others _examples"]
) -> Float[ndarray, "models others"]:
    """Pearson's r, over examples, between what sets each model apart from the mean of ``other``; 1 for a copy.

    A copy that was shifted, scaled or lightly blurred still has nearly 1. Models of different seeds have at most 0.41
    on digits, and 0.91 where a class was forgotten that ``one`` still knows.

    >>> margins, others = np.random.default_rng(0).normal(size=(2, 4, 300))
    >>> likeness(others[:2] * 1.1 + 0.5, others).round(1)[:, :2].diagonal()
    array([1., 1.])
    """
    centre = other.mean(axis=0, dtype=np.float64)
    sides = [side.clip(-CLIP, CLIP) - centre.clip(-CLIP, CLIP) for side in (one, other)]
    sides = [side - side.mean(axis=1, keepdims=True) for side in sides]
    scales = [np.maximum(np.linalg.norm(side, axis=1), 1e-12) for side in sides]
    result: ndarray = (sides[0] @ sides[1].T) / np.outer(*scales)
    return result


def _near(unlearned: ndarray, oracle: ndarray, columns: ndarray) -> Int[ndarray, "models oracles"]:
    """On how many of the examples ``columns`` each model lies near each oracle."""
    dtype = np.result_type(unlearned.dtype, oracle.dtype, np.float32)
    near = np.zeros((len(unlearned), len(oracle)), np.int64)
    for block, parts in blocks(unlearned, oracle):
        first, last = np.searchsorted(columns, [block.start, block.stop])
        inside = columns[first:last] - block.start
        one, other = (part[:, inside].astype(dtype, copy=False) for part in parts)
        for side in (one, other):
            side.clip(-CLIP, CLIP, out=side)
        _kernels.count_near(_kernels.frozen(one), _kernels.frozen(other), dtype.type(NEAR), near)
    return near

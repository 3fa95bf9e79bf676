"""Models that are oracles in disguise: they would get a KLoM of 0 that nobody earned."""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from expunge.ensembles.mapped_arrays import blocks
from expunge.metrics import _kernels
from expunge.metrics._compiled import frozen

NEAR = 1e-3  # nats of margin: models of different seeds differ by about 1 on the middle example
CLIP = 100.0  # as KLoM clips margins
ALIKE = 0.98  # likeness below which no model is called another in disguise, whatever honest ones have
BEYOND = 1.0  # of Fisher's z, by which a disguise must lie above all honest models of the suite, at least
CHANCE = 0.01  # that an honest pair of models among all that are looked at is taken for a disguise
COPY = 8.0  # of Fisher's z: an exact copy in float32, shifted or scaled, has 10 and more


def copies(
    unlearned: Float[ndarray, "models _examples"],
    oracle: Float[ndarray, "oracles _examples"],
    columns: Int[ndarray, " examples"],
) -> Bool[ndarray, " models"]:
    """Which models have the margins of an oracle: median over the examples ``columns`` of ``|m - o|`` below 0.001.

    Of examples on which the oracles themselves differ by more, and which not all of them put at the clip of 100 nats:
    on the others honest models agree. Where there are none, nothing is found.

    >>> margins, oracle = np.random.default_rng(0).normal(size=(2, 4, 30))
    >>> margins[2] = oracle[1] + 1e-5
    >>> copies(margins, oracle, np.arange(10, 30))
    array([False, False,  True, False])
    """
    near, columns = _near(unlearned, oracle, columns)
    if not columns.size:
        return np.zeros(len(unlearned), bool)
    found: ndarray = np.any(2 * near > columns.size, axis=1)
    for model, other in np.argwhere(2 * near == columns.size):  # half near and half not: the median is between
        rows = (side[row, columns].clip(-CLIP, CLIP) for side, row in ((unlearned, model), (oracle, other)))
        found[model] |= np.median(np.abs(np.subtract(*rows))) < NEAR
    return found


def likeness(
    one: Float[ndarray, "models _examples"], other: Float[ndarray, "others _examples"]
) -> Float[ndarray, "2 models others"]:
    """Pearson's r, over examples, between what sets models apart; 1 for a copy, one that was shifted or scaled too.

    What all share is left out, in two ways: a constant and the mean margins of ``other``; and also those of ``one``,
    which differ where ``one`` knows a class that the others do not. A few copies among honest models are seen by the
    second, an ensemble of nothing but copies by the first. Honest models have at most 0.4 on digits, but up to 0.99 on
    a hundred examples of small data: see :func:`disguised`.

    >>> margins, others = np.random.default_rng(0).normal(size=(2, 4, 300))
    >>> likeness(others[:2] * 1.1 + 0.5, others)[0].round(3)[:, :2].diagonal()
    array([1., 1.])
    """
    one, other = (side.clip(-CLIP, CLIP).astype(np.float64) for side in (one, other))
    shared = np.stack([np.ones(one.shape[1]), other.mean(axis=0), one.mean(axis=0)], axis=1)
    return np.stack([_correlation(one, other, shared[:, :2]), _correlation(one, other, shared)])


def _correlation(one: ndarray, other: ndarray, shared: Float[ndarray, "examples shared"]) -> ndarray:
    """Of what is left of each model when ``shared`` is taken out."""
    fit = np.linalg.pinv(shared)
    sides = [side - side @ shared @ fit for side in (one, other)]
    scales = [np.maximum(np.linalg.norm(side, axis=1), 1e-12) for side in sides]
    result: ndarray = (sides[0] @ sides[1].T) / np.outer(*scales)
    return result


def disguised(
    likeness: Float[ndarray, "2 models others"], *honest: Float[ndarray, "2 _models _others"]
) -> Bool[ndarray, " models"]:
    """Which models are like one of the others as no model of ``honest`` is, by Fisher's z, and from 0.98 on.

    ``honest`` are likenesses of models of the same suite of which nobody is a copy: held-out oracles against the
    reference ones, pretrained ones against them. Where honest models have r = 0.993, a copy needs 0.9991, and more
    where their likeness has a long tail, as that of models with few weights does: see :func:`reach`.

    >>> disguised(np.array([[[0.1, 0.995], [0.2, 0.999999]]] * 2), np.array([[[0.5, 0.99]]] * 2))
    array([False,  True])
    """
    z, known = np.arctanh(_inside(likeness)), [np.arctanh(_inside(each)) for each in honest if each.size]
    size = likeness[0].size
    limits = [
        max([np.arctanh(ALIKE), *(max(each[way].max() + BEYOND, reach(each[way], size)) for each in known)])
        for way in (0, 1)
    ]
    found: ndarray = (z.max(axis=2) > np.array(limits)[:, None]).any(axis=0)
    return found


def reach(z: Float[ndarray, "..."], pairs: int) -> float:
    """How far Fisher's z of ``pairs`` honest pairs of models reaches, but for a chance of 1 %, given some of them.

    Beyond their upper quartile, likenesses are taken to fall off exponentially, as those of models whose differences
    have few dimensions do; the pace is the median's of that quarter, which a few copies among them do not move. At most
    8, for what is as like as an exact copy is one.
    """
    edge = np.quantile(z, 0.75)
    above = z[z > edge] - edge
    pace = np.median(above) / np.log(2) if above.size else 0.0
    return float(min(COPY, edge + pace * np.log(max(1.0, pairs / 4 / CHANCE))))


def unexplained(
    one: Float[ndarray, "models _examples"], other: Float[ndarray, "others _examples"]
) -> Float[ndarray, " models"]:
    """Which share of each model's departure from the mean of ``other`` no mixture of the models of ``other`` gives.

    ``|d - P d|^2 / |d|^2``, with d the margins less that mean and P the projection on the departures of ``other``: 1
    for a model that has nothing of theirs, 0 for one that was made of them, rotated, averaged, or drawn with their mean
    and covariance. It takes more examples than there are others. Of held-out oracles on digits the median model has
    0.46 to 0.69 over all columns, and 0.02 on the 142 examples of a class.

    >>> one, other = np.random.default_rng(0).normal(size=(2, 4, 300))
    >>> unexplained(np.stack([one[0], 0.5 * other[0] + 0.5 * other[1]]), other).round(1)
    array([1., 0.])
    """
    one, other = (side.clip(-CLIP, CLIP).astype(np.float64) for side in (one, other))
    middle = other.mean(axis=0)
    away, theirs = one - middle, other - middle
    weights = away @ theirs.T @ np.linalg.pinv(theirs @ theirs.T, rcond=1e-10, hermitian=True)
    left = away - weights @ theirs
    shares: ndarray = (left**2).sum(axis=1) / np.maximum((away**2).sum(axis=1), 1e-12)
    return shares


def differ(oracle: Float[ndarray, "oracles examples"]) -> bool:
    """Whether the oracles have any spread, on any example."""
    clipped = oracle.clip(-CLIP, CLIP)
    return len(oracle) < 2 or bool(((clipped.max(axis=0) - clipped.min(axis=0)) > 2 * NEAR).any())


def _inside(r: ndarray) -> ndarray:
    """Short of 1, where z would be infinite."""
    return r.clip(-1 + 1e-12, 1 - 1e-12)


def _near(
    unlearned: ndarray, oracle: ndarray, columns: ndarray
) -> tuple[Int[ndarray, "models oracles"], Int[ndarray, " examples"]]:
    """On how many of the examples ``columns`` each model lies near each oracle, and which examples were looked at."""
    dtype = np.result_type(unlearned.dtype, oracle.dtype, np.float32)
    near, looked_at = np.zeros((len(unlearned), len(oracle)), np.int64), []
    for block, parts in blocks(unlearned, oracle):
        first, last = np.searchsorted(columns, [block.start, block.stop])
        inside = columns[first:last] - block.start
        one, other = (part[:, inside].astype(dtype, copy=False) for part in parts)
        for side in (one, other):
            side.clip(-CLIP, CLIP, out=side)
        if len(other) > 1:
            telling = other.max(axis=0, initial=-CLIP) - other.min(axis=0, initial=CLIP) > 2 * NEAR
            one, other, inside = one[:, telling], other[:, telling], inside[telling]
        looked_at.append(inside + block.start)
        _kernels.count_near(frozen(one), frozen(other), dtype.type(NEAR), near)
    return near, np.concatenate(looked_at)

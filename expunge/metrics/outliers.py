"""Models far outside their own ensemble: a few of them stretch KLoM's bins and hide what the others do."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from expunge.ensembles.mapped_arrays import blocks, held, spans
from expunge.metrics._compiled import over_blocks
from expunge.metrics.calibration import Estimate
from expunge.metrics.comparable import require_same_examples
from expunge.metrics.metric import Metric, Scored
from expunge.metrics.over_models import share_of_models
from expunge.metrics.row import Reference, Row

FAR = 6.0  # robust standard deviations, on the middle example, at least; on digits honest models stay under 4
BEYOND = 1.5  # times the farthest oracle from the other oracles: models of some suites lie far apart
STEP = 1 << 16  # examples whose distances are computed in one step
SCATTERED = 20.0  # robust standard deviations of a single margin; of 18,000 honest rows and splits none has one beyond
CLIP = 100.0  # as KLoM clips margins: beyond, differences would overflow


def outliers(
    unlearned: Float[ndarray, "models examples"], oracle: Float[ndarray, "oracles examples"]
) -> Bool[ndarray, " models"]:
    """Which models lie far from the others: median over examples of ``|m - median| / scale`` above 6.

    The scale of an example is the largest of 1.4826 MAD of the unlearned models, 1.4826 MAD of the oracles, and the
    distance of the two medians: models that went different lengths of the way to the oracles are no outliers. Where
    an oracle lies farther than 4 from the other oracles, as in ensembles some of whose models got stuck, the limit is
    1.5 times the distance of the farthest. KLoM
    takes its bins from the smallest to the largest margin, so one exploded model of a hundred puts all others into one
    bin with the oracles and brings an untouched ensemble below the floor. A method should have none.

    Args:
        unlearned: margins, one row per model; of one split, for a model may break on that split alone.
        oracle: the same of the oracles.

    Returns:
        One bool per model.

    Source: the masking is measured in ``tests/metrics/test_outliers.py``; MAD as a scale: Hampel 1974,
    doi:10.1080/01621459.1974.10482962.

    >>> margins, oracle = np.random.default_rng(0).normal(size=(2, 50, 30))
    >>> margins[7] *= 50
    >>> np.flatnonzero(outliers(margins, oracle))
    array([7])
    """
    return outliers_of_parts(unlearned, oracle, [np.arange(unlearned.shape[1])])[0]


def outliers_of_parts(
    unlearned: Float[ndarray, "models examples"],
    oracle: Float[ndarray, "oracles examples"],
    parts: Sequence[Int[ndarray, "..."]],
) -> list[Bool[ndarray, " models"]]:
    """As :func:`outliers`, of each of ``parts``, which are columns of the margins; in memory that is bounded."""
    require_same_examples(unlearned, oracle)
    limits = [max(FAR, BEYOND * each.max()) for each in distances(oracle, oracle, parts)]
    return [each > limit for each, limit in zip(distances(unlearned, oracle, parts), limits, strict=True)]


def scattered(
    unlearned: Float[ndarray, "models examples"],
    oracle: Float[ndarray, "oracles examples"],
    parts: Sequence[Int[ndarray, "..."]],
    *,
    least: float = 0.0,
) -> list[float]:
    """Which share of single margins lies far from the other models', on each of ``parts``, which are columns.

    Far: ``|m - median|`` of the example above 20 times the largest of 1.4826 MAD of the unlearned models, that of the
    oracles, and ``least``. A method whose models are each sound but for a few examples, other ones each, has no model
    that :func:`outliers` finds, and stretches KLoM's bins of every example all the same.

    Returns:
        Shares from 0 to 1; oracles have 0.

    Source: as :func:`outliers`.

    >>> margins, oracle = np.random.default_rng(0).normal(size=(2, 50, 30))
    >>> margins[np.arange(50), np.arange(50) % 30] -= 100
    >>> [round(each, 4) for each in scattered(margins, oracle, [np.arange(30)])]
    [0.0333]
    """
    require_same_examples(unlearned, oracle)
    far = np.zeros(unlearned.shape[1], np.int64)
    for columns, pieces in blocks(unlearned, oracle):

        def run(start: int, stop: int, columns: slice = columns, pieces: tuple[ndarray, ...] = pieces) -> None:
            mine, theirs = (piece[:, start:stop].clip(-CLIP, CLIP) for piece in pieces)
            away = np.abs(mine - np.median(mine, axis=0))
            spreads = [np.median(each, axis=0) for each in (away, np.abs(theirs - np.median(theirs, axis=0)))]
            limit = SCATTERED * np.maximum(1.4826 * np.maximum(*spreads), least)
            far[columns][start:stop] = (away > limit).sum(axis=0)

        over_blocks(run, pieces[0].shape[1], sum(piece.size for piece in pieces), width=2048)
    return [float(far[part].sum() / max(part.size * len(unlearned), 1)) for part in parts]


def distances(
    models: Float[ndarray, "models examples"],
    oracle: Float[ndarray, "oracles examples"],
    parts: Sequence[Int[ndarray, "..."]],
) -> Float[ndarray, "parts models"]:
    """How many times the scale each model lies from the middle of all, on the middle example of each of ``parts``."""
    middle, scale = _middles(models, oracle)
    found = np.zeros((len(parts), len(models)))
    at_once = held(2 * scale.nbytes)  # models
    robust = np.empty((min(at_once, len(models)), scale.size), scale.dtype)
    for rows in (slice(first, first + at_once) for first in range(0, len(models), at_once)):
        some = models[rows]
        _ratios(some, middle, scale, robust)
        for each, part in zip(found, parts, strict=True):
            each[rows] = [np.median(row[part]) for row in robust[: len(some)]]
    return found


def _middles(unlearned: ndarray, oracle: ndarray) -> tuple[ndarray, ndarray]:
    """Of each example the median of the unlearned margins, and the scale of distances from it."""
    middle = np.empty(unlearned.shape[1], np.result_type(unlearned.dtype, 0.0))
    scale = np.empty(middle.size, np.result_type(middle.dtype, oracle.dtype))
    for columns, parts in blocks(unlearned, oracle):

        def run(start: int, stop: int, columns: slice = columns, parts: tuple[ndarray, ...] = parts) -> None:
            sides = [part[:, start:stop].clip(-CLIP, CLIP) for part in parts]
            medians = [np.median(side, axis=0) for side in sides]
            spreads = [1.4826 * np.median(np.abs(side - at), axis=0) for side, at in zip(sides, medians, strict=True)]
            middle[columns][start:stop] = medians[0]
            scale[columns][start:stop] = np.maximum.reduce([*spreads, np.abs(medians[0] - medians[1])])

        over_blocks(run, parts[0].shape[1], sum(part.size for part in parts), width=2048)
    return middle, scale


def _ratios(unlearned: ndarray, middle: ndarray, scale: ndarray, robust: ndarray) -> None:
    """How many times its scale each margin lies from the middle of its example: into the first rows of ``robust``."""
    for columns, (part,) in blocks(unlearned):
        for start, stop in spans(part.shape[1], STEP):
            place = slice(columns.start + start, columns.start + stop)
            distance, unit = np.abs(part[:, start:stop].clip(-CLIP, CLIP) - middle[place]), scale[place]
            with np.errstate(divide="ignore", invalid="ignore"):  # where most models agree to the last bit
                ratio = np.where(unit > 0, distance / unit, np.where(distance > 0, np.inf, 0.0))
            robust[: len(part), place] = ratio


def outlier_scores(row: Row, reference: Reference) -> Scored:
    """Share of models, and of single margins, that lie far outside their ensemble, of each split; oracles have none."""
    margins, oracle, columns = row.margins.values, reference.oracle.values, row.columns
    found = outliers_of_parts(margins, oracle, list(columns.values()))
    cells = scattered(margins, oracle, list(columns.values()), least=reference.least_scale)
    scores = []
    for split, far, share in zip(columns, found, cells, strict=True):
        for aggregate, estimate in (("share", share_of_models(far)), ("cells", Estimate(share, share, share))):
            scores.append(row.score(split, "outliers", aggregate, estimate, reference, module=__name__))
    return Scored(scores)


METRIC = Metric(
    function=outliers,
    scores=outlier_scores,
    aggregates=("share", "cells"),
    unit="share of models",
    better="lower",
    oracle="0",
    source="median and MAD over models",
    every_split=True,
)

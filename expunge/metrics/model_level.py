"""Could each model, as a whole, be one of the oracles? What a test of every example by itself does not see."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from expunge.ensembles.mapped_arrays import blocks, spans
from expunge.errors import TooFewModels
from expunge.metrics.anderson_darling import deal_labels
from expunge.metrics.calibration import Estimate
from expunge.metrics.comparable import require_comparable
from expunge.metrics.metric import Metric, Scored
from expunge.metrics.row import Reference, Row
from expunge.records import SPLITS

STEP = 1 << 14  # examples whose inner products are added in one step
LEAST = 5  # models of each ensemble; of fewer there are too few labellings


def model_level(
    unlearned: Float[ndarray, "models examples"],
    oracle: Float[ndarray, "oracles examples"],
    *,
    permutations: int = 999,
    seed: int = 0,
) -> float:
    """P-value of the hypothesis that whole models could be oracles; small means that some are not, however few.

    Ninety oracles among ten untouched models are near the oracles on every example; as models, ten stand apart. Two
    statistics, each against labels of the models dealt anew; the p-value is twice the smaller of both:

    - the energy distance of the models as vectors, margins in standard deviations of the oracles:
      ``2 E|X - Y| - E|X - X'| - E|Y - Y'|``;
    - how far the spreads of the models' mean margins lie apart: ``|log(var X / var Y)|``, each about its own middle.

    Args:
        unlearned: margins, one row per model.
        oracle: the same of the oracles.
        permutations: of the labels.
        seed: of the permutations.

    Returns:
        A share in ``[2 / (permutations + 1), 1]``; higher is better; held-out oracles get one of 0.05 or less in about
        5 % of benches (measured on halvings in ``tests/metrics/test_model_level.py``).

    Raises:
        TooFewModels: one of the ensembles has fewer than 5.

    Source: energy: Szekely and Rizzo 2013, doi:10.1016/j.jspi.2013.03.018; dealing whole models: Westfall and Young
    1993.

    >>> rng = np.random.default_rng(0)
    >>> oracle, other = rng.normal(size=(2, 40, 30))
    >>> mixed = other.copy()
    >>> mixed[:6] -= 2
    >>> model_level(mixed, oracle) < 0.05 < model_level(other, oracle)
    True
    """
    return model_levels(unlearned, oracle, [np.arange(unlearned.shape[1])], permutations=permutations, seed=seed)[0]


def model_levels(
    unlearned: Float[ndarray, "models examples"],
    oracle: Float[ndarray, "oracles examples"],
    splits: Sequence[Int[ndarray, "..."]],
    *,
    permutations: int = 999,
    seed: int = 0,
) -> list[float]:
    """As :func:`model_level`, of each of ``splits``, which are columns of the margins; in memory that is bounded."""
    require_comparable(unlearned, oracle)
    models = len(unlearned)
    if min(models, len(oracle)) < LEAST:
        raise TooFewModels(
            f"expected {LEAST} models and oracles or more to compare whole models, got {models} and {len(oracle)}"
        )
    labels = deal_labels(models, len(oracle), permutations, seed).astype(np.float64)
    found = []
    for gram, means in _inner_products(unlearned, oracle, splits):
        apart = (_energy(gram, labels), _spreads_apart(means, models, labels))
        found.append(min(1.0, 2 * min(float(np.mean(each >= each[0] - 1e-9 * abs(each[0]))) for each in apart)))
    return found


def _inner_products(
    unlearned: ndarray, oracle: ndarray, splits: Sequence[ndarray]
) -> list[tuple[Float[ndarray, "all all"], Float[ndarray, " all"]]]:
    """Of all models, on each split, in standard deviations of the oracles: inner products, and sums over examples."""
    both = len(unlearned) + len(oracle)
    found = [(np.zeros((both, both)), np.zeros(both)) for _ in splits]
    for columns, (mine, theirs) in blocks(unlearned, oracle):
        for (gram, total), split in zip(found, splits, strict=True):
            first, last = map(int, np.searchsorted(split, [columns.start, columns.stop]))
            for start, stop in spans(last - first, STEP) if last > first else []:
                inside = split[first + start : first + stop] - columns.start
                scaled = _in_spreads(mine[:, inside], theirs[:, inside])
                gram += scaled @ scaled.T
                total += scaled.sum(axis=1)
    return found


def _in_spreads(mine: ndarray, theirs: ndarray) -> Float[ndarray, "all examples"]:
    """Both, one below the other, in standard deviations of the oracles from their mean; examples that vary."""
    spread = theirs.std(axis=0, ddof=1, dtype=np.float64)
    told = spread > 0
    middle = theirs.mean(axis=0, dtype=np.float64)[told]
    scaled: ndarray = (np.concatenate([mine, theirs]).astype(np.float64)[:, told] - middle) / spread[told]
    return scaled


def _energy(gram: Float[ndarray, "all all"], labels: Float[ndarray, "all columns"]) -> Float[ndarray, " columns"]:
    norms = gram.diagonal()
    distances = np.sqrt(np.maximum(norms[:, None] + norms - 2 * gram, 0.0))
    weights = labels / labels.sum(axis=0) - (1 - labels) / (1 - labels).sum(axis=0)
    energy: ndarray = -(weights * (distances @ weights)).sum(axis=0)
    return energy


def _spreads_apart(
    means: Float[ndarray, " all"], models: int, labels: Float[ndarray, "all columns"]
) -> Float[ndarray, " columns"]:
    sides = means[:models], means[models:]
    away = np.concatenate([side - np.median(side) for side in sides])  # a shift is the energy's to see

    def variance(chosen: ndarray) -> ndarray:
        count = chosen.sum(axis=0)
        middle = away @ chosen / count
        spread: ndarray = (away**2) @ chosen / count - middle**2
        return spread

    tiny = 1e-12 * max(float((away**2).mean()), 1e-300)
    apart: ndarray = np.abs(np.log((variance(labels) + tiny) / (variance(1 - labels) + tiny)))
    return apart


def model_level_scores(row: Row, reference: Reference) -> Scored:
    """The p-value of each split; nothing where models are too few."""
    columns = row.columns
    try:
        found = model_levels(row.margins.values, reference.oracle.values, [columns[split] for split in SPLITS])
    except TooFewModels:
        return Scored([])
    return Scored(
        [
            row.score(split, "model-level", "p-value", Estimate(p, p, p), reference, module=__name__)
            for split, p in zip(SPLITS, found, strict=True)
        ]
    )


METRIC = Metric(
    function=model_level,
    scores=model_level_scores,
    aggregates=("p-value",),
    unit="share of labellings",
    better="higher",
    oracle="above 0.05 in 95 % of benches",
    source="joint energy and spread of model means, by dealing whole models",
    every_split=True,
)

"""Accuracy, the number everybody asks for first and the one that says least about forgetting."""

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from expunge.metrics.metric import Metric, Scored
from expunge.metrics.over_models import mean_over_models
from expunge.metrics.row import Reference, Row
from expunge.records import SPLITS


def accuracy(correct: Bool[ndarray, "models examples"]) -> Float[ndarray, " models"]:
    """Share of examples that each model gets right: ``mean over examples of [first choice is the label]``, 0 to 1.

    Neither high nor low is better: a method should get what the oracles get, which on the forget set is close to
    their accuracy on test examples of the same kind.

    Args:
        correct: whether each model's first choice is the label, one row per model.

    Returns:
        One value per model, float64.

    Source: the definition; why it is no measure of forgetting: Georgiev et al. 2024, arXiv:2410.23232.

    >>> accuracy(np.array([[True, True], [True, False]]))
    array([1. , 0.5])
    """
    shares: ndarray = np.mean(correct, axis=1)
    return shares


def accuracy_scores(row: Row, reference: Reference) -> Scored:
    """Share of examples whose first choice is the label, mean over models."""
    assert row.margins.correct is not None  # what the metric reads
    columns, correct = row.columns, row.margins.correct
    found = {split: mean_over_models(accuracy(correct[:, columns[split]]), bounds=(0.0, 1.0)) for split in SPLITS}
    return Scored(
        [row.score(split, "accuracy", "mean", each, reference, module=__name__) for split, each in found.items()]
    )


METRIC = Metric(
    function=accuracy,
    scores=accuracy_scores,
    aggregates=("mean",),
    unit="share of examples",
    better="as the oracle",
    oracle="the row `oracle`",
    source="first choice = label",
    reads=("margins", "correct"),
    every_epoch=True,
    every_split=True,
)

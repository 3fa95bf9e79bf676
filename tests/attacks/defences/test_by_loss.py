"""Losses and gradient norms of single records, and how odd they are for their class."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy import ndarray

from expunge.attacks.defences import DEFENCES
from expunge.attacks.defences.by_class import deviations
from expunge.attacks.defences.gradient_norm_outliers import gradient_norms
from expunge.attacks.defences.loss_outliers import losses
from expunge.attacks.detection import record_detection
from expunge.suites import CLASSIFICATION
from tests.attacks.defences.scenes import CLASSES, WIDTH, blobs, hidden, scene_of, stacked, with_rows

ODD = np.arange(0, 30, CLASSES)


def test_losses_are_those_of_each_example_alone() -> None:
    train = blobs(20)
    ensemble = stacked(hidden, train.x)
    wanted = torch.stack([F.cross_entropy(model(train.x), train.y, reduction="none") for model in ensemble])
    torch.testing.assert_close(losses(ensemble, train, CLASSIFICATION), wanted.detach())


def test_norms_are_those_of_autograd_on_each_example_alone() -> None:
    train = blobs(20)
    ensemble = stacked(hidden, train.x)
    for model, row in zip(ensemble, gradient_norms(ensemble, train, CLASSIFICATION), strict=True):
        for x, y, found in zip(train.x, train.y, row, strict=True):
            gradients = torch.autograd.grad(F.cross_entropy(model(x[None]), y[None]), list(model.parameters()))
            wanted = torch.cat([each.flatten() for each in gradients]).norm()
            torch.testing.assert_close(found, wanted.double(), rtol=1e-5, atol=1e-6)


def test_deviations_are_in_median_absolute_deviations_of_the_class() -> None:
    values = np.array([[1.0, 2.0, 3.0, 4.0, 10.0, 50.0, 60.0, 80.0]])
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1])
    assert deviations(values, labels).tolist() == [[2.0, 1.0, 0.0, 1.0, 7.0, 1.0, 0.0, 2.0]]


def test_where_half_a_class_agrees_the_mean_deviation_is_the_unit() -> None:
    labels = np.zeros(4, np.int64)
    assert deviations(np.array([[1.0, 1.0, 1.0, 9.0]]), labels).tolist() == [[0.0, 0.0, 0.0, 4.0]]
    assert deviations(np.ones((1, 4)), labels).tolist() == [[0.0] * 4]


def with_odd(scale: float, name: str) -> ndarray:
    """Suspicions where the records of class 0 that are odd lie ``scale`` class means away from 0."""
    scene = scene_of(with_rows(blobs(), ODD, scale * 4 * torch.eye(WIDTH)[0]))
    with torch.no_grad():  # models that know the classes
        for name_of, parameter in scene.victims.network.named_parameters():
            parameter.copy_(torch.eye(CLASSES, WIDTH) if name_of == "weight" else torch.zeros(CLASSES))
    records = DEFENCES[name].records
    assert records is not None
    return records(scene)


def test_hard_records_are_seen() -> None:
    for name in ("loss-outliers", "gradient-norm-outliers"):
        assert record_detection(with_odd(-1.0, name), ODD).auroc.value > 0.95, name


def test_the_loss_sees_from_both_sides() -> None:
    """Of a class that is hard to learn what is easily learnt is odd."""
    values = np.append(np.random.default_rng(0).normal(5, 0.5, 200), [0.01, 0.01, 12.0])[None]
    found = deviations(values, np.zeros(203, np.int64))
    assert record_detection(found, np.array([200, 201, 202])).auroc.value == 1.0

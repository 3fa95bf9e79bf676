"""Repetitions and lonely records among inputs."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from expunge.attacks.defences import nearest_neighbour
from expunge.attacks.defences.nearest_neighbour import duplicates, isolated, nearest
from tests.attacks.defences.scenes import CLASSES, blobs, with_rows


def test_distances_are_those_of_another_implementation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest_neighbour, "BLOCK", 7)
    x = blobs(60).x
    wanted = cdist(x.double().numpy(), x.double().numpy()) + np.diag(np.full(60, np.inf))
    np.testing.assert_allclose(nearest(x).numpy(), wanted.min(axis=1), rtol=1e-5)


def test_a_repetition_is_the_most_suspicious_whatever_its_label() -> None:
    train = blobs()
    found = duplicates(with_rows(train, [4], train.x[0] + 0).x + 100, train.y.numpy())
    assert set(np.flatnonzero(found == 1.0)) == {0, 4}
    assert found.max() == 1.0


def test_a_lonely_record_is_the_most_isolated() -> None:
    train = blobs()
    assert isolated(with_rows(train, [8], train.x[8] + 30).x, train.y.numpy()).argmax() == 8


def test_only_class_mates_keep_a_record_company() -> None:
    train = blobs()
    moved = with_rows(train, [0], train.x[1] + 0.01)  # class 0 in the cloud of class 1
    assert isolated(moved.x, train.y.numpy()).argmax() == 0
    assert duplicates(moved.x, train.y.numpy())[0] > 0.9


def test_usual_is_the_median_of_the_class() -> None:
    train = blobs()
    wider = torch.where(train.y[:, None] == 2, 10 * train.x, train.x)
    for found in (duplicates(train.x, train.y.numpy()), isolated(wider, train.y.numpy())):
        for label in range(CLASSES):
            assert abs(np.median(found[train.y.numpy() == label])) < 1e-9


def test_where_half_of_a_class_are_repetitions_the_mean_stands_for_the_median() -> None:
    x = torch.tensor([[0.0], [0.0], [0.0], [4.0]])
    assert isolated(x, np.zeros(4, np.int64)).tolist() == [-1.0, -1.0, -1.0, 3.0]

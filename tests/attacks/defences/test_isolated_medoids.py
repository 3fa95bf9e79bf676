"""Isolated medoids: facility location by hand, isolation by hand, and a planted record that stands for nobody else."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from expunge.attacks.defences import DEFENCES
from expunge.attacks.defences.class_gradients import factors_of
from expunge.attacks.defences.isolated_medoids import cosines, isolation, medoids
from tests.attacks.defences.scenes import blobs, hidden, linear, request_of, scene_of, with_rows

TRAIN = blobs(120)


def on_a_circle(*degrees: float) -> tuple[Tensor, Tensor]:
    """Gradients with one residual and features at these angles: cosines are those of the differences."""
    angles = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    features = torch.stack([angles.cos(), angles.sin()], dim=1)
    return torch.ones(len(degrees), 1, dtype=torch.float64), features


def test_every_group_has_a_medoid_and_the_cover_is_nearly_the_best() -> None:
    members = on_a_circle(0, 2, 4, 90, 92, 94, 200)
    alike = cosines(members, members)
    found = medoids(alike, 3).tolist()
    assert sorted(number // 3 for number in found) == [0, 1, 2]

    def cover(chosen: Sequence[int]) -> float:  # of nobody it is 0
        return float((1 + alike[:, list(chosen)].amax(1)).sum())

    best = max(map(cover, combinations(range(7), 3)))
    assert best - 0.01 < cover(found) <= best
    assert cover([3, 4, 5]) < best - 1


def test_isolation_is_how_far_the_medoids_are_over_how_many_would_join() -> None:
    mates = on_a_circle(0, 10, 20, 30)
    asked = on_a_circle(60, 180)
    nobody = torch.full((2,), -1)
    found = isolation(asked, mates, torch.tensor([0]), nobody)  # the medoid is at 0
    expected = [(1 - np.cos(np.radians(60))) / (1 + 0), (1 - np.cos(np.radians(180))) / (1 + 0)]
    np.testing.assert_allclose(found, expected)  # at 30 degrees both are as near: nobody joins
    nearer = isolation(on_a_circle(58), mates, torch.tensor([0]), nobody[:1])
    np.testing.assert_allclose(nearer, [(1 - np.cos(np.radians(58))) / 2])  # the one at 30 would join


def test_a_record_does_not_stand_for_itself() -> None:
    mates = on_a_circle(0, 5, 120)
    asked = (mates[0][2:], mates[1][2:])
    medoid_itself = isolation(asked, mates, torch.tensor([0, 2]), torch.tensor([2]))
    np.testing.assert_allclose(medoid_itself, [1 - np.cos(np.radians(120))])
    stranger = isolation(asked, mates, torch.tensor([0, 2]), torch.tensor([-1]))
    np.testing.assert_allclose(stranger, [0.0], atol=1e-12)  # a copy of what is there is stood for


def test_a_record_of_other_gradients_than_its_class_is_the_most_isolated() -> None:
    odd = [0, 3]
    scene = scene_of(with_rows(TRAIN, odd, -TRAIN.x[odd]), linear)
    requests = [request_of(scene.suite.data.train, each) for each in (odd, [6, 9], [1, 4], [2, 5])]
    found = DEFENCES["isolated-medoids"].suspicion(replace(scene, requests=requests))
    assert (found.argmax(axis=1) == 0).all()


def test_cosines_are_those_of_last_layer_gradients() -> None:
    scene = scene_of(TRAIN, hidden)
    model = scene.victims[0]
    weight = model.get_parameter("2.weight")

    def gradient(row: int) -> Tensor:
        loss = F.cross_entropy(model(TRAIN.x[[row]]), TRAIN.y[[row]])
        return torch.autograd.grad(loss, weight)[0].flatten()

    residuals, features = (each[0] for each in factors_of(scene.victims, TRAIN))
    found = cosines((residuals[:1], features[:1]), (residuals[3:4], features[3:4]))
    wanted = F.cosine_similarity(gradient(0), gradient(3), dim=0)
    np.testing.assert_allclose(found.item(), wanted.item(), atol=1e-5)

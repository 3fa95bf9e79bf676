"""Matched gradients: as one network would have them, layer by layer, and more alike with every step."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from expunge.attacks.condensing.condensed import LOOPS, loops
from expunge.attacks.condensing.gradient_matching import (
    Gradients,
    mismatch,
    real_gradients,
    synthetic_gradients,
)
from expunge.attacks.condensing.material import Material, Pixels
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.origin import Origin
from tests.attacks.condensing.small import CLASSES, material, normed, pictures


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, CLASSES))


def stacked(make: type[nn.Module] | object, models: int = 2) -> Ensemble:
    torch.manual_seed(0)
    networks = [make().double() for _ in range(models)]  # type: ignore[operator]
    return Ensemble.stack(networks, Origin("test", "0", "subset", None, tuple(range(models))), (1, 8, 8)).eval()


@pytest.fixture
def task() -> Material:
    return material(pictures(torch.float64), (0, 1), generator="gm", real_batch=10)


def alone(network: nn.Module, x: torch.Tensor, label: int) -> list[torch.Tensor]:
    loss = F.cross_entropy(network(x), torch.full((len(x),), label))
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    return [gradient.flatten(1) for gradient in torch.autograd.grad(loss, matrices)]


@pytest.mark.parametrize("kind", ["real", "synthetic"])
def test_gradients_are_those_of_each_network_on_each_class(task: Material, kind: str) -> None:
    networks, x = stacked(normed), task.batch()
    found = real_gradients(networks, x, task.weights()) if kind == "real" else synthetic_gradients(networks, x)
    for seed, network in enumerate(networks):
        for label in range(CLASSES):
            for layer, expected in zip(found, alone(network.eval(), x[seed, label], label), strict=True):
                torch.testing.assert_close(layer[seed, label], expected)


def test_vectors_are_left_out(task: Material) -> None:
    found = real_gradients(stacked(normed), task.batch(), task.weights())
    assert [tuple(each.shape[2:]) for each in found] == [(4, 9), (CLASSES, 36)]


def rows(*values: list[float]) -> Gradients:
    return [torch.tensor([[list(values)]], dtype=torch.float64)]


def test_mismatch_is_0_where_gradients_point_the_same_way_and_2_a_row_where_they_oppose() -> None:
    one = rows([1.0, 2.0], [3.0, -1.0])
    assert mismatch(one, [7 * one[0]]).item() == pytest.approx(0, abs=1e-5)
    assert mismatch(one, [-one[0]]).item() == pytest.approx(4, abs=1e-5)
    assert mismatch(rows([1.0, 0.0]), rows([0.0, 1.0])).item() == pytest.approx(1)
    assert mismatch(one + rows([1.0, 0.0]), one + rows([0.0, 1.0])).item() == pytest.approx(1, abs=1e-5)


def test_on_a_linear_network_the_cosine_rises_with_every_step(task: Material) -> None:
    networks, real = stacked(linear), task.batch()
    wanted = real_gradients(networks, real, task.weights())
    start = real[:, :, :2].flatten(1, 2)
    pixels = Pixels(start, material(task.suite, (0, 1), generator="gm", lr=0.5, momentum=0.0, pixels="free"))
    seen = []
    for _ in range(40):
        loss = mismatch(wanted, synthetic_gradients(networks, pixels.x.unflatten(1, (CLASSES, 2))))
        pixels.step(loss.sum())
        seen.append(loss.detach())
    each = torch.stack(seen)
    assert (each.diff(dim=0) < 0).all()
    assert (each[-1] < 0.9 * each[0]).all()


def test_the_loops_are_the_published_ones_or_those_of_the_next_smaller_number() -> None:
    published = {1: (1, 1), 10: (10, 50), 20: (20, 25), 30: (30, 20), 40: (40, 15), 50: (50, 10)}
    assert {images: loops(images) for images in published} == published
    assert (loops(9), loops(19), loops(80)) == ((1, 1), (10, 50), (50, 10))


def test_the_network_is_trained_on_the_pictures_between_their_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    from expunge.attacks.condensing import gradient_matching

    monkeypatch.setitem(LOOPS, 1, (3, 20))
    suite = pictures()
    accuracies = []
    real = gradient_matching._objective

    def watched(task: Material, networks: Ensemble, weights: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        labels = torch.arange(CLASSES).repeat_interleave(2)
        accuracies.append(-F.cross_entropy(networks.copy().eval()(x.detach())[0], labels).item())
        return real(task, networks, weights, x)

    monkeypatch.setattr(gradient_matching, "_objective", watched)
    task = material(suite, (0,), generator="gm", iterations=1, embedding="convnet", lr=1e-9)
    start = suite.data.train.x[torch.tensor(np.concatenate([each[:2] for each in task.by_class()]))][None]
    gradient_matching.gradient_matching(task, start, lambda *told: None)
    assert accuracies[0] < accuracies[1] < accuracies[2]

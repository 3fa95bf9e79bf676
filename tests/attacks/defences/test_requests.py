"""Defences at the time of a request: each sees what it is made for."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy import ndarray
from torch import Tensor, nn

from expunge.attacks.defence import Scene
from expunge.attacks.defences import DEFENCES, update_norm
from expunge.attacks.defences.requested import requested
from expunge.ensembles import Ensemble
from expunge.errors import BadSetting
from expunge.methods.parts import per_sample
from expunge.suites import Examples, Request
from tests.attacks.defences.scenes import (
    CLASSES,
    WIDTH,
    blobs,
    hidden,
    linear,
    request_of,
    scene_of,
    with_rows,
)

TRAIN = blobs(60)


def foreign(x: Tensor, y: Tensor, indices: list[int]) -> Request:
    return Request(Examples(x, y), np.array(indices))


def suspicion(name: str, scene: Scene) -> ndarray:
    return DEFENCES[name].suspicion(scene)


def test_every_record_stands_once_with_its_number_and_how_often_each_request_holds_it() -> None:
    changed = with_rows(TRAIN, [9], TRAIN.x[9] + 1)
    other = with_rows(TRAIN, [3], TRAIN.x[3] + 2)
    asked = [(TRAIN, [3, 5]), (changed, [5, 9]), (TRAIN, [5, 5]), (other, [3])]
    found = requested([request_of(train, rows) for train, rows in asked], scene_of(TRAIN).suite.data)
    assert found.numbers.tolist() == [3, 5, -1, -1]
    assert found.held.tolist() == [[1, 1, 0, 0], [0, 1, 1, 0], [0, 2, 0, 0], [0, 0, 0, 1]]
    assert found.examples.x.equal(torch.stack([TRAIN.x[3], TRAIN.x[5], TRAIN.x[9] + 1, TRAIN.x[3] + 2]))
    assert found.means(torch.tensor([[1.0, 3.0, 7.0, 9.0]])).tolist() == [[2.0, 5.0, 3.0, 9.0]]


def test_records_of_another_shape_are_refused() -> None:
    odd = foreign(torch.zeros(1, WIDTH + 1), torch.zeros(1, dtype=torch.int64), [0])
    with pytest.raises(BadSetting, match="expected records of shape"):
        suspicion("update-norm", scene_of(TRAIN, requests=[odd]))


def test_one_changed_byte_is_no_member() -> None:
    x, y = TRAIN.x[:4].clone(), TRAIN.y[:4].clone()
    x[1, 2] = torch.nextafter(x[1, 2], torch.tensor(torch.inf))
    y[2] += 1
    requests = [foreign(TRAIN.x[:4], TRAIN.y[:4], [0, 1, 2, 3]), foreign(x, y, [0, 1, 2, 3])]
    assert suspicion("membership", scene_of(TRAIN, requests=requests)).tolist() == [[0.0, 0.5]]


def test_a_member_elsewhere_than_claimed_counts_half() -> None:
    moved = foreign(TRAIN.x[:2], TRAIN.y[:2], [0, 7])
    nowhere = foreign(TRAIN.x[:2] + 1, TRAIN.y[:2], [-1, 60])
    beyond = foreign(TRAIN.x[:2], TRAIN.y[:2], [-60, 61])
    found = suspicion("membership", scene_of(TRAIN, requests=[moved, nowhere, beyond]))
    assert found.tolist() == [[0.25, 1.0, 0.5]]


def summed_norm(model: nn.Module, request: Request) -> Tensor:
    """With plain autograd, record by record."""
    total = torch.zeros(sum(each.numel() for each in model.parameters()))
    for x, y in zip(request.examples.x, request.examples.y, strict=True):
        gradients = torch.autograd.grad(F.cross_entropy(model(x[None]), y[None]), list(model.parameters()))
        total += torch.cat([each.flatten() for each in gradients])
    norm: Tensor = total.norm()
    return norm


def test_the_norm_is_that_of_the_sum_over_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(update_norm, "SUMS", 200)  # so that requests come in parts
    monkeypatch.setattr(per_sample, "CPU_BLOCK", 400)  # and records in blocks
    changed = with_rows(TRAIN, [9], TRAIN.x[9] + 1)
    requests = [request_of(TRAIN, range(20)), request_of(TRAIN, [5, 5, 7]), request_of(changed, [5, 9])]
    scene = scene_of(TRAIN, hidden, requests)
    wanted = [[summed_norm(model, request).item() for request in requests] for model in scene.victims]
    np.testing.assert_allclose(suspicion("update-norm", scene), wanted, rtol=1e-5)


def test_the_norm_is_of_the_recipes_loss() -> None:
    scene = scene_of(TRAIN, hidden, [request_of(TRAIN, [1])])
    smoothed = replace(scene.suite, recipe=replace(scene.suite.recipe, label_smoothing=0.5))
    assert not np.allclose(suspicion("update-norm", scene), suspicion("update-norm", replace(scene, suite=smoothed)))


def test_class_gradients_are_compared_as_autograd_has_them() -> None:
    changed = with_rows(TRAIN, [9], TRAIN.x[9] + 1)
    requests = [request_of(TRAIN, [0]), request_of(changed, [9]), request_of(TRAIN, [0, 4])]
    scene = scene_of(TRAIN, hidden, requests)
    for model, found in zip(scene.victims, suspicion("class-gradients", scene), strict=True):
        weight = model.get_parameter("2.weight")

        def gradient(x: Tensor, y: Tensor, model: nn.Module = model, weight: Tensor = weight) -> Tensor:
            return torch.autograd.grad(F.cross_entropy(model(x[None]), y[None]), weight)[0].flatten()

        def unlike(x: Tensor, y: Tensor, mates: list[int]) -> float:
            own = gradient(x, y)
            cosines = [F.cosine_similarity(own, gradient(TRAIN.x[each], y), dim=0).item() for each in mates]
            return 1 - float(np.mean(cosines))

        first = unlike(TRAIN.x[0], TRAIN.y[0], list(range(3, 60, 3)))
        handed_in = unlike(changed.x[9], TRAIN.y[9], list(range(0, 60, 3)))  # all of its class, for it is none of them
        other = unlike(TRAIN.x[4], TRAIN.y[4], [each for each in range(1, 60, 3) if each != 4])
        np.testing.assert_allclose(found, [first, handed_in, (first + other) / 2], atol=1e-5)


def test_a_request_of_records_unlike_their_class_is_seen() -> None:
    odd = [0, 3]
    scene = scene_of(with_rows(TRAIN, odd, -TRAIN.x[odd]), linear)
    requests = [request_of(scene.suite.data.train, each) for each in (odd, [6, 9], [1, 4], [2, 5])]
    found = suspicion("class-gradients", replace(scene, requests=requests))
    assert (found.argmax(axis=1) == 0).all()


def test_class_gradients_without_a_linear_layer_at_the_end_are_residuals_alone() -> None:
    def convolution() -> nn.Module:
        return nn.Sequential(nn.Unflatten(1, (WIDTH, 1, 1)), nn.Conv2d(WIDTH, CLASSES, 1), nn.Flatten())

    scene = scene_of(TRAIN, convolution, [request_of(TRAIN, [0])])
    for model, found in zip(scene.victims, suspicion("class-gradients", scene), strict=True):
        residuals = (model(TRAIN.x).softmax(-1) - F.one_hot(TRAIN.y, CLASSES))[::CLASSES]
        wanted = 1 - F.cosine_similarity(residuals[:1], residuals[1:]).mean()
        np.testing.assert_allclose(found, [wanted.item()], atol=1e-5)


def broken_by(number: int, victims: Ensemble, request: Request) -> Ensemble:
    """A removal that turns the signs of the models if it is of one record."""
    result = victims.copy().eval()
    with torch.no_grad():
        for parameter in result.parameters():
            parameter.mul_(-1 if number in request.indices else 1)
    return result


def test_a_removal_that_breaks_the_models_is_seen() -> None:
    scene = scene_of(TRAIN, requests=[request_of(TRAIN, [3, 4]), request_of(TRAIN, [5])], validation=range(60))
    with torch.no_grad():
        scene.victims.network.get_parameter("weight").copy_(torch.eye(CLASSES, WIDTH))
        scene.victims.network.get_parameter("bias").zero_()
    tried = replace(scene, remove=lambda request: broken_by(4, scene.victims, request))
    found = suspicion("validation-gate", tried)
    assert (found[:, 0] > 0.8).all()
    assert (found[:, 1] == 0).all()


def test_a_gate_looks_at_the_validation_examples_alone() -> None:
    test = blobs(60, seed=1)
    scene = scene_of(TRAIN, requests=[request_of(TRAIN, [4])], validation=[0, 1], test=test)
    tried = replace(scene, remove=lambda request: broken_by(4, scene.victims, request))
    others = with_rows(test, np.arange(2, 60), torch.zeros(WIDTH))
    suite = scene_of(TRAIN, test=others).suite
    assert np.array_equal(
        suspicion("validation-gate", tried), suspicion("validation-gate", replace(tried, suite=suite))
    )


def test_a_gate_without_validation_examples_is_refused() -> None:
    with pytest.raises(BadSetting, match="needs examples to look at"):
        suspicion("validation-gate", scene_of(TRAIN, requests=[request_of(TRAIN, [4])]))


def test_what_an_owner_asks_for_adds_up_and_nameless_ones_are_each_their_own() -> None:
    owners = ["ann", "", "bob", "ann", "", "ann"]
    requests = [request_of(TRAIN, [2 * row, 2 * row + 1], owner) for row, owner in enumerate(owners)]
    found = suspicion("owner-cap", scene_of(TRAIN, requests=requests)) * 60
    np.testing.assert_allclose(found, [[2, 2, 2, 4, 2, 6]])

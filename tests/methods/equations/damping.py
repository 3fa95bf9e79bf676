"""Methods that damp weights, draw them anew, or move them along fine-tunes on what is to be forgotten."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from expunge.ensembles.seeds import Generators
from expunge.methods import METHODS
from expunge.suites import Examples, Split
from tests.methods.equations.case import MEASURED, WALK, Case, Counts
from tests.methods.equations.toy import (
    FORGET,
    RETAIN,
    SIX,
    SPLIT,
    W,
    cross_entropy_gradient,
    exactly,
    over,
    require_steps,
    run_toy,
)

THREE = Examples(
    torch.tensor([[0.5, 1.0], [-0.5, 0.25], [0.75, -0.5]], dtype=torch.float64), torch.tensor([0, 1, 1])
)  # to keep: a draw of one of them is not all of them
SPLIT_3 = Split(THREE, FORGET, 3, SPLIT.recipe, SPLIT.network)
PAIR = Examples(torch.tensor([[1.0, 0.5], [1.0, -1.0]], dtype=torch.float64), torch.tensor([0, 1]))
SPLIT_PAIR = Split(THREE, PAIR, 3, SPLIT.recipe, SPLIT.network)

V = W - 0.125  # no weight of it is zero, so that dampening any of them can be seen

Gradient = Callable[[Tensor, int], Tensor]


def fisher(x: Tensor, y: int) -> Tensor:
    """What an example adds to the diagonal of the empirical Fisher information."""
    return cross_entropy_gradient(V, x, y) ** 2


def sensitivity(x: Tensor, y: int) -> Tensor:
    """Absolute gradient of ``||V x||^2``, which is ``2 V x x^T``."""
    return (2 * (V @ x)[:, None] * x).abs()


def dampened(forget: Tensor, retain: Tensor, retained: int, alpha: float, dampening: float) -> Tensor:
    """Weight by weight; one example is forgotten, so many are retained."""
    result = V.clone()
    for row, column in np.ndindex(*V.shape):
        mine = float(forget[row, column])
        everyone = (mine + retained * float(retain[row, column])) / (1 + retained)
        if mine > alpha * everyone:
            result[row, column] *= min(dampening * everyone / mine, 1.0)
    assert not torch.equal(result, V)
    return result


def by_one_of_three(importance: Gradient, settings: Mapping[str, float]) -> Callable[[str], None]:
    """One of three retained examples was drawn, and stands for all of them."""

    def check(name: str) -> None:
        forget = importance(FORGET.x[0], 2)
        choices = [
            dampened(forget, importance(x, int(y)), 3, **settings) for x, y in zip(THREE.x, THREE.y, strict=True)
        ]
        require_steps(run_toy(name, {**settings, "retain_examples": 1}, SPLIT_3, V), choices)

    return check


def by_all_of_three(importance: Gradient, settings: Mapping[str, float]) -> Callable[[str], None]:
    """All retained examples count, though a method that draws would draw one."""

    def check(name: str) -> None:
        retain = torch.stack([importance(x, int(y)) for x, y in zip(THREE.x, THREE.y, strict=True)]).mean(0)
        expected = dampened(importance(FORGET.x[0], 2), retain, 3, **settings)
        require_steps(run_toy(name, {**settings, "retain_examples": 1}, SPLIT_3, V), expected)

    return check


def assd(name: str) -> None:
    """One of four examples is forgotten: the percentile is 100 - ln 26."""
    forget = fisher(FORGET.x[0], 2)
    retain = torch.stack([fisher(x, int(y)) for x, y in zip(THREE.x, THREE.y, strict=True)]).mean(0)
    ratios = forget / ((forget + 3 * retain) / 4)
    alpha = float(np.percentile(ratios.numpy(), 100 - math.log(26)))
    require_steps(run_toy(name, {"retain_examples": 3}, SPLIT_3, V), dampened(forget, retain, 3, alpha, 1.0))


def noise_of_root_fisher(name: str) -> None:
    """Of 400 models, the standard deviation of each weight is ``sqrt(alpha) F^(-1/4)``, and the mean is kept."""
    information = torch.zeros_like(V)
    for x in THREE.x:
        p = (V @ x).softmax(0)
        for label in range(3):
            information += p[label] * cross_entropy_gradient(V, x, label) ** 2 / 3
    settings = {"alpha": 0.01, "variant": "paper", "retain_examples": 3}
    (found,) = exactly(1, run_toy(name, settings, SPLIT_3, V, models=400))
    scaled = (found - V) / (0.1 * information**-0.25)
    assert (scaled.mean(0).abs() < 0.25).all()
    assert ((scaled.std(0) - 1).abs() < 0.18).all()
    assert float(scaled.std()) == pytest.approx(1, abs=0.06)


def jit(name: str) -> None:
    """Logits are linear, so ``||V noise|| / ||noise||`` is to fall: three drawn directions in each of two samples."""
    chance = Generators(range(2))
    chance.permutation(3)
    noises = torch.cat([chance.normal(3, 2, dtype=torch.float64) for _ in range(2)], dim=1)
    expected = []
    for of_model in noises:
        ways = [(V @ noise, noise) for noise in of_model]
        expected.append(V - 0.1 * over(way[:, None] * noise / (way.norm() * noise.norm()) for way, noise in ways))
    settings = {"epochs": 1, "lr": 0.1, "momentum": 0.0, "sigma": 0.5, "samples": 2}
    (found,) = exactly(1, run_toy(name, settings, SIX, V))
    for weights, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(weights, wanted, rtol=0, atol=1e-12)


def tuned(lr: float, epochs: int) -> Tensor:
    """V after so many steps down the loss of the two examples to forget, less V."""
    w = V
    for _ in range(epochs):
        gradients = [cross_entropy_gradient(w, x, int(y)) for x, y in zip(PAIR.x, PAIR.y, strict=True)]
        w = w - lr * (gradients[0] + gradients[1]) / 2
    return w - V


def task_vector(name: str) -> None:
    settings = {"epochs": 2, "lr": 0.5, "momentum": 0.0, "scale": 0.25}
    require_steps(run_toy(name, settings, SPLIT_PAIR, V), *(V - 0.25 * tuned(0.5, epochs) for epochs in (1, 2)))


def neg_merge(name: str) -> None:
    """Three fine-tunes, the last so fast that it overshoots: after two epochs they no longer agree on all signs."""
    steps, disagreements = [], 0
    for epochs in (1, 2):
        vectors = [tuned(lr, epochs) for lr in (0.5, 4.0, 32.0)]
        agreed = sum(each.sign() for each in vectors).abs() == 3  # type: ignore[union-attr]
        disagreements += int((~agreed).sum())
        steps.append(V - 0.25 * torch.where(agreed, (vectors[0] + vectors[1] + vectors[2]) / 3, 0.0))
    assert 0 < disagreements < 6
    settings = {"epochs": 2, "lr": 0.5, "momentum": 0.0, "scale": 0.25, "tunes": 3, "ratio": 8.0}
    require_steps(run_toy(name, settings, SPLIT_PAIR, V), *steps)


def rum(name: str) -> None:
    """Nothing for the first of three; a step of fine-tuning for the second, the third among what is kept; and up.

    The inner methods have their own default settings.
    """
    fine, up = METHODS["fine-tune"].config(), METHODS["gradient-ascent"].config()
    assert fine.epochs == 1
    kept = [(RETAIN.x[0], 0), (THREE.x[0], int(THREE.y[0]))]
    w = V - fine.lr * sum(cross_entropy_gradient(V, *each) for each in kept) / 2
    velocity = torch.zeros_like(V)
    for _ in range(up.epochs):
        velocity = up.momentum * velocity + cross_entropy_gradient(w, THREE.x[0], int(THREE.y[0]))
        w = w + up.lr * velocity
    parts = [torch.tensor([row]) for row in (1, 2, 0)]
    split = Split(RETAIN, THREE, 3, SPLIT.recipe, SPLIT.network, extra=parts)
    settings = {"low": "identity", "medium": "fine-tune", "high": "gradient-ascent"}
    require_steps(run_toy(name, settings, split, V), w)


def drawn(n: Counts) -> float:
    return n.forget + min(n.retain, 512)


def everyone(n: Counts) -> float:
    return n.forget + n.retain


SETTINGS = {"alpha": 1.2, "dampening": 0.5}
SETTINGS = {"alpha": 1.2, "dampening": 0.5}
LOW = {"alpha": 1.0}  # at which weights are dampened on digits
FOUND = {"dampening": {"alpha": 0.1}, "retain_examples": {"alpha": 0.1, "retain_examples": 100}}
HELD = frozenset({MEASURED})  # how importance is measured, of a model that is only scaled or blurred
CASES = {
    "ssd": Case(
        by_one_of_three(fisher, SETTINGS),
        drawn,
        refused=[{"alpha": 0.0}],
        moves_statistics=False,
        passes=HELD,
        smoothed=False,
        moving=LOW,
        beside={**FOUND, "batch_size": {"alpha": 0.1}},
    ),
    "ssd-det": Case(
        by_all_of_three(fisher, SETTINGS),
        everyone,
        refused=[{"dampening": -1.0}],
        draws_chance=False,
        moves_statistics=False,
        passes=HELD,
        smoothed=False,
        moving=LOW,
        beside=FOUND,
    ),
    "lfssd": Case(
        by_one_of_three(sensitivity, SETTINGS),
        drawn,
        refused=[{"retain_examples": 0}, {"batch_size": 0}],
        moves_statistics=False,
        passes=HELD,
        smoothed=False,
        moving=LOW,
        beside={**FOUND, "batch_size": {"alpha": 0.1}},
    ),
    "lfssd-det": Case(
        by_all_of_three(sensitivity, SETTINGS),
        everyone,
        refused=[{"alpha": -1.0}],
        draws_chance=False,
        moves_statistics=False,
        passes=HELD,
        smoothed=False,
        moving=LOW,
        beside=FOUND,
    ),
    "assd": Case(
        assd,
        drawn,
        refused=[{"retain_examples": 0}],
        moves_statistics=False,
        passes=HELD,
        smoothed=False,
        beside={"retain_examples": {"retain_examples": 100}},
    ),
    "fisher-forgetting": Case(
        noise_of_root_fisher,
        lambda n: n.classes * min(n.retain, 192),
        refused=[{"alpha": 0.0}, {"variant": "other"}, {"retain_examples": 0}],
        moves_statistics=False,
        passes=HELD,
        smoothed=False,
        beside={"retain_examples": {"retain_examples": 100}},
        words={"variant": "official"},
    ),
    "jit": Case(  # the inputs, and 5 times with noise
        jit,
        lambda n: n.epochs * n.forget * (1 + 5),
        refused=[{"sigma": 0.0}, {"samples": 0}],
        ends_on_forget=True,
        smoothed=False,
        beside={"momentum": {"batch_size": 16}},
    ),
    "task-vector": Case(task_vector, lambda n: n.epochs * n.forget, refused=[{"scale": 0.0}], moves_statistics=False),
    "neg-merge": Case(
        neg_merge,
        lambda n: 3 * n.epochs * n.forget,
        refused=[{"scale": 0.0}, {"tunes": 1}, {"ratio": 0.0}],
        moves_statistics=False,
    ),
    "rum": Case(  # two passes over what is kept and the last third, and one over that for the mask of SalUn, its last
        rum,
        lambda n: 2 * n.retain + 3 * (n.forget // 3),
        refused=[
            {"low": "no-such-method"},
            {"medium": "oracle"},
            {"high": "rum"},
            {"high": "dm-direct"},
            {"medium": "identity", "high": "identity"},
        ],
        given=list,
        passes=frozenset({WALK, MEASURED}),
    ),
}

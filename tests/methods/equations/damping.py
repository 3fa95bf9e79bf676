"""Methods that damp weights, draw them anew, or move them along fine-tunes on what is to be forgotten."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from expunge.suites import Examples, Split
from tests.methods.equations.toy import (
    FORGET,
    SPLIT,
    Case,
    Counts,
    W,
    cross_entropy_gradient,
    require_steps,
    run_toy,
)

THREE = Examples(
    torch.tensor([[0.5, 1.0], [-0.5, 0.25], [0.75, -0.5]], dtype=torch.float64), torch.tensor([0, 1, 1])
)  # to keep: a draw of one of them is not all of them
SPLIT_3 = Split(THREE, FORGET, 3, SPLIT.recipe)

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


def drawn(n: Counts) -> float:
    return n.forget + min(n.retain, 512)


def everyone(n: Counts) -> float:
    return n.forget + n.retain


SETTINGS = {"alpha": 1.2, "dampening": 0.5}
CASES = {
    "ssd": Case(by_one_of_three(fisher, SETTINGS), drawn),
    "ssd-det": Case(by_all_of_three(fisher, SETTINGS), everyone),
    "lfssd": Case(by_one_of_three(sensitivity, SETTINGS), drawn),
    "lfssd-det": Case(by_all_of_three(sensitivity, SETTINGS), everyone),
    "assd": Case(assd, drawn),
}

"""Methods by influence and curvature: dense matrices of six weights, inverted by hand."""

from dataclasses import replace
from itertools import permutations

import torch
from torch import Tensor

from expunge.suites import Examples, Split
from expunge.suites.recipe import Recipe
from tests.methods.equations.toy import (
    FORGET,
    RETAIN,
    SPLIT,
    Case,
    Counts,
    W,
    cross_entropy_gradient,
    linear,
    require_steps,
    run_toy,
    steps_to,
)

START = torch.tensor([[0.5, 0.25], [-0.75, 0.0], [0.0, 1.0]], dtype=torch.float64)  # where training began
UP, DOWN = cross_entropy_gradient(W, FORGET.x[0], 2), cross_entropy_gradient(W, RETAIN.x[0], 0)
DECAY = SPLIT.recipe.weight_decay
FIXED = {"damping": 0.05, "alpha": 2.0}
SERIES = {"iterations": 3, "scale": 4.0, "damping": 0.05}

MANY_X = torch.tensor([[1.0, 2.0], [0.5, -1.0], [2.0, 0.25]], dtype=torch.float64)
MANY = Split(Examples(MANY_X, torch.tensor([0, 1, 1])), FORGET, 3, SPLIT.recipe, SPLIT.network)


def solve(matrix: Tensor, v: Tensor, damping: float) -> Tensor:
    return torch.linalg.solve(matrix + damping * torch.eye(6, dtype=torch.float64), v.flatten()).view(3, 2)


def curvature() -> Tensor:
    """``(diag(p) - p p^T) x x^T`` of the retained example: for a linear network Hessian and Gauss-Newton matrix."""
    x = RETAIN.x[0]
    p = (W @ x).softmax(0)
    return torch.kron(torch.diag(p) - torch.outer(p, p), torch.outer(x, x))


def series(v: Tensor, damping: float, iterations: int, scale: float) -> Tensor:
    u, h = v.flatten(), curvature()
    for _ in range(iterations):
        u = v.flatten() + (1 - damping / scale) * u - h @ u / scale
    return (u / scale).view(3, 2)


def by_woodbury() -> Tensor:
    g = DOWN.flatten()
    return W + 2.0 * solve(torch.outer(g, g), (UP - DOWN) / 2, 0.05 + DECAY)


def by_conjugate_gradients() -> Tensor:
    return W + 2.0 * solve(curvature(), (UP - DOWN) / 2, 0.05 + DECAY)


def by_lissa() -> Tensor:
    return W + 2.0 * series((UP - DOWN) / 2, 0.05 + DECAY, 3, 4.0)


def official() -> list[Tensor]:
    """The published loop, for every order of the three retained examples."""
    gradients = [cross_entropy_gradient(W, x, int(y)).flatten() for x, y in zip(MANY_X, MANY.retain.y, strict=True)]
    v = UP.flatten() / 4 - sum(gradients) / (4 * 3)
    results = []
    for order in permutations(gradients):
        o, k = order[0].clone(), v.clone()
        for g in order[1:]:
            shared = torch.dot(o, g)
            k -= torch.dot(k, g) / (3 + shared) * o
            o -= shared / (3 + shared) * o
        results.append(W + 2.0 * k.view(3, 2))
    return results


def influence(name: str) -> None:
    require_steps(run_toy(name, FIXED), by_woodbury())
    require_steps(run_toy(name, {**FIXED, "solver": "cg", "iterations": 6}), by_conjugate_gradients())
    require_steps(run_toy(name, {**FIXED, **SERIES, "solver": "lissa"}), by_lissa())
    require_steps(run_toy(name, {**FIXED, "variant": "official"}, MANY), official())


def second_order() -> Tensor:
    """One retained example of two, so the regulariser of both counts twice in the mean."""
    return W + series(UP, 0.05 + 2 * DECAY, 3, 4.0)


def unrolling_sgd(name: str) -> None:
    """Four steps at 0.1, 0.075, 0.05 and 0.025, each of which momentum makes tenfold; each example is in two."""
    recipe = Recipe(epochs=2, batch_size=1, lr=0.1, momentum=0.9)
    split = replace(SPLIT, recipe=recipe, extra=linear(START))
    expected = W + 0.5 * (0.0625 * 10 * 2) * cross_entropy_gradient(START, FORGET.x[0], 2)
    require_steps(run_toy(name, {"strength": 0.5}, split), expected)


def batches(n: Counts, count: int, size: int) -> int:
    """Examples in the first ``count`` batches of passes over the retained ones."""
    passes, rest = divmod(count, -(-n.retain // size))
    return passes * n.retain + min(n.retain, rest * size)


CASES = {
    "influence": Case(influence, lambda n: n.retain + n.forget + min(n.retain, 64)),
    "first-order": Case(steps_to({"tau": 0.3}, lambda: W + 0.3 * UP), lambda n: n.forget),
    "second-order": Case(  # a Hessian product costs twice what a gradient does, and comes on top of one
        steps_to(SERIES, second_order), lambda n: n.forget + 3 * batches(n, 40, 8)
    ),
    "unrolling-sgd": Case(unrolling_sgd, lambda n: n.forget),
}

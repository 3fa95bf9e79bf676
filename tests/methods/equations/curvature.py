"""Methods by influence and curvature: dense matrices of six weights, inverted by hand."""

from dataclasses import replace
from itertools import permutations

import torch
from torch import Tensor

from expunge.ensembles import Ensemble
from expunge.suites import Examples, Split
from expunge.suites.recipe import Recipe
from tests.methods.equations.case import MEASURED, Case, Counts
from tests.methods.equations.toy import (
    FORGET,
    RETAIN,
    SIX,
    SPLIT,
    W,
    cross_entropy_gradient,
    linear,
    mean_gradient,
    over,
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
    solved: Tensor = torch.linalg.solve(matrix + damping * torch.eye(6, dtype=torch.float64), v.flatten())
    return solved.view(3, 2)


def curvature(examples: Examples = RETAIN, w: Tensor = W) -> Tensor:
    """Mean of ``(diag(p) - p p^T) x x^T``: for a linear network Hessian and Gauss-Newton matrix."""
    chances = [(w @ x).softmax(0) for x in examples.x]
    pairs = zip(chances, examples.x, strict=True)
    return over(torch.kron(torch.diag(p) - torch.outer(p, p), torch.outer(x, x)) for p, x in pairs)


def series(v: Tensor, damping: float, iterations: int, scale: float, examples: Examples = RETAIN) -> Tensor:
    u, h = v.flatten(), curvature(examples)
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
    """Sums of three and three in the mean of what is kept, in which the regulariser of all six counts twice."""
    return W + series(mean_gradient(W, SIX.forget), 0.05 + 2 * DECAY, 3, 4.0, SIX.retain)


def unrolling_sgd(name: str) -> None:
    """Six steps at 0.1 down to 0.1 / 6, each of which momentum makes tenfold; each example is half of one in two."""
    recipe = Recipe(epochs=2, batch_size=2, lr=0.1, momentum=0.9)
    split = replace(SIX, recipe=recipe, extra=linear(START))
    eta = 0.1 * (6 + 5 + 4 + 3 + 2 + 1) / 36 * 10
    expected = W + 0.5 * (eta * 2 / 2) * 3 * mean_gradient(START, SIX.forget)
    require_steps(run_toy(name, {"strength": 0.5}, split), expected)


def batches(n: Counts, count: int, size: int) -> int:
    """Examples in the first ``count`` batches of passes over the retained ones."""
    passes, rest = divmod(count, -(-n.retain // size))
    return passes * n.retain + min(n.retain, rest * size)


CLOSED = frozenset({MEASURED})  # one step, of gradients where no batch counts

CASES = {
    "influence": Case(
        influence,
        lambda n: n.retain + n.forget + min(n.retain, 64),
        refused=[
            {"solver": "newton"},
            {"variant": "ours"},
            {"alpha": 0.0},
            {"damping": -1.0},
            {"curvature_examples": 0},
            {"iterations": 0},
            {"batch_size": 0},
            {"scale": 0.0},
        ],
        passes=CLOSED,
        moves_statistics=False,
        beside={
            "iterations": {"solver": "cg", "iterations": 2},
            "batch_size": {"solver": "lissa"},
            "scale": {"solver": "lissa"},
            "curvature_examples": {"curvature_examples": 32},
        },
        words={"solver": "lissa", "variant": "official"},
    ),
    "first-order": Case(
        steps_to({"tau": 0.3}, lambda: W + 0.3 * 3 * mean_gradient(W, SIX.forget), split=SIX),
        lambda n: n.forget,
        refused=[{"tau": 0.0}, {"replacement": "noise"}],
        draws_chance=False,
        passes=CLOSED,
        moves_statistics=False,
        words={"replacement": "zeros"},
    ),
    "second-order": Case(  # a Hessian product costs twice what a gradient does, and comes on top of one
        steps_to(SERIES, second_order, split=SIX),
        lambda n: n.forget + 3 * batches(n, 40, 8),
        refused=[{"curvature": "fisher"}, {"iterations": 0}, {"batch_size": 0}, {"scale": -1.0}, {"damping": -0.1}],
        passes=CLOSED,
        moves_statistics=False,
        words={"curvature": "gauss-newton"},
    ),
    "unrolling-sgd": Case(  # its network is trained nowhere: what training went through is added to the weights
        unrolling_sgd,
        lambda n: n.forget,
        refused=[{"strength": 0.0}],
        given=Ensemble,
        draws_chance=False,
        moves_statistics=False,
    ),
}

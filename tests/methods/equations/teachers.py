"""Methods with teachers, and methods that look at where a boundary lies."""

import math

import torch
from torch import Tensor

from expunge.ensembles import Ensemble, Origin
from expunge.ensembles.seeds import Generators
from tests.methods.equations.case import MEASURED, TAUGHT, WALK, Case
from tests.methods.equations.toy import (
    FORGET,
    LR,
    SIX,
    W,
    config_of,
    cross_entropy_gradient,
    distillation_gradient,
    exactly,
    linear,
    mean_gradient,
    method_of,
    over,
    require_steps,
    run_toy,
    steps_to,
)

PLAIN = {"epochs": 1, "lr": LR, "momentum": 0.0}
KEPT, GONE = SIX.retain, SIX.forget


def target_gradient(w: Tensor, x: Tensor, target: Tensor) -> Tensor:
    """Of the cross-entropy, or KL, from the distribution ``target``: ``(softmax(W x) - target) x^T``."""
    return ((w @ x).softmax(0) - target)[:, None] * x


def delete(start: Tensor = W) -> Tensor:
    gradients = []
    for x, y in zip(GONE.x, GONE.y.tolist(), strict=True):
        others = (W @ x).exp()
        others[y] = 0
        gradients.append(target_gradient(start, x, others / others.sum()))
    return start - LR * over(gradients)


def bad_teacher(epochs: int) -> list[Tensor]:
    """Of either model, in one batch of all six: on what is kept the student is at first its teacher, and stays.

    By ``T`` squared the hand's gradient is larger than that of the KL itself.
    """
    after = []
    for model in range(2):
        seed = int(Generators([model]).integers(2**62, 1))
        uniform = torch.rand(3, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        bad = (2 * uniform - 1) / 2**0.5  # as a linear layer of two inputs draws its weights
        w = W
        for _ in range(epochs):
            pairs = [(bad, x) for x in GONE.x] + [(W, x) for x in KEPT.x]
            w = w - LR * over(distillation_gradient(teacher, w, x, 2.0) for teacher, x in pairs) / 4
        after.append(w)
    return after


STEEP = torch.tensor([[-1.0, -0.25], [0.75, 0.25], [-1.0, 0.75]], dtype=torch.float64)


def check_boundary_shrink(name: str) -> None:
    """Near by, an example is of its own class, and its second choice counts; further off it is of another class."""
    labels = GONE.y.tolist()
    for bound in (0.1, 3.0):
        orders = []
        for x, y in zip(GONE.x, labels, strict=True):
            slope = STEEP.T @ ((STEEP @ x).softmax(0) - torch.eye(3, dtype=torch.float64)[y])
            orders.append((STEEP @ (x + bound * slope.sign())).argsort(descending=True).tolist())
        kept = [order[0] == y for order, y in zip(orders, labels, strict=True)]
        assert any(kept) == (bound < 1)
        nearest = [order[1] if own else order[0] for order, own in zip(orders, kept, strict=True)]
        expected = STEEP - LR * mean_gradient(STEEP, GONE, nearest)
        require_steps(run_toy(name, {**PLAIN, "bound": bound}, SIX, STEEP), expected)


def boundary_expand() -> list[Tensor]:
    """Of either model: a fourth row, drawn as a linear layer of two inputs draws it, takes the example."""
    after = []
    for model in range(2):
        row = (2 * Generators([model]).uniform(1, 2, dtype=torch.float64)[0] - 1) / 2**0.5
        after.append(W - LR * ((torch.cat([W, row]) @ FORGET.x[0]).softmax(0)[:3, None] * FORGET.x[0]))
    return after


def unsir(repair: float = 0.25, copies: int = 1) -> list[Tensor]:
    """Of either model: two noise inputs go down ``0.1 ||x||^2 - CE`` once, and the network towards their copies."""
    after = []
    for model in range(2):
        rng = Generators([model])
        labels = GONE.y[rng.integers(3, 2)[0]].tolist()
        impaired = [cross_entropy_gradient(W, x, int(y)) for x, y in zip(KEPT.x, KEPT.y, strict=True)]
        for x, y in zip(rng.normal(2, 2, dtype=torch.float64)[0], labels, strict=True):
            p = (W @ x).softmax(0) - torch.eye(3, dtype=torch.float64)[y]
            impaired += copies * [cross_entropy_gradient(W, x - 0.5 * (2 * 0.1 * x - W.T @ p), y)]
        w = W - LR * over(impaired)
        after.append(w - LR * repair * mean_gradient(w, KEPT))
    return after


LOTUS = {"epochs": 2, "lr": 0.5, "momentum": 0.0, "alpha": 6.0, "retain_share": 1.0}


def lotus() -> list[list[Tensor]]:
    """Of either model after each epoch, in one batch of all six; one of three to forget is told right, or is not."""
    steps: list[list[Tensor]] = [[], []]
    for model in range(2):
        rng, w = Generators([model]), W
        for after in steps:
            right = [int((w @ x).argmax()) == y for x, y in zip(GONE.x, GONE.y.tolist(), strict=True)]
            temperature = math.exp(6.0 * (sum(right) / 3 - 0.25))
            chosen, order = rng.permutation(3)[0].tolist(), rng.permutation(6)[0].tolist()
            noise = -(-rng.uniform(6, 3, dtype=torch.float64)[0].log()).log()
            gradients = []
            for place, g in zip(order, noise, strict=True):
                gone = place < 3
                x = GONE.x[place] if gone else KEPT.x[chosen[place - 3]]
                noisy = W @ x + g
                target = (noisy / temperature).softmax(0) if gone else (noisy == noisy.max()).double()
                gradients.append(target_gradient(w, x, target))
            w = w - 0.5 * over(gradients)
            after.append(w)
    return steps


def check_lotus(name: str) -> None:
    require_steps(run_toy(name, {**LOTUS, "unseen_accuracy": 0.25}, SIX), *lotus())
    require_steps(run_toy(name, {**LOTUS, "unseen_accuracy": 0.5}, SIX), W, W)  # forgotten already
    both = [linear(w, 1)[0] for w in (W, -W)]  # of which the second is told nothing right
    stack = Ensemble.stack(both, Origin("test", "0", "pretrained", None, (0, 1)), (2,))
    steps = method_of(name)(stack, SIX, config_of(name, {**LOTUS, "unseen_accuracy": 0.25}), Generators([0, 1]))
    for step, wanted in zip(exactly(2, steps), lotus(), strict=True):
        for found, each in zip(step.state()["0.weight"], (wanted[0], -W), strict=True):
            assert torch.allclose(found, each, rtol=0, atol=1e-12)


UNSIR = {"noise": 2, "noise_steps": 1, "noise_lr": 0.5, "lam": 0.1, "retain_share": 1.0, "repair": 0.25}

BESIDE_A_TEACHER = frozenset({WALK, TAUGHT})
CASES = {
    "boundary-shrink": Case(  # the adversarial examples go forward once more
        check_boundary_shrink,
        lambda n: n.epochs * n.forget + n.forget * 4 / 3,
        refused=[{"bound": 0.0}],
        passes=frozenset({WALK, TAUGHT, MEASURED}),
        ends_on_forget=True,
    ),
    "boundary-expand": Case(
        steps_to(PLAIN, boundary_expand),
        lambda n: n.epochs * n.forget,
        refused=[{"epochs": 0}],
        ends_on_forget=True,
    ),
    "unsir": Case(
        steps_to({**PLAIN, **UNSIR}, unsir, split=SIX),
        lambda n: 10 * 16 + n.epochs * (16 + 2 * round(0.8 * n.retain)),
        refused=[{"noise": 0}, {"copies": 0}, {"noise_lr": 0.0}, {"retain_share": 0.0}, {"repair": 0.0}],
        passes=frozenset({WALK, MEASURED}),
    ),
    "bad-teacher": Case(  # two teachers go forward only
        steps_to(
            {**PLAIN, "epochs": 2, "temperature": 2.0, "retain_share": 1.0},
            lambda: bad_teacher(1),
            lambda: bad_teacher(2),
            split=SIX,
        ),
        lambda n: n.epochs * (n.forget + round(0.3 * n.retain)) * 5 / 3,
        refused=[{"temperature": 0.0}, {"retain_share": 0.0}],
        passes=BESIDE_A_TEACHER,
        smoothed=False,
    ),
    "lotus": Case(  # its teacher goes forward only, and so does the forget set for its accuracy
        check_lotus,
        lambda n: n.epochs * ((n.forget + round(0.3 * n.retain)) * 4 + n.forget) / 3,
        refused=[
            {"alpha": -1.0},
            {"unseen_accuracy": -0.1},
            {"unseen_accuracy": 1.1},
            {"retain_share": 0.0},
            {"retain_share": 1.1},
        ],
        passes=BESIDE_A_TEACHER,
        smoothed=False,
    ),
    "delete": Case(
        steps_to({**PLAIN, "epochs": 2}, delete, lambda: delete(delete()), split=SIX),
        lambda n: n.epochs * n.forget * 4 / 3,
        refused=[{"lr": 0.0}],
        passes=BESIDE_A_TEACHER,
        ends_on_forget=True,
        smoothed=False,
    ),
}

"""Methods with teachers, and methods that look at where a boundary lies."""

import torch
from torch import Tensor

from expunge.ensembles.seeds import Generators
from tests.methods.equations.toy import (
    FORGET,
    LR,
    RETAIN,
    Case,
    W,
    cross_entropy_gradient,
    require_steps,
    run_toy,
    steps_to,
)

PLAIN = {"epochs": 1, "lr": LR, "momentum": 0.0}


def target_gradient(w: Tensor, x: Tensor, target: Tensor) -> Tensor:
    """Of the cross-entropy, or KL, from the distribution ``target``: ``(softmax(W x) - target) x^T``."""
    return ((w @ x).softmax(0) - target)[:, None] * x


def delete(start: Tensor = W) -> Tensor:
    x = FORGET.x[0]
    others = torch.cat([(W @ x)[:2].softmax(0), torch.zeros(1, dtype=torch.float64)])  # without the true class, 2
    return start - LR * target_gradient(start, x, others)


def bad_teacher() -> list[Tensor]:
    """Of either model, in one batch of both examples: on the retained one the student is its teacher, and stays."""
    after = []
    for model in range(2):
        seed = int(Generators([model]).integers(2**62, 1))
        uniform = torch.rand(3, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        bad = (2 * uniform - 1) / 2**0.5  # as a linear layer of two inputs draws its weights
        x = FORGET.x[0]
        target, now = (bad @ x / 2).softmax(0), (W @ x / 2).softmax(0)
        after.append(W - LR * (now - target)[:, None] * x / 2 / 2)  # by the temperature, and by two examples
    return after


STEEP = torch.tensor([[-1.0, -0.25], [0.75, 0.25], [-1.0, 0.75]], dtype=torch.float64)


def check_boundary_shrink(name: str) -> None:
    """Near by, the example is still of its own class, 2, and 0 its second choice; further off it is of class 1."""
    x = FORGET.x[0]
    slope = STEEP.T @ ((STEEP @ x).softmax(0) - torch.tensor([0.0, 0.0, 1.0]))
    near, far = (STEEP @ (x + bound * slope.sign()) for bound in (0.1, 3.0))
    assert (int(near.argmax()), int(near[:2].argmax()), int(far.argmax())) == (2, 0, 1)
    for bound, nearest in ((0.1, 0), (3.0, 1)):
        expected = STEEP - LR * cross_entropy_gradient(STEEP, x, nearest)
        require_steps(run_toy(name, {**PLAIN, "bound": bound}, w=STEEP), expected)


def boundary_expand() -> list[Tensor]:
    """Of either model: a fourth row, drawn as a linear layer of two inputs draws it, takes the example."""
    after = []
    for model in range(2):
        row = (2 * Generators([model]).uniform(1, 2, dtype=torch.float64)[0] - 1) / 2**0.5
        after.append(W - LR * ((torch.cat([W, row]) @ FORGET.x[0]).softmax(0)[:3, None] * FORGET.x[0]))
    return after


def unsir(repair: float = 0.25) -> list[Tensor]:
    """Of either model: one noise input of label 2 goes down ``0.1 ||x||^2 - CE`` once, and the network towards it."""
    after = []
    for model in range(2):
        rng = Generators([model])
        rng.integers(1, 1)  # which label the noise gets: there is one
        x = rng.normal(1, 2, dtype=torch.float64)[0, 0]
        p = (W @ x).softmax(0) - torch.tensor([0.0, 0.0, 1.0])
        x = x - 0.5 * (2 * 0.1 * x - W.T @ p)
        impaired = cross_entropy_gradient(W, x, 2) + cross_entropy_gradient(W, RETAIN.x[0], 0)
        w = W - LR * impaired / 2
        after.append(w - LR * repair * cross_entropy_gradient(w, RETAIN.x[0], 0))
    return after


UNSIR = {"noise": 1, "noise_steps": 1, "noise_lr": 0.5, "lam": 0.1, "retain_share": 1.0, "repair": 0.25}

CASES = {
    "boundary-shrink": Case(  # the adversarial examples go forward once more
        check_boundary_shrink, lambda n: n.epochs * n.forget + n.forget * 4 / 3
    ),
    "boundary-expand": Case(steps_to(PLAIN, boundary_expand), lambda n: n.epochs * n.forget),
    "unsir": Case(steps_to({**PLAIN, **UNSIR}, unsir), lambda n: 10 * 16 + n.epochs * (16 + 2 * round(0.8 * n.retain))),
    "bad-teacher": Case(  # two teachers go forward only
        steps_to({**PLAIN, "temperature": 2.0, "retain_share": 1.0}, bad_teacher),
        lambda n: n.epochs * (n.forget + round(0.3 * n.retain)) * 5 / 3,
    ),
    "delete": Case(
        steps_to({**PLAIN, "epochs": 2}, delete, lambda: delete(delete())), lambda n: n.epochs * n.forget * 4 / 3
    ),
}

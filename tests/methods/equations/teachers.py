"""Methods with teachers, and methods that look at where a boundary lies."""

import torch
from torch import Tensor

from expunge.ensembles.seeds import Generators
from tests.methods.equations.toy import FORGET, LR, Case, W, steps_to

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


CASES = {
    "bad-teacher": Case(  # two teachers go forward only
        steps_to({**PLAIN, "temperature": 2.0, "retain_share": 1.0}, bad_teacher),
        lambda n: n.epochs * (n.forget + round(0.3 * n.retain)) * 5 / 3,
    ),
    "delete": Case(
        steps_to({**PLAIN, "epochs": 2}, delete, lambda: delete(delete())), lambda n: n.epochs * n.forget * 4 / 3
    ),
}

"""Methods that walk up and down losses."""

import dataclasses

import torch
from torch import Tensor

from expunge.suites import Examples
from tests.methods.equations.toy import (
    FORGET,
    LR,
    RETAIN,
    SPLIT,
    Case,
    Counts,
    W,
    cross_entropy_gradient,
    distillation_gradient,
    require_steps,
    run_toy,
    steps_to,
)

PLAIN = {"epochs": 1, "lr": LR, "momentum": 0.0}
SCRUB = {**PLAIN, "alpha": 0.5, "gamma": 0.9, "temperature": 2.0}


def fine_tune() -> Tensor:
    return W - LR * cross_entropy_gradient(W, RETAIN.x[0], 0)


def gradient_ascent() -> Tensor:
    return W + LR * cross_entropy_gradient(W, FORGET.x[0], 2)


def ascent_descent() -> Tensor:
    up = gradient_ascent()
    return up - LR * cross_entropy_gradient(up, RETAIN.x[0], 0)


def neg_grad_plus() -> Tensor:
    down, up = cross_entropy_gradient(W, RETAIN.x[0], 0), cross_entropy_gradient(W, FORGET.x[0], 2)
    return W - LR * (0.75 * down - 0.25 * up)


def random_labels() -> list[Tensor]:
    """Either wrong label may be drawn; both examples are in one batch."""
    retain = cross_entropy_gradient(W, RETAIN.x[0], 0)
    return [W - LR * (retain + cross_entropy_gradient(W, FORGET.x[0], wrong)) / 2 for wrong in (0, 1)]


def scrub(start: Tensor = W) -> Tensor:
    up = start + LR * distillation_gradient(W, start, FORGET.x[0], 2.0)  # zero while the student is the teacher
    down = 0.5 * distillation_gradient(W, up, RETAIN.x[0], 2.0) + 0.9 * cross_entropy_gradient(up, RETAIN.x[0], 0)
    return up - LR * down


def gradient_ascent_l1() -> Tensor:
    return gradient_ascent() - LR * 0.25 * W.sign()


def l1_sparse() -> list[Tensor]:
    """The penalty is 0.6, then 0.4, 0.2, and none in the last of four epochs."""
    steps = [W]
    for gamma in (0.6, 0.4, 0.2, 0.0):
        w = steps[-1]
        steps.append(w - LR * (cross_entropy_gradient(w, RETAIN.x[0], 0) + gamma * w.sign()))
    return steps[1:]


def check_l1_sparse(name: str) -> None:
    require_steps(run_toy(name, {**PLAIN, "epochs": 4, "gamma": 0.6, "no_l1_epochs": 1}), *l1_sparse())


def successive_random_labels() -> list[Tensor]:
    """Either wrong label may be drawn; each example has a step of its own."""
    after = [W - LR * cross_entropy_gradient(W, FORGET.x[0], wrong) for wrong in (0, 1)]
    return [w - LR * cross_entropy_gradient(w, RETAIN.x[0], 0) for w in after]


UNEVEN = Examples(torch.tensor([[-1.0, 0.6]], dtype=torch.float64), FORGET.y)  # no two gradients are equally large


def check_salun(name: str) -> None:
    """Two of six weights move, those with the largest gradients of the forget loss."""
    x = UNEVEN.x[0]
    sizes = cross_entropy_gradient(W, x, 2).abs()
    mask = sizes >= sizes.flatten().sort().values[4]
    after = [W - LR * (mask * cross_entropy_gradient(W, x, wrong)) for wrong in (0, 1)]
    after = [w - LR * (mask * cross_entropy_gradient(w, RETAIN.x[0], 0)) for w in after]
    split = dataclasses.replace(SPLIT, forget=UNEVEN)
    require_steps(run_toy(name, {**PLAIN, "salient": 1 / 3}, split=split), after)


def random_labels_proximal() -> list[Tensor]:
    """After the first of two steps a third of the weights go back, and the others as far; after the second, none.

    The gradients of a row are of one size, so the two smallest changes are those of a row.
    """
    after = []
    for wrong in (0, 1):
        change = -LR * cross_entropy_gradient(W, FORGET.x[0], wrong)
        smallest = change.abs().min()
        w = W + change - change.sign() * smallest
        after.append(w - LR * cross_entropy_gradient(w, RETAIN.x[0], 0))
    return after


def mu_mis() -> list[Tensor]:
    """The input gradient of a logit is its row of the weights, ``||W_c||^2 - ||W_c'||^2`` falls along both rows."""
    after = []
    for other in (0, 1):
        w = W.clone()
        w[2] -= LR * 2 * W[2]
        w[other] += LR * 2 * W[other]
        after.append(w)
    return after


def uam() -> Tensor:
    up = cross_entropy_gradient(W, FORGET.x[0], 2)
    return W - LR * cross_entropy_gradient(W + 0.5 * up / up.square().sum().sqrt(), RETAIN.x[0], 0)


def paired(n: Counts) -> float:
    """Forget examples in batches of 16 beside retained ones in batches of 64, one batch each at every step."""
    passes, rest = divmod(-(-n.retain // 64), -(-n.forget // 16))
    return passes * n.forget + min(n.forget, rest * 16)


CASES = {
    "gradient-ascent": Case(steps_to(PLAIN, gradient_ascent), lambda n: n.epochs * n.forget),
    "gradient-ascent-l1": Case(steps_to({**PLAIN, "gamma": 0.25}, gradient_ascent_l1), lambda n: n.epochs * n.forget),
    "ascent-descent": Case(steps_to(PLAIN, ascent_descent), lambda n: n.epochs * n.retain + n.forget),
    "neg-grad-plus": Case(
        steps_to({**PLAIN, "beta": 0.75}, neg_grad_plus), lambda n: n.epochs * (n.retain + paired(n))
    ),
    "random-labels": Case(steps_to(PLAIN, random_labels), lambda n: n.epochs * (n.retain + n.forget)),
    "successive-random-labels": Case(
        steps_to(PLAIN, successive_random_labels), lambda n: n.epochs * (n.retain + n.forget)
    ),
    "random-labels-proximal": Case(
        steps_to({**PLAIN, "quantile": 2 / 3}, random_labels_proximal), lambda n: n.epochs * (n.retain + n.forget)
    ),
    "mu-mis": Case(  # two input gradients are as much work as two passes, and backward goes through all three
        steps_to(PLAIN, mu_mis), lambda n: n.epochs * n.forget * 3
    ),
    "uam": Case(steps_to({**PLAIN, "rho": 0.5}, uam), lambda n: n.epochs * (n.retain + paired(n))),
    "l1-sparse": Case(check_l1_sparse, lambda n: n.epochs * n.retain),
    "salun": Case(check_salun, lambda n: n.epochs * (n.retain + n.forget) + n.forget),
    "scrub": Case(  # its teacher goes forward only
        steps_to({**SCRUB, "epochs": 2, "ascent_epochs": 2}, scrub, lambda: scrub(scrub())),
        lambda n: (n.epochs * n.retain + n.forget) * 4 / 3,
    ),
}

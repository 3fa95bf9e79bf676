"""Methods that walk up and down losses."""

from torch import Tensor

from tests.methods.equations.toy import (
    FORGET,
    LR,
    RETAIN,
    Case,
    Counts,
    W,
    cross_entropy_gradient,
    distillation_gradient,
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


def paired(n: Counts) -> float:
    """Forget examples in batches of 16 beside retained ones in batches of 64, one batch each at every step."""
    passes, rest = divmod(-(-n.retain // 64), -(-n.forget // 16))
    return passes * n.forget + min(n.forget, rest * 16)


CASES = {
    "fine-tune": Case(steps_to(PLAIN, fine_tune), lambda n: n.epochs * n.retain),
    "gradient-ascent": Case(steps_to(PLAIN, gradient_ascent), lambda n: n.epochs * n.forget),
    "ascent-descent": Case(steps_to(PLAIN, ascent_descent), lambda n: n.epochs * n.retain + n.forget),
    "neg-grad-plus": Case(
        steps_to({**PLAIN, "beta": 0.75}, neg_grad_plus), lambda n: n.epochs * (n.retain + paired(n))
    ),
    "random-labels": Case(steps_to(PLAIN, random_labels), lambda n: n.epochs * (n.retain + n.forget)),
    "scrub": Case(  # its teacher goes forward only
        steps_to({**SCRUB, "epochs": 2, "ascent_epochs": 2}, scrub, lambda: scrub(scrub())),
        lambda n: (n.epochs * n.retain + n.forget) * 4 / 3,
    ),
}

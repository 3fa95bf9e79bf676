"""Methods that walk up and down losses."""

import torch
from torch import Tensor

from expunge.suites import Examples
from tests.methods.equations.case import MEASURED, TAUGHT, WALK, Case, Counts
from tests.methods.equations.toy import (
    FORGET,
    LR,
    RETAIN,
    SIX,
    W,
    all_wrong,
    cross_entropy_gradient,
    distillation_gradient,
    mean_gradient,
    over,
    require_steps,
    run_toy,
    steps_to,
)

PLAIN = {"epochs": 1, "lr": LR, "momentum": 0.0}
SCRUB = {**PLAIN, "alpha": 0.5, "gamma": 0.9, "temperature": 2.0}
KEPT, GONE = SIX.retain, SIX.forget


def fine_tune() -> Tensor:
    return W - LR * mean_gradient(W, KEPT)


def gradient_ascent() -> Tensor:
    return W + LR * mean_gradient(W, GONE)


def ascent_descent() -> Tensor:
    up = gradient_ascent()
    return up - LR * mean_gradient(up, KEPT)


def neg_grad_plus() -> Tensor:
    return W - LR * (0.75 * mean_gradient(W, KEPT) - 0.25 * mean_gradient(W, GONE))


def random_labels() -> list[Tensor]:
    """Any wrong labels may be drawn; all examples are in one batch, and as many are kept as are forgotten."""
    retain = mean_gradient(W, KEPT)
    return [W - LR * (retain + mean_gradient(W, GONE, wrong)) / 2 for wrong in all_wrong(GONE)]


def scrub(start: Tensor = W) -> Tensor:
    def distilled(w: Tensor, examples: Examples) -> Tensor:
        return over(distillation_gradient(W, w, x, 2.0) for x in examples.x)

    up = start + LR * distilled(start, GONE)  # zero while the student is the teacher
    return up - LR * (0.5 * distilled(up, KEPT) + 0.9 * mean_gradient(up, KEPT))


def gradient_ascent_l1() -> Tensor:
    return gradient_ascent() - LR * 0.25 * W.sign()


def l1_sparse() -> list[Tensor]:
    """The penalty is 0.6, then 0.4, 0.2, and none in the last of four epochs."""
    steps = [W]
    for gamma in (0.6, 0.4, 0.2, 0.0):
        w = steps[-1]
        steps.append(w - LR * (mean_gradient(w, KEPT) + gamma * w.sign()))
    return steps[1:]


def check_l1_sparse(name: str) -> None:
    require_steps(run_toy(name, {**PLAIN, "epochs": 4, "gamma": 0.6, "no_l1_epochs": 1}, SIX), *l1_sparse())


def successive_random_labels() -> list[Tensor]:
    """Any wrong labels may be drawn; each set of examples has a step of its own."""
    after = [W - LR * mean_gradient(W, GONE, wrong) for wrong in all_wrong(GONE)]
    return [w - LR * mean_gradient(w, KEPT) for w in after]


def salun() -> list[Tensor]:
    """Two of six weights move, those with the largest gradients of the forget loss."""
    sizes = mean_gradient(W, GONE).abs()
    mask = sizes >= sizes.flatten().sort().values[4]
    after = [W - LR * (mask * mean_gradient(W, GONE, wrong)) for wrong in all_wrong(GONE)]
    return [w - LR * (mask * mean_gradient(w, KEPT)) for w in after]


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
    for others in all_wrong(GONE):
        w = W.clone()
        for label, other in zip(GONE.y.tolist(), others, strict=True):
            w[label] -= LR * 2 * W[label] / 3
            w[other] += LR * 2 * W[other] / 3
        after.append(w)
    return after


def uam() -> Tensor:
    up = mean_gradient(W, GONE)
    return W - LR * mean_gradient(W + 0.5 * up / up.square().sum().sqrt(), KEPT)


SFR_ON = {
    "epochs": 2,
    "lr": LR,
    "momentum": 0.5,
    "alpha": 2.0,
    "max_norm": 0.4,
    "beta": 0.75,
    "lam": 2.0,
    "gamma": 0.3,
}


def sfr_on(every: int) -> list[Tensor]:
    """Up where forget has more of the squares of gradients, down on what is kept, and a quarter of the way back.

    Of two steps the second is half as long, and climbs only if it is one of ``every``. The gradient is cut to 0.4,
    which the first is above.
    """

    def slope(w: Tensor, x: Tensor, y: int) -> Tensor:
        return cross_entropy_gradient(w, x, y)

    gone, kept = (list(zip(part.x, part.y.tolist(), strict=True)) for part in (GONE, KEPT))
    squares = [over(slope(W, x, y) ** 2 for x, y in part) for part in (gone, kept)]
    mask = squares[0] / squares[1] >= 0.3
    assert int(mask.sum()) == 3
    w, pushed, steps = W, torch.zeros_like(W), []
    for number, fall in enumerate((1.0, 0.5)):
        slow = w
        if number % every == 0:
            losses = torch.stack([-(w @ x).log_softmax(0)[y] for x, y in gone])
            up = 2.0 * fall * sum(share * slope(w, x, y) for share, (x, y) in zip(shares(losses), gone, strict=True))
            up = mask * up
            assert (up.norm() > 0.4) == (number == 0)
            pushed = 0.5 * pushed - up * min(1.0, 0.4 / (float(up.norm()) + 1e-6))
            w = w - LR * fall * pushed
        pushed = 0.5 * pushed + mean_gradient(w, KEPT)
        w = w - LR * fall * pushed
        w = slow + 0.75 * (w - slow)
        steps.append(w)
    return steps


def shares(losses: Tensor) -> list[float]:
    """Of the inverse squares of the losses."""
    found: list[float] = (losses**-2 / (losses**-2).sum()).tolist()
    return found


def check_sfr_on(name: str) -> None:
    for every in (1, 2):
        require_steps(run_toy(name, {**SFR_ON, "forget_every": every}, SIX), *sfr_on(every))


def fifths(n: Counts) -> float:
    """Forget examples, in batches of 64 before every fifth of the steps on batches of 64 retained ones."""
    passes, rest = divmod(-(-n.epochs * -(-n.retain // 64) // 5), -(-n.forget // 64))
    return passes * n.forget + min(n.forget, rest * 64)


def paired(n: Counts) -> float:
    """Forget examples in batches of 16 beside retained ones in batches of 64, one batch each at every step."""
    passes, rest = divmod(-(-n.retain // 64), -(-n.forget // 16))
    return passes * n.forget + min(n.forget, rest * 16)


CASES = {
    "gradient-ascent": Case(
        steps_to(PLAIN, gradient_ascent, split=SIX), lambda n: n.epochs * n.forget, ends_on_forget=True
    ),
    "gradient-ascent-l1": Case(
        steps_to({**PLAIN, "gamma": 0.25}, gradient_ascent_l1, split=SIX),
        lambda n: n.epochs * n.forget,
        refused=[{"gamma": -1.0}],
        ends_on_forget=True,
    ),
    "ascent-descent": Case(
        steps_to(PLAIN, ascent_descent, split=SIX),
        lambda n: n.epochs * n.retain + n.forget,
        refused=[{"ascent_epochs": 0}],
        beside={"ascent_epochs": {"epochs": 3}},
    ),
    "neg-grad-plus": Case(
        steps_to({**PLAIN, "beta": 0.75}, neg_grad_plus, split=SIX),
        lambda n: n.epochs * (n.retain + paired(n)),
        refused=[{"beta": 1.5}, {"forget_batch_size": 0}],
        ends_on_forget=True,
    ),
    "random-labels": Case(steps_to(PLAIN, random_labels, split=SIX), lambda n: n.epochs * (n.retain + n.forget)),
    "successive-random-labels": Case(
        steps_to(PLAIN, successive_random_labels, split=SIX),
        lambda n: n.epochs * (n.retain + n.forget),
        refused=[{"epochs": 0}],
    ),
    "random-labels-proximal": Case(
        steps_to({**PLAIN, "quantile": 2 / 3}, random_labels_proximal),
        lambda n: n.epochs * (n.retain + n.forget),
        refused=[{"quantile": 1.5}],
    ),
    "mu-mis": Case(  # two input gradients are as much work as two passes, and backward goes through all three
        steps_to(PLAIN, mu_mis, split=SIX),
        lambda n: n.epochs * n.forget * 3,
        refused=[{"lr": 0.0}],
        moves_statistics=False,
        passes=frozenset({MEASURED}),
        smoothed=False,
    ),
    "uam": Case(
        steps_to({**PLAIN, "rho": 0.5}, uam, split=SIX),
        lambda n: n.epochs * (n.retain + paired(n)),
        refused=[{"rho": -1.0}, {"forget_batch_size": 0}],
        ends_on_forget=True,
        still={"rho": 0.0},  # else retained batches go through other weights
    ),
    "sfr-on": Case(  # and the Fisher information of forget, and of a draw of what is kept
        check_sfr_on,
        lambda n: n.epochs * n.retain + fifths(n) + n.forget + min(n.retain, 512),
        refused=[
            *({"alpha": 0.0}, {"forget_every": 0}, {"forget_batch_size": 0}, {"max_norm": 0.0}, {"beta": 1.5}),
            *({"lam": -1.0}, {"gamma": -1.0}, {"retain_examples": 0}),
        ],
        passes=frozenset({WALK, MEASURED}),
        beside={"retain_examples": {"retain_examples": 100}, "forget_every": {"forget_every": 1}},
    ),
    "l1-sparse": Case(
        check_l1_sparse,
        lambda n: n.epochs * n.retain,
        refused=[{"gamma": -1.0}, {"epochs": 2, "no_l1_epochs": 3}],
    ),
    "salun": Case(
        steps_to({**PLAIN, "salient": 1 / 3}, salun, split=SIX),
        lambda n: n.epochs * (n.retain + n.forget) + n.forget,
        refused=[{"salient": 0.0}, {"salient": 1.5}],
        passes=frozenset({WALK, MEASURED}),  # the importance of weights
    ),
    "scrub": Case(  # its teacher goes forward only
        steps_to({**SCRUB, "epochs": 2, "ascent_epochs": 2}, scrub, lambda: scrub(scrub()), split=SIX),
        lambda n: (n.epochs * n.retain + n.forget) * 4 / 3,
        refused=[{"temperature": 0.0}, {"alpha": -1.0}],
        passes=frozenset({WALK, TAUGHT}),
        beside={"ascent_epochs": {"epochs": 3}},
    ),
}

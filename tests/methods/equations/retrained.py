"""Methods that use retrained models: margins of oracles, or what datamodels predict of them."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from expunge.ensembles.seeds import Generators
from expunge.methods import METHODS
from expunge.methods.parts.matching import ByExample
from expunge.methods.zoo.amnesiac import Logged
from expunge.methods.zoo.sisa import Sharded
from tests.methods.equations.case import TAUGHT, WALK, Case, Counts
from tests.methods.equations.toy import (
    FORGET,
    LR,
    RETAIN,
    SIX,
    SPLIT,
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
)

MATCH = {"epochs": 2, "lr": 0.01, "decay": 0.5, "forget_multiplier": 2, "retain_multiplier": 1, "multiplier": 2.0}
GIVEN = {"forget": 0.75, "retain": -0.4}  # an oracle's margins, or the datamodels' effects


def margin(w: Tensor, x: Tensor, y: int) -> float:
    z = w @ x
    others = [other for other in range(3) if other != y]
    return float(z[y] - torch.log(torch.exp(z[others]).sum()))


def margin_gradient(w: Tensor, x: Tensor, y: int) -> Tensor:
    """``(e_y - q) x^T``, where q is the softmax over the other classes."""
    z = w @ x
    others = [other for other in range(3) if other != y]
    weights = torch.zeros(3, dtype=torch.float64)
    weights[others] = -torch.exp(z[others]) / torch.exp(z[others]).sum()
    weights[y] = 1.0
    return weights[:, None] * x


def two_steps_of_adam(forget: float, retain: float) -> list[Tensor]:
    """Two epochs of one batch, forget twice and retain once, towards these margins; the second at half the rate."""
    w, mean, square, steps = W, torch.zeros_like(W), torch.zeros_like(W), []
    for t, lr in ((1, 0.01), (2, 0.005)):
        up = 2 * 2 * (margin(w, FORGET.x[0], 2) - forget) * margin_gradient(w, FORGET.x[0], 2)
        up += 2 * (margin(w, RETAIN.x[0], 0) - retain) * margin_gradient(w, RETAIN.x[0], 0)
        gradient = up / 3
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        w = w - lr * (mean / (1 - 0.9**t)) / ((square / (1 - 0.999**t)).sqrt() + 1e-8)
        steps.append(w)
    return steps


def to_the_oracles() -> list[Tensor]:
    return two_steps_of_adam(GIVEN["forget"], GIVEN["retain"])


def to_the_predictions() -> list[Tensor]:
    """The margins of the model as it came, minus twice the effects."""
    forget = margin(W, FORGET.x[0], 2) - 2 * GIVEN["forget"]
    return two_steps_of_adam(forget, margin(W, RETAIN.x[0], 0) - 2 * GIVEN["retain"])


def matching(expected: Callable[[], list[Tensor]]) -> Callable[[str], None]:
    """A check: given :data:`GIVEN` out of the store, the weights are those expected."""
    parts = {name: torch.tensor([[value]], dtype=torch.float64) for name, value in GIVEN.items()}

    def check(name: str) -> None:
        require_steps(run_toy(name, MATCH, dataclasses.replace(SPLIT, extra=ByExample(**parts))), *expected())

    return check


def predicted(name: str) -> None:
    """Two models, three examples: margins minus twice the effects."""
    method = METHODS[name]
    assert method.predict
    found = method.predict(
        np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 5.0]]), np.array([0.5, 0.0, -2.0]), method.config(multiplier=2.0)
    )
    assert found.tolist() == [[0.0, 2.0, 7.0], [-1.0, -1.0, 9.0]]


def matched(n: Counts, forgotten: int, kept: int) -> float:
    return n.epochs * (forgotten * n.forget + min(kept * n.forget, n.retain))


def voted(name: str) -> None:
    """Forget is in the second slice of the first of two shards: that one goes on from its first slice's end."""
    before, after, other = W + 0.5, W - 0.5, W * 2
    state = {"0.0": W, "0.1": before, "0.2": after, "1.0": W, "1.1": W, "1.2": other}
    extra = Sharded(
        {f"{key}.0.weight": value.expand(2, 3, 2) for key, value in state.items()},
        forget=torch.tensor([[1], [1]]),
        retain=torch.tensor([[0], [0]]),
    )
    split, config = dataclasses.replace(SPLIT, extra=extra), config_of(name, {"shards": 2, "slices": 2})
    (step,) = exactly(1, method_of(name)(linear(), split, config, Generators([0, 1])))
    trained = before - 0.1 * (cross_entropy_gradient(before, RETAIN.x[0], 0) + 5e-4 * before)
    for member, expected in enumerate((trained, other)):
        key = f"members.{member}.0.weight"
        assert key in step.state()
        require_steps([step.state()[key]], expected)
    x = torch.tensor([[0.5, -1.0]], dtype=torch.float64)
    mean = torch.stack([(each @ x[0]).softmax(0) for each in (trained, other)]).mean(0)
    assert torch.allclose(step(x)[0, 0], mean.log(), rtol=0, atol=1e-12)


def taken_back(name: str) -> None:
    """The logged weights, less the logged updates; then a step of repair, or none."""
    trained, updates = W + 0.5, W * 3
    extra = Logged({"0.weight": trained.expand(2, 3, 2)}, {"0.weight": updates.expand(2, 3, 2)})
    split = dataclasses.replace(SPLIT, extra=extra)
    removed = trained - updates
    repaired = removed - LR * cross_entropy_gradient(removed, RETAIN.x[0], 0)
    require_steps(run_toy(name, {"epochs": 1, "lr": LR, "momentum": 0.0}, split), repaired)
    require_steps(run_toy(name, {"epochs": 0}, split), removed)


REWIND = {"epochs": 4, "lr": 2.0, "momentum": 0.0, "alpha": 0.5, "gamma": 0.9, "temperature": 2.0, "ascent_epochs": 4}


def rewound(name: str) -> None:
    """Of three examples one, two, one and two are wrong after the four epochs of scrub; two should be: the second."""
    w, steps, wrong = W, [], []
    for _ in range(4):
        w = w + 2 * over(distillation_gradient(W, w, x, 2.0) for x in SIX.forget.x)
        obeyed = over(distillation_gradient(W, w, x, 2.0) for x in SIX.retain.x)
        w = w - 2 * (0.5 * obeyed + 0.9 * mean_gradient(w, SIX.retain))
        steps.append(w)
        wrong.append(sum(margin(w, x, y) < 0 for x, y in zip(SIX.forget.x, SIX.forget.y.tolist(), strict=True)))
    assert wrong == [1, 2, 1, 2]
    found = run_toy(name, REWIND, dataclasses.replace(SIX, extra=2 / 3))
    require_steps(found, steps[0], steps[1], steps[1], steps[1])


CASES = {
    "sisa": Case(
        voted,
        lambda n: math.nan,  # it depends on where the forget set lies
        refused=[{"shards": 0}, {"slices": 0}],
        given=Sharded,
        own_models=True,
        votes=True,
    ),
    "amnesiac": Case(
        taken_back,
        lambda n: n.epochs * n.retain,
        refused=[{"epochs": -1}, {"lr": 0.0}, {"momentum": 1.0}, {"batch_size": 0}],
        given=Logged,
        own_models=True,
    ),
    "oracle-matching": Case(  # one retraining, and the walk
        matching(to_the_oracles),
        lambda n: n.retraining_epochs * n.retain + matched(n, 1, 5),
        refused=[
            {"epochs": 0},
            {"oracles": 0},
            {"decay": 0.0},
            {"forget_multiplier": 0},
            {"retain_multiplier": -1},
        ],
        given=ByExample,
        ends_on_forget=True,
        smoothed=False,
    ),
    "scrub-rewind": Case(  # its teacher goes forward only, and so does the student to be judged
        rewound,
        lambda n: (n.epochs * n.retain + min(n.epochs, 3) * n.forget) * 4 / 3 + n.epochs * n.forget / 3,
        refused=[{"unseen": "test"}, {"temperature": 0.0}],
        given=float,
        rewinds=True,
        passes=frozenset({WALK, TAUGHT}),
        words={"unseen": "forget"},
    ),
    "dm-direct": Case(
        predicted,
        lambda n: 0.0,  # arithmetic on margins that were measured before
        refused=[{"multiplier": -1.0}, {"estimator": "magic"}],
        given=np.ndarray,
        makes_models=False,
        draws_chance=False,
        smoothed=False,
    ),
    "dmm": Case(  # the model as it came goes forward once
        matching(to_the_predictions),
        lambda n: matched(n, 1, 3) + (n.forget + min(3 * n.forget, n.retain)) / 3,
        refused=[{"lr": 0.0}, {"batch_size": 0}, {"multiplier": 0.0}, {"estimator": "magic"}],
        given=ByExample,
        passes=frozenset({WALK, TAUGHT}),
        ends_on_forget=True,
        smoothed=False,
    ),
}

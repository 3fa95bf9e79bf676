"""Methods that train on inputs near examples, which models take for something else."""

import itertools

import torch
from torch import Tensor

from expunge.ensembles.seeds import Generators
from expunge.suites import Examples
from tests.methods.equations.case import MEASURED, TAUGHT, WALK, Case, Counts
from tests.methods.equations.toy import LR, SIX, mean_gradient, require_steps, run_toy

PLAIN = {"epochs": 2, "lr": LR, "momentum": 0.0}
STEEP = torch.tensor([[-1.0, -0.25], [0.75, 0.25], [-1.0, 0.75]], dtype=torch.float64)
KEPT, GONE = SIX.retain, SIX.forget


def climbed(x: Tensor, y: int, length: float, centre: Tensor, radius: float) -> Tensor:
    """A step up the loss of label ``y`` in the input, back to the ball if it leads out; down it if ``length`` < 0."""
    slope = STEEP.T @ ((STEEP @ x).softmax(0) - torch.eye(3, dtype=torch.float64)[y])
    move = x + length * slope / slope.norm() - centre
    within: Tensor = centre + move * min(1.0, radius / float(move.norm()))
    return within


AMUN = {**PLAIN, "decay": 0.5, "bound": 0.2, "step": 0.35, "steps": 2, "doublings": 2}


def nearest(centre: Tensor, y: int) -> tuple[Tensor, int, int]:
    """Two steps within 0.2, two within 0.4, two within 0.8, unless it errs before; and how many steps it took."""
    x, taken = centre, 0
    for radius in (0.2, 0.2, 0.4, 0.4, 0.8, 0.8):
        if int((STEEP @ x).argmax()) != y:
            break
        x, taken = climbed(x, y, 0.35 * radius, centre, radius), taken + 1
    order = (STEEP @ x).argsort(descending=True).tolist()
    return x, order[1] if order[0] == y else order[0], taken


def amun(name: str) -> None:
    """Of three examples one errs at once, one on the way, one never; then a step on all there is, and half a step."""
    found = [nearest(x, y) for x, y in zip(GONE.x, GONE.y.tolist(), strict=True)]
    assert sorted(taken for _, _, taken in found) == [0, 5, 6]
    adversarial = Examples(torch.stack([x for x, _, _ in found]), torch.tensor([y for _, y, _ in found]))
    for retain, forget in itertools.product((True, False), repeat=2):
        parts = [adversarial, *[KEPT] * retain, *[GONE] * forget]
        everything = Examples(torch.cat([part.x for part in parts]), torch.cat([part.y for part in parts]))
        first = STEEP - LR * mean_gradient(STEEP, everything)
        second = first - LR / 2 * mean_gradient(first, everything)
        require_steps(run_toy(name, {**AMUN, "retain": retain, "forget": forget}, SIX, STEEP), first, second)


L2UL = {**PLAIN, "adversaries": 2, "bound": 1.0, "step": 0.75, "steps": 2, "lam": 4.0}


def spared() -> Tensor:
    """1 less how far the mean of ``|W x / ||W x|| x^T|`` lies between its least and largest entries."""
    sizes = torch.stack([((STEEP @ x) / (STEEP @ x).norm())[:, None] * x for x in GONE.x]).abs().mean(0)
    return 1 - (sizes - sizes.min()) / (sizes.max() - sizes.min())


def targeted(model: int) -> Examples:
    """Two inputs for each example, from a random point of its sphere two steps towards a wrong label drawn for it."""
    rng, centres = Generators([model]), GONE.x.repeat(2, 1)
    wrong = (GONE.y.repeat(2) + 1 + rng.integers(2, 6)[0]) % 3
    found = []
    for centre, y, drawn in zip(centres, wrong.tolist(), rng.normal(6, 2, dtype=torch.float64)[0], strict=True):
        x = centre + drawn / drawn.norm()
        for _ in range(2):
            x = climbed(x, y, -0.75, centre, 1.0)
        found.append(x)
    return Examples(torch.stack(found), wrong)


def l2ul(name: str) -> None:
    """Six down, three up, nine in all; in the second step what is spared is pulled back too."""
    after: list[list[Tensor]] = [[], []]
    for model in range(2):
        w, adversarial = STEEP, targeted(model)
        for steps in after:
            both = (6 * mean_gradient(w, adversarial) - 3 * mean_gradient(w, GONE)) / 9
            w = w - LR * (both + 4.0 * spared() * (w - STEEP))
            steps.append(w)
    found = run_toy(name, L2UL, SIX, STEEP)
    require_steps(found, *after)
    assert not torch.allclose(found[0][0], found[0][1])  # each model has a draw of its own


def beside_forget(n: Counts) -> float:
    """Two adversaries of each example in batches of 64, and a batch of 16 to forget at every step."""
    steps, left = divmod(2 * n.forget, 64)
    passes, rest = divmod(steps + (left > 1), -(-n.forget // 16))
    return 2 * n.forget + passes * n.forget + min(n.forget, rest * 16)


CASES = {
    "amun": Case(
        amun,
        lambda n: n.epochs * (n.retain + 2 * n.forget) + n.forget / 3,  # and what the search takes
        refused=[{"decay": 0.0}, {"bound": 0.0}, {"step": 1.5}, {"steps": 0}, {"doublings": -1}],
        passes=frozenset({WALK, MEASURED, TAUGHT}),
        searches=True,
        ends_on_forget=True,
        still={"retain": False},
        beside={"decay": {"epochs": 2}, "forget_statistics": {"retain": False}},
    ),
    "l2ul": Case(  # four steps of two inputs each, and the importance of weights
        l2ul,
        lambda n: n.epochs * beside_forget(n) + n.forget * (2 * 4 + 1),
        refused=[{"adversaries": 0}, {"bound": 0.0}, {"step": 0.0}, {"steps": 0}, {"lam": -1.0}],
        passes=frozenset({WALK, MEASURED}),
        ends_on_forget=True,
    ),
}

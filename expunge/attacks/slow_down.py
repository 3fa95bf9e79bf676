"""Slow-down: records are made so that each of their removals uses up as much of a certificate as can be.

A provider of certified removal serves a request by a Newton step, adds up what such steps may leave, and trains anew
when its budget is spent. The attacker contributes records whose influence ``||H^-1 g||`` is large, and asks for their
removal: what was to be cheap becomes a training for every few requests. Success is trainings for each removal.

Marchant et al. 2022, arXiv:2109.08266. Victims are logistic regressions of one class against the rest on the inputs
themselves, scaled to norms up to 1, with weights in float64. The attacker plans at the model of the clean data and does
not follow how its own records move it: derived, cheaper than the paper's. Measured on digits, 10 victims, 14 removals:
trainings for 67 % of them against 15 % of honest ones; with weight decay 1e-3 99 % against 6 %, with 1e-2 3 % against
1 %, which is next to nothing.
"""

import time
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from expunge.attacks.attack import Attack, Success
from expunge.attacks.certified_logistic import Logistic, served
from expunge.attacks.decision_boundary import within_ball
from expunge.attacks.lab.arms import ATTACK as ATTACKED
from expunge.attacks.lab.arms import HONEST, NO_REQUEST, ORACLE, UNPERTURBED, Arm, Played
from expunge.attacks.lab.provider import ATTACKER, Provider
from expunge.attacks.lab.settings import Lab
from expunge.attacks.named_class import named_class
from expunge.attacks.planted import Garden, Planting
from expunge.attacks.removal import Attacked
from expunge.ensembles.seeds import seed_of
from expunge.errors import BadSetting
from expunge.suites.data import Examples
from expunge.suites.suite import Suite

LAST = "last"  # the class with the highest number
BEFORE, SPENT = "removals-before-retraining", "bound-per-removal"


@dataclass(frozen=True, kw_only=True)
class SlowDown(Lab):
    """Settings: ``budget`` records, each moved by up to ``radius``, L2 where norms are up to 1, within the data's box.

    They are moved in ``steps`` steps. ``epsilon``, ``delta``, ``sigma``, ``decay`` are the provider's: of its
    certificate, its noise and its weight decay; ``positive`` is the class it tells from the rest.
    """

    methods: tuple[Attacked, ...] = (Attacked("second-order"),)
    budget: int = 14
    radius: float = 0.5
    steps: int = 50
    positive: str = LAST
    epsilon: float = 1.0
    delta: float = 1e-4
    sigma: float = 1.0
    decay: float = 1e-4

    def __post_init__(self) -> None:
        above = {name: getattr(self, name) for name in ("epsilon", "delta", "sigma", "decay")}
        for name, value in above.items():
            if not 0 < value < np.inf:
                raise ValueError(f"expected {name} above 0, got {value:g}")
        if self.delta >= 1 or self.epsilon > 1:
            raise ValueError(f"expected delta below 1 and epsilon of 1 at most, got {self.delta:g}, {self.epsilon:g}")
        if not 0 <= self.radius < np.inf or self.steps < 1:
            raise ValueError(f"expected a radius of 0 or more and 1 step, got {self.radius:g}, {self.steps}")


def check(suite: Suite, config: SlowDown) -> None:
    """Refuse what cannot be, before any work."""
    train = suite.data.sizes[0]
    if not 1 <= config.budget <= train // 4:
        raise BadSetting(
            f"expected a budget of 1 to {train // 4} records, a quarter of the {train} of suite {suite.name!r}, got "
            f"{config.budget}; give --set budget=N"
        )
    _positive(suite, config.positive)
    for each in config.methods:
        if each.method != "second-order":
            raise BadSetting(
                f"{each.method!r} has no certificate that could be used up; the provider removes by Newton steps of "
                "its own, --method second-order"
            )


def play(provider: Provider, config: SlowDown) -> Played:
    """Let each attacker contribute its records and ask for their removal, one by one, beside the controls.

    The oracle removes all of them at once, by one training.
    """
    started, suite = time.perf_counter(), provider.suite
    worlds = [_world(provider, config, model) for model in provider.models]
    effort = np.full(len(worlds), (time.perf_counter() - started) / len(worlds))
    ways = {
        ATTACKED: [_served(each, config, each.planted, each.asked) for each in worlds],
        NO_REQUEST: [_served(each, config, each.planted, each.asked[:0]) for each in worlds],
        HONEST: [_served(each, config, each.planted, each.plain) for each in worlds],
        UNPERTURBED: [_served(each, config, each.clean, each.asked) for each in worlds],
    }
    arms = {name: _arm(found) for name, found in ways.items()}
    arms[ORACLE] = _arm([_retrained(each) for each in worlds])
    requests = [each.planting.request(suite, each.asked, ATTACKER) for each in worlds]
    return Played(arms, requests, effort)


def planted(provider: Provider, config: SlowDown) -> Garden:
    """The suite's networks, trained on what the attackers plant: what a defence looks at, though no network serves."""
    return Garden(provider, [_world(provider, config, model).planting for model in provider.models])


@dataclass(frozen=True, eq=False)
class _World:
    """One attacker and its victim: the objective with its records in it, and without; test inputs and signs."""

    planted: Logistic
    clean: Logistic
    planting: Planting
    asked: Int[ndarray, " budget"]
    plain: Int[ndarray, " budget"]
    test: tuple[Float[ndarray, "test features"], Float[ndarray, " test"]]


def _world(provider: Provider, config: SlowDown, model: int) -> _World:
    suite = provider.suite
    rng = np.random.default_rng(seed_of(suite.digest, "slow down", config.seed, model))
    label, scale = _positive(suite, config.positive), _scale(suite)
    x, test = _inputs(suite.data.train.x, scale), _inputs(suite.data.test.x, scale)
    y, signs = _signs(suite.data.train.y, label), _signs(suite.data.test.y, label)
    noise = rng.normal(0.0, config.sigma, (x.shape[1],))
    clean = Logistic(x, y, config.decay, noise)
    asked, plain = np.sort(rng.permutation(len(y))[: 2 * config.budget].reshape(2, -1), axis=1)
    if not config.radius:
        nothing = Planting(plain[:0], suite.data.train.take(plain[:0]))
        return _World(clean, clean, nothing, plain, plain, (test, signs))
    moved = most_influential(clean, clean.trained(np.zeros(x.shape[1])), asked, config.radius, config.steps)
    raw = (
        torch.from_numpy(moved[:, :-1] * scale).to(suite.data.train.x.dtype).reshape(-1, *suite.data.train.x.shape[1:])
    )
    planting = Planting(asked, Examples(raw, suite.data.train.y[torch.from_numpy(asked)]))
    planted = Logistic(_inputs(planting.within(suite).data.train.x, scale), y, config.decay, clean.noise)
    return _World(planted, clean, planting, asked, plain, (test, signs))


def most_influential(
    objective: Logistic,
    w: Float[ndarray, " features"],
    rows: Int[ndarray, " rows"],
    radius: float,
    steps: int,
) -> Float[ndarray, "rows features"]:
    """The examples at ``rows`` moved so that ``||H^-1 (grad l(x) + lambda w)||`` is large; the best of all iterates.

    Projected gradient ascent, of H and ``w`` as they are, within an L2 ball around each and the box of all inputs; the
    last feature, a constant, stays. Projecting onto the ball, then the box, keeps both, for the centre is in the box.
    """
    inverse = torch.from_numpy(np.linalg.inv(objective.hessian(w)))
    base, weights = torch.from_numpy(objective.x[rows]), torch.from_numpy(w)
    signs = torch.from_numpy(objective.y[rows])
    low, high = (torch.from_numpy(each(objective.x, axis=0)) for each in (np.min, np.max))
    best, most, moved = base.clone(), torch.full((len(rows),), -torch.inf, dtype=torch.float64), base.clone()
    for step in range(steps + 1):
        point = moved.clone().requires_grad_()
        slope = -signs * torch.sigmoid(-signs * (point @ weights))
        value = ((slope[:, None] * point + objective.decay * weights) @ inverse).norm(dim=1)
        (climb,) = torch.autograd.grad(value.sum(), point)
        better = value.detach() > most
        best[better], most[better] = moved[better], value.detach()[better]
        length = radius / 4 * (1 - step / steps)
        moved = moved + length * climb / climb.norm(dim=1, keepdim=True).clamp(min=1e-300)
        moved = within_ball(moved[None], base[None], radius)[0].clamp(low, high)
    found: ndarray = best.numpy()
    return found


@dataclass(frozen=True)
class _Outcome:
    frequency: float
    accuracy: float
    cost: float
    seconds: float
    before: float
    bound: float


def _served(world: _World, config: SlowDown, objective: Logistic, rows: Int[ndarray, " rows"]) -> _Outcome:
    """Serve removals one by one."""
    started = time.perf_counter()
    found = served(objective, rows, epsilon=config.epsilon, delta=config.delta, sigma=config.sigma)
    asked = max(1, found.removals)
    seconds = time.perf_counter() - started
    accuracy = _accuracy(world, found.w)
    return _Outcome(found.retrained / asked, accuracy, found.retrained, seconds, found.first, found.spent / asked)


def _retrained(world: _World) -> _Outcome:
    """Exact removal of all that is asked for, at once, by one training; no bound is used up."""
    started = time.perf_counter()
    left = world.planted.without(world.asked)
    w = left.trained(np.zeros(left.x.shape[1]))
    seconds = time.perf_counter() - started
    return _Outcome(1 / len(world.asked), _accuracy(world, w), 1.0, seconds, len(world.asked), 0.0)


def _accuracy(world: _World, w: Float[ndarray, " features"]) -> float:
    x, y = world.test
    return float(((x @ w > 0) == (y > 0)).mean())


def _arm(found: list[_Outcome]) -> Arm:
    frequency, accuracy, cost, seconds, before, bound = (
        np.array([getattr(each, name) for each in found], np.float64)
        for name in ("frequency", "accuracy", "cost", "seconds", "before", "bound")
    )
    return Arm(frequency, accuracy, cost, seconds, {BEFORE: before, SPENT: bound})


def _scale(suite: Suite) -> float:
    """The largest norm of a training input."""
    return float(suite.data.train.x.flatten(1).double().norm(dim=1).max())


def _inputs(x: Tensor, scale: float) -> Float[ndarray, "n features"]:
    """Inputs as rows, in units of ``scale``, and a constant 1 behind: the weight of that is the bias."""
    flat = x.flatten(1).double().numpy() / scale
    return np.concatenate([flat, np.ones((len(flat), 1))], axis=1)


def _signs(y: Tensor, label: int) -> Float[ndarray, " n"]:
    return np.where(y.numpy() == label, 1.0, -1.0)


def _positive(suite: Suite, name: str) -> int:
    return suite.data.classes - 1 if name == LAST else named_class(suite, name, "positive", LAST)


ATTACK = Attack(
    play=play,
    check=check,
    config=SlowDown,
    success=Success("share of the certified removals after which the provider has to train anew"),
    planted=planted,
    served="by itself",
    idle={"radius": 0.0},
    arms={
        NO_REQUEST: "the provider trains on the attacker's records and is asked for nothing",
        HONEST: "as many records that nobody made for this are removed from that provider, one by one",
        UNPERTURBED: "the records at the same places, as they lie in the training data, are removed one by one",
        ORACLE: "all that the attack asks for is removed at once, by one training",
    },
    example="digits",
    summary="records are made so that their removal uses up the budget of a certificate",
    roles=("contributor", "requester"),
    goal="other",
    knowledge="white box",
    phases=("training", "unlearning"),
    cite=("marchant2022", "guo2020"),
)

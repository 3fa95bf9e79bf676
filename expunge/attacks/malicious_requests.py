"""Malicious requests: points are chosen, and changed, so that their removal makes a model misbehave as is wanted.

The attacker owns a share of the training data. It asks for the removal of a few of its records, whose bytes it may have
changed: of those whose removal, by the method that the provider uses, lowers the attacker's loss most.

Qian et al. 2023, doi:10.1145/3580305.3599526, and Zhao et al. 2023 (static attack). Their full texts were not at hand:
the bilevel problem that is solved here is derived from abstracts and surveys, see :mod:`expunge.attacks.bilevel`.
"""

import time
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from expunge.attacks.aims import Aim, measure, objective, require_aim, targets_of
from expunge.attacks.attack import Attack, Success
from expunge.attacks.bilevel import chosen_points, perturbed
from expunge.attacks.lab.arms import Played
from expunge.attacks.lab.owners import of_each, owned_by_attackers, pixel_range, require_budget, require_eps
from expunge.attacks.lab.provider import ATTACKER, Provider, honest_request
from expunge.attacks.lab.request_play import play_requests
from expunge.attacks.lab.settings import Lab
from expunge.attacks.operators import first_order, outputs_at
from expunge.errors import BadSetting
from expunge.suites.data import Examples
from expunge.suites.request import Request
from expunge.suites.suite import Suite

SELECTIONS = ("greedy", "random")


@dataclass(frozen=True, kw_only=True)
class MaliciousRequests(Lab):
    """Settings: ``budget`` records of those ``owned`` are asked for, changed by up to ``eps`` of the pixel range.

    ``goal`` targeted: ``targets`` test examples are to be taken for ``target_class``; untargeted: as many errors as can
    be. ``stealth`` weighs damage done beside.
    """

    goal: str = "targeted"
    targets: int = 1
    target_class: str = "likeliest"
    budget: int = 14
    owned: float = 0.2
    eps: float = 0.0627  # 16 of 255 levels
    steps: int = 40
    selection: str = "greedy"
    stealth: float = 1.0

    def __post_init__(self) -> None:
        if self.selection not in SELECTIONS:
            raise ValueError(f"selection must be one of {', '.join(SELECTIONS)}, got {self.selection!r}")
        if self.steps < 1 or self.stealth < 0:
            raise ValueError(f"expected at least 1 step and a stealth of 0 or more, got {self.steps}, {self.stealth}")


def check(suite: Suite, config: MaliciousRequests) -> None:
    """Refuse what cannot be, before any work."""
    require_aim(suite, config.goal, config.targets, config.target_class)
    require_budget(suite, config.budget, config.owned)
    require_eps(suite, config.eps)
    for each in config.methods:
        if each.method != "first-order":
            raise BadSetting(f"no operator for {each.method!r}")


def play(provider: Provider, config: MaliciousRequests) -> Played:
    """Plan a request against each victim, and have it served beside the controls."""
    started = time.perf_counter()
    suite, victims = provider.suite, provider.victims
    owned = owned_by_attackers(provider, config.owned, config.seed)
    targets = config.targets if config.goal == "targeted" else 0
    chosen, wanted = targets_of(provider, victims, targets, config.target_class, config.seed)
    aim = Aim(suite, chosen, wanted, owned, config.stealth)
    honest = [
        honest_request(suite, own, config.budget, config.seed, model)
        for own, model in zip(owned, provider.models, strict=True)
    ]
    attack = _planned(provider, config, aim, owned, honest)
    effort = np.full(len(provider.models), (time.perf_counter() - started) / len(provider.models))
    return play_requests(provider, attack, honest, partial(measure, aim), effort)


def _planned(
    provider: Provider,
    config: MaliciousRequests,
    aim: Aim,
    owned: Int[ndarray, "victims owned"],
    honest: list[Request],
) -> list[Request]:
    suite, planners = provider.suite, provider.victims
    train, smoothing = suite.data.train, suite.recipe.label_smoothing
    zeros = provider.config.replacement == "zeros"
    operator = first_order(planners, provider.config.tau, smoothing=smoothing, zeros=zeros)
    goal = objective(aim, planners, partial(outputs_at, planners))
    if config.selection == "random":
        rows = np.stack([each.indices for each in honest])
    else:
        x, y = of_each(train.x, owned), of_each(train.y, owned)
        picked = chosen_points(operator, goal, x, y, config.budget, victims=len(owned))
        rows = np.take_along_axis(owned, picked, axis=1)
    x, y = of_each(train.x, rows), of_each(train.y, rows)
    if config.eps:
        within = pixel_range(suite)
        x = perturbed(operator, goal, x, y, within, config.eps, planners=1, steps=config.steps)
    return [Request(Examples(a, b), indices, ATTACKER) for a, b, indices in zip(x, y, rows, strict=True)]


ATTACK = Attack(
    play=play,
    check=check,
    config=MaliciousRequests,
    success=Success("share of the targets that are taken for the wanted class"),
    idle={"selection": "random", "eps": 0.0},
    example="digits",
    summary="points are chosen and changed so that their removal makes a model misbehave as is wanted",
    roles=("requester", "model user"),
    goal="targeted",
    knowledge="white box",
    phases=("unlearning",),
    cite=("qian2023", "zhao2023"),
)

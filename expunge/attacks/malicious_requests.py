"""Malicious requests: points are chosen, and changed, so that their removal makes a model misbehave as is wanted.

The attacker owns a share of the training data. It asks for the removal of a few of its records, whose bytes it may have
changed, or for their correction to what it likes: of those by which, through the method that the provider uses, its own
loss falls most. In a white box it plans on the victim, else on surrogates.

Qian et al. 2023, doi:10.1145/3580305.3599526, and Zhao et al. 2023 (static attack). Their full texts were not at hand:
the bilevel problem that is solved here is derived from abstracts and surveys, see :mod:`expunge.attacks.bilevel`.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray
from torch import Tensor

from expunge.attacks.aims import Aim, measure, objective, require_aim, targets_of
from expunge.attacks.attack import Attack, Success
from expunge.attacks.bilevel import Objective, perturbed
from expunge.attacks.evasion import unlike_its_class
from expunge.attacks.lab.arms import Arm, Played
from expunge.attacks.lab.owners import of_each, owned_by_attackers, pixel_range, require_budget, require_eps
from expunge.attacks.lab.provider import ATTACKER, Provider, honest_request
from expunge.attacks.lab.request_play import arm, play_requests
from expunge.attacks.lab.settings import Lab
from expunge.attacks.operators import in_rounds, outputs_at
from expunge.attacks.planning import LISSA, OWN, SOLVERS, Planner, planner_of, require_log, require_planner
from expunge.ensembles.seeds import seed_of
from expunge.errors import BadSetting
from expunge.methods import find_method
from expunge.suites.data import Examples
from expunge.suites.request import Request
from expunge.suites.suite import Suite

SELECTIONS, OPERATIONS = ("greedy", "random"), ("delete", "modify")
CORRECTING = ("unrolling-sgd",)  # what takes something out of a store, and yet knows what to do with a correction


@dataclass(frozen=True, kw_only=True)
class MaliciousRequests(Lab):
    """Settings: ``budget`` records of the share ``owned`` are asked for, changed by up to ``eps`` of the pixel range.

    ``goal`` targeted: ``targets`` test examples are to be taken for ``target_class``; untargeted: as many errors as can
    be. ``operation`` delete: the records are to be removed; modify: to be corrected to others. ``selection`` greedy:
    those by which the attacker's loss falls most; random. Their bytes are changed in ``steps`` steps. ``stealth``
    weighs damage done beside, ``evade`` how unlike the gradients of the records are to those of their class: an
    attacker who knows what defences look at. ``surrogates`` is how many models of its own an attacker plans on, 0 for
    the victim itself; ``operator`` the method that it assumes, "own" for that which serves; ``solver`` what inverts the
    curvature of a second-order one, lissa as the method, or cg.
    """

    goal: str = "targeted"
    targets: int = 1
    target_class: str = "likeliest"
    operation: str = "delete"
    budget: int = 14
    owned: float = 0.2
    eps: float = 0.0627  # 16 of 255 levels
    steps: int = 20
    selection: str = "greedy"
    stealth: float = 1.0
    evade: float = 0.0
    surrogates: int = 0
    operator: str = OWN
    solver: str = LISSA

    def __post_init__(self) -> None:
        for name, known in (("selection", SELECTIONS), ("operation", OPERATIONS), ("solver", SOLVERS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if self.steps < 1 or self.stealth < 0 or self.evade < 0:
            raise ValueError(
                f"expected at least 1 step, and stealth and evade of 0 or more, got {self.steps}, {self.stealth} and "
                f"{self.evade}"
            )


def check(suite: Suite, config: MaliciousRequests) -> None:
    """Refuse what cannot be, before any work."""
    require_aim(suite, config.goal, config.targets, config.target_class)
    require_budget(suite, config.budget, config.owned)
    require_eps(suite, config.eps)
    require_planner(suite, config.models, config.surrogates, config.operator)
    require_log(suite, config.methods, config.operator)
    if config.operation == "modify":
        require_correcting(config)


def require_correcting(config: MaliciousRequests) -> None:
    """Refuse methods that can remove a record but not correct it."""
    for each in config.methods:
        if find_method(each.method).prepare is not None and each.method not in CORRECTING:
            raise BadSetting(
                f"{each.method!r} can remove records, not correct them: what it keeps in store knows nothing of new "
                "ones; choose another --method, or --set operation=delete"
            )


def play(provider: Provider, config: MaliciousRequests) -> Played:
    """Plan a request against each victim, and have it served beside the controls."""
    started = time.perf_counter()
    planner, aim = aimed(provider, config)
    honest = honest_requests(provider, config, aim.clean)
    attack = planned(provider, config, aim, planner, honest)
    effort = np.full(len(provider.models), (time.perf_counter() - started) / len(provider.models))
    return play_requests(provider, attack, honest, partial(measure, aim), effort)


def aimed(provider: Provider, config: MaliciousRequests) -> tuple[Planner, Aim]:
    """What the attackers plan with, and what they want."""
    owned = owned_by_attackers(provider, config.owned, config.seed)
    planner = planner_of(provider, owned, config.surrogates, config.operator, solver=config.solver)
    targets = config.targets if config.goal == "targeted" else 0
    chosen, wanted = targets_of(provider, planner.models, targets, config.target_class, config.seed)
    return planner, Aim(provider.suite, chosen, wanted, owned, config.stealth)


def partly(provider: Provider, config: MaliciousRequests, requests: Sequence[Request | None]) -> Arm:
    """What is left of the attack where a defence let a part of each request through."""
    _, aim = aimed(provider, config)
    return arm(provider.victims, lambda: provider.serve(requests), partial(measure, aim))


def honest_requests(
    provider: Provider, config: MaliciousRequests, owned: Int[ndarray, "victims owned"]
) -> list[Request]:
    """What an honest owner asks of each victim: as many records, drawn at random.

    To be corrected, each moves by up to as much as the attacker's may, in directions drawn at random.
    """
    suite, seed = provider.suite, config.seed
    pairs = zip(owned, provider.models, strict=True)
    found = [honest_request(suite, own, config.budget, seed, model) for own, model in pairs]
    if config.operation == "delete":
        return found
    return [_corrected(suite, each, config, model) for each, model in zip(found, provider.models, strict=True)]


def _corrected(suite: Suite, request: Request, config: MaliciousRequests, model: int) -> Request:
    x, y = request.examples.x, request.examples.y
    if config.eps:
        within = pixel_range(suite)
        generator = torch.Generator().manual_seed(seed_of(suite.digest, "honest correction", config.seed, model))
        signs = torch.randint(0, 2, x.shape, generator=generator) * 2 - 1
        x = within.kept(x + config.eps * (within.high - within.low) * signs, x, config.eps)
    return Request(request.examples, request.indices, request.owner, Examples(x, y))


def planned(
    provider: Provider, config: MaliciousRequests, aim: Aim, planner: Planner, honest: list[Request]
) -> list[Request]:
    """What the attacker asks of each victim: which of its records, and with which bytes."""
    goal = objective(aim, planner.models, partial(outputs_at, planner.models))
    rows = np.stack([each.indices for each in honest])
    if config.selection == "greedy":
        rows = np.take_along_axis(aim.clean, planner.choose(goal, config.budget), axis=1)
    return with_bytes(provider, config, aim, planner, goal, rows)


def with_bytes(
    provider: Provider,
    config: MaliciousRequests,
    aim: Aim,
    planner: Planner,
    goal: Objective,
    rows: Int[ndarray, "victims planned"],
    *,
    rounds: int = 1,
) -> list[Request]:
    """Requests for the records at ``rows``, changed so that removal serves the goal; of several rounds the first."""
    suite, train, device = provider.suite, provider.suite.data.train, planner.models.device
    x, y = of_each(train.x, rows).to(device), of_each(train.y, rows).to(device)
    moved, correct = x, config.operation == "modify"
    if config.eps and planner.operator is not None:
        moved = perturbed(
            in_rounds(planner.operator, rounds),
            goal,
            x,
            y,
            pixel_range(suite).to(device),
            config.eps,
            planners=planner.each,
            steps=config.steps,
            correct=correct,
            penalty=unlike_its_class(planner, provider, aim.clean, y, config.evade) if config.evade else None,
        )
    there, moved = [train.take(indices) for indices in rows], moved.to(train.x)
    return [
        _asked(own, new, indices, count=rows.shape[1] // rounds, correct=correct)
        for own, new, indices in zip(there, moved, rows, strict=True)
    ]


def _asked(there: Examples, moved: Tensor, indices: Int[ndarray, " planned"], *, count: int, correct: bool) -> Request:
    """The request for the first ``count`` of these records, in the order of their numbers."""
    order = np.argsort(indices[:count])
    own, new = there.take(order), Examples(moved[torch.from_numpy(order)], there.y[torch.from_numpy(order)])
    return Request(own if correct else new, indices[order], ATTACKER, new if correct else None)


ATTACK = Attack(
    play=play,
    check=check,
    config=MaliciousRequests,
    success=Success(
        "share of the targets that are taken for the wanted class; untargeted: of the test examples that are got wrong"
    ),
    partly=partly,
    idle={"selection": "random", "eps": 0.0},
    example="digits",
    summary="points are chosen and changed so that their removal makes a model misbehave as is wanted",
    roles=("requester", "model user"),
    goal="targeted",
    knowledge="white box",
    phases=("unlearning",),
    cite=("qian2023", "zhao2023"),
)

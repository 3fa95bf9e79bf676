"""Over-unlearning: requested records are changed so that their removal costs their whole class its accuracy.

The attacker owns records of a class and asks for the removal of some, changed before it hands them in. Blending mixes
each with a record of another class and gives it the class that the model itself names; pushing brings it to the
decision boundary, just within its class (I) or just beyond (II), where the gradient of its loss is large. A black box
suffices: the attacker reads first choices. Over-unlearning is by how much less the class is got right than after the
removal of the same records unchanged.

Hu et al. 2024, arXiv:2309.08230, who search the boundary by zeroth-order optimisation of scores; here it is bisected
from labels alone, on lines to the nearest of the attacker's records of other classes, with a bounded number of queries.

Measured on digits, models 100 to 109: the class is got wrong in 56 % after 14 records moved by 0.5, in 100 % after 14
moved by up to 2, against 1 % after the same records unchanged, and other classes suffer too (87 % and 28 % right): much
more than in the paper. Blending does less, 20 % at up to 2. Against gradient-ascent the unchanged records of one class
cost 56 % by themselves.
"""

import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Int, Shaped
from numpy import ndarray
from torch import Tensor

from expunge.attacks.attack import Attack, Success
from expunge.attacks.decision_boundary import Say, between, crossings, says, within_ball
from expunge.attacks.lab.arms import Played
from expunge.attacks.lab.owners import of_each, owned_by_attackers, require_budget
from expunge.attacks.lab.provider import ATTACKER, Provider, correct_on_test, honest_request
from expunge.attacks.lab.request_play import Measured, play_requests
from expunge.attacks.lab.settings import Lab
from expunge.attacks.owned_classes import COMMONEST, OwnedClass, class_owned, require_class
from expunge.ensembles.ensemble import Ensemble
from expunge.suites.data import Examples
from expunge.suites.request import Request
from expunge.suites.suite import Suite

STYLES = ("pushing-1", "pushing-2", "blending")


@dataclass(frozen=True, kw_only=True)
class OverUnlearning(Lab):
    """Settings: ``budget`` records of ``target_class``, of the ``owned`` share of the data, moved by up to ``l2``, L2.

    ``style`` pushing-1: the last point of its class; pushing-2: the first beyond; blending: ``blend`` of itself and the
    rest of another. Towards each of ``partners`` records of other classes the boundary is bisected in ``steps`` steps:
    ``partners (steps + 1) + 1`` queries at most for a record. ``l2`` is in the units of the inputs.
    """

    style: str = "pushing-2"
    target_class: str = COMMONEST
    budget: int = 14
    owned: float = 0.2
    l2: float = 0.5  # of digits the nearest of another class lies 1.9 away in the median
    blend: float = 0.5
    partners: int = 8
    steps: int = 10

    def __post_init__(self) -> None:
        if self.style not in STYLES:
            raise ValueError(f"style must be one of {', '.join(STYLES)}, got {self.style!r}")
        if not 0 <= self.l2 < np.inf or not 0 <= self.blend <= 1:
            raise ValueError(f"expected l2 of 0 or more and blend in [0, 1], got {self.l2:g}, {self.blend:g}")
        if self.partners < 1 or self.steps < 1:
            raise ValueError(f"expected at least 1 partner and 1 step, got {self.partners}, {self.steps}")


def check(suite: Suite, config: OverUnlearning) -> None:
    """Refuse what cannot be, before any work."""
    require_budget(suite, config.budget, config.owned)
    require_class(suite, config.target_class)
    _owned(Provider(suite, config.methods[0], range(config.models), config.seed), config)


def play(provider: Provider, config: OverUnlearning) -> Played:
    """Change the records that each victim's attacker asks for, and have them removed beside the controls."""
    started = time.perf_counter()
    suite, owned = provider.suite, _owned(provider, config)
    honest = [
        honest_request(suite, each.records, config.budget, config.seed, model)
        for each, model in zip(owned, provider.models, strict=True)
    ]
    attack = _changed(provider, config, owned, honest) if config.l2 else honest
    effort = np.full(len(provider.models), (time.perf_counter() - started) / len(provider.models))
    labels = np.array([each.label for each in owned])
    return play_requests(provider, attack, honest, partial(class_errors, suite, labels), effort)


def class_errors(suite: Suite, labels: Int[ndarray, " victims"], before: Ensemble, after: Ensemble) -> Measured:
    """Success: the share of the test examples of the attacked class that are got wrong; utility: accuracy on others."""
    right = correct_on_test(after, suite)
    inside: Bool[ndarray, "victims test"] = suite.data.test.y.numpy() == labels[:, None]
    success = [1 - row[own].mean() for row, own in zip(right, inside, strict=True)]
    utility = [row[~own].mean() for row, own in zip(right, inside, strict=True)]
    return Measured(np.array(success), np.array(utility))


def _owned(provider: Provider, config: OverUnlearning) -> list[OwnedClass]:
    owned = owned_by_attackers(provider, config.owned, config.seed)
    return [class_owned(provider.suite, rows, config.target_class, config.budget) for rows in owned]


def _changed(
    provider: Provider, config: OverUnlearning, owned: list[OwnedClass], honest: list[Request]
) -> list[Request]:
    train, rows = provider.suite.data.train, np.stack([each.indices for each in honest])
    x, y, say = of_each(train.x, rows), of_each(train.y, rows), says(provider.victims)
    partners = of_each(
        train.x,
        np.stack(
            [_nearest(provider.suite, each, row, config.partners) for each, row in zip(owned, rows, strict=True)]
        ).reshape(len(rows), -1),
    )
    partners = partners.unflatten(1, (config.budget, -1))  # (victims, budget, partners, ...)
    if config.style == "blending":
        share = torch.full(y.shape, 1 - config.blend, dtype=torch.float64)
        moved = within_ball(between(x, partners[:, :, 0], share), x, config.l2)
        y = say(moved)
    else:
        moved = within_ball(_pushed(say, x, partners, y, config), x, config.l2)
    return [Request(Examples(a, b), indices, ATTACKER) for a, b, indices in zip(moved, y, rows, strict=True)]


def _pushed(
    say: Say,
    x: Shaped[Tensor, "victims n ..."],
    partners: Shaped[Tensor, "victims n partners ..."],
    y: Int[Tensor, "victims n"],
    config: OverUnlearning,
) -> Shaped[Tensor, "victims n ..."]:
    """To the nearest boundary that was found, on the lines to the partners; a point with none stays."""
    best, least = x.clone(), torch.full(y.shape, torch.inf, dtype=torch.float64)
    for other in partners.unbind(2):
        inside, beyond = crossings(say, x, other, y, config.steps)
        share = inside if config.style == "pushing-1" else beyond
        distance = share * (other - x).flatten(2).norm(dim=2).double()
        nearer = distance < least
        least = torch.where(nearer, distance, least)
        best[nearer] = between(x, other, share.nan_to_num(posinf=0.0))[nearer]
    return best


def _nearest(suite: Suite, owned: OwnedClass, rows: Int[ndarray, " n"], partners: int) -> Int[ndarray, "n partners"]:
    """Of each record the nearest of the attacker's records of other classes, in L2; repeated where there are fewer."""
    x = suite.data.train.x.flatten(1).double()
    distances = torch.cdist(x[torch.from_numpy(rows)], x[torch.from_numpy(owned.others)])
    order = distances.argsort(dim=1, stable=True).numpy()
    found: ndarray = owned.others[np.take(order, np.arange(partners) % order.shape[1], axis=1)]
    return found


ATTACK = Attack(
    play=play,
    check=check,
    config=OverUnlearning,
    success=Success("share of the test examples of the requested class that are got wrong"),
    idle={"l2": 0.0},
    example="digits",
    summary="requested records are brought to the decision boundary, so that their removal costs their class",
    roles=("requester", "model user"),
    goal="untargeted",
    knowledge="black box",
    phases=("unlearning",),
    cite=("hu2024",),
)

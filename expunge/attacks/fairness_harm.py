"""Fairness harm: an honest-looking request concentrated on one class costs that class more than others.

Every record is the owner's, and is asked for as it lies in the training data: only which are asked for is chosen. The
control asks for as many, drawn from all that the same owner has. Success is the error on the class that fares worst.

That removal may treat groups unequally is in the survey of Liu et al. 2025, arXiv:2403.13682, of exact removal from
shards; the request that seeks it, and how it is counted, are designed here. Groups are classes: suites know no others.

Measured on digits, models 100 to 109, 14 records: by gradient-ascent the worst class is got wrong in 49 % after a
request for one class, in 4 % after one at random. By first-order, fine-tune and retraining the effect does not show:
4 % after either.
"""

import time
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from expunge.attacks.attack import Attack, Success
from expunge.attacks.lab.arms import ITSELF, UNPERTURBED, Played
from expunge.attacks.lab.owners import owned_by_attackers, require_budget
from expunge.attacks.lab.provider import ATTACKER, Provider, as_they_lie, correct_on_test, honest_request
from expunge.attacks.lab.request_play import Measured, play_requests
from expunge.attacks.lab.settings import Lab
from expunge.attacks.owned_classes import COMMONEST, OwnedClass, class_owned, require_class
from expunge.attacks.removal import Attacked
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import seed_of
from expunge.errors import BadSetting
from expunge.suites.request import Request
from expunge.suites.suite import Suite

SPREAD, ASKED = "spread-of-classes", "error-of-the-class"


@dataclass(frozen=True, kw_only=True)
class FairnessHarm(Lab):
    """Settings: of ``budget`` records of the ``owned`` share of the data, a ``concentration`` is of ``target_class``.

    At 1 all are, at 0 none is chosen for its class.
    """

    methods: tuple[Attacked, ...] = (Attacked("gradient-ascent"),)
    target_class: str = COMMONEST
    budget: int = 14
    owned: float = 0.2
    concentration: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.concentration <= 1:
            raise ValueError(f"concentration must lie in [0, 1], got {self.concentration:g}")

    @property
    def inside(self) -> int:
        """How many of the records are of the class."""
        return round(self.concentration * self.budget)


def check(suite: Suite, config: FairnessHarm) -> None:
    """Refuse what cannot be, before any work."""
    require_budget(suite, config.budget, config.owned)
    require_class(suite, config.target_class)
    missing = np.setdiff1d(np.arange(suite.data.classes), suite.data.test.y.numpy())
    if missing.size:
        raise BadSetting(
            f"suite {suite.name!r}: class {missing[0]} has no test example by which it could be seen to fare worst; "
            "choose a suite whose test data have all classes"
        )
    _owned(Provider(suite, config.methods[0], range(config.models), config.seed), config)


def play(provider: Provider, config: FairnessHarm) -> Played:
    """Ask for records of one class, and have them removed beside the controls."""
    started = time.perf_counter()
    suite, owned = provider.suite, _owned(provider, config)
    honest = [
        honest_request(suite, np.concatenate([each.records, each.others]), config.budget, config.seed, model)
        for each, model in zip(owned, provider.models, strict=True)
    ]
    attack = [
        _concentrated(suite, config, each, plain, model)
        for each, plain, model in zip(owned, honest, provider.models, strict=True)
    ]
    effort = np.full(len(provider.models), (time.perf_counter() - started) / len(provider.models))
    labels = np.array([each.label for each in owned])
    return play_requests(provider, attack, honest, partial(worst_class, suite, labels), effort)


def worst_class(suite: Suite, labels: Int[ndarray, " victims"], before: Ensemble, after: Ensemble) -> Measured:
    """Success: the largest error of a class; utility: test accuracy on all.

    Beside it the spread, the largest error of a class less the least, and the error of the class asked for.
    """
    right = correct_on_test(after, suite)
    errors = class_errors(right, suite.data.test.y.numpy(), suite.data.classes)
    more = {SPREAD: errors.max(1) - errors.min(1), ASKED: errors[np.arange(len(labels)), labels]}
    return Measured(errors.max(1), right.mean(1), more)


def class_errors(right: ndarray, labels: Int[ndarray, " test"], classes: int) -> Float[ndarray, "victims classes"]:
    """The share of each class's test examples that each victim gets wrong.

    >>> class_errors(np.array([[True, False, True]]), np.array([0, 0, 1]), 2)
    array([[0.5, 0. ]])
    """
    return np.stack([1 - right[:, labels == label].mean(1) for label in range(classes)], axis=1)


def _owned(provider: Provider, config: FairnessHarm) -> list[OwnedClass]:
    owned = owned_by_attackers(provider, config.owned, config.seed)
    return [class_owned(provider.suite, rows, config.target_class, config.inside) for rows in owned]


def _concentrated(suite: Suite, config: FairnessHarm, owned: OwnedClass, honest: Request, model: int) -> Request:
    """So many records of the class, and of the honest request what else there is to ask for."""
    if not config.inside:
        return honest
    rng = np.random.default_rng(seed_of(suite.digest, "concentrated", config.seed, model))
    chosen = rng.permutation(owned.records)[: config.inside]
    rest = np.setdiff1d(honest.indices, chosen)[: config.budget - config.inside]
    return as_they_lie(suite, np.concatenate([chosen, rest]), ATTACKER)


ATTACK = Attack(
    play=play,
    check=check,
    config=FairnessHarm,
    success=Success("share of the test examples of the worst class that are got wrong"),
    idle={"concentration": 0.0},
    arms={UNPERTURBED: ITSELF},
    example="digits",
    summary="a request as good as any, but for one class, costs that class more than others",
    roles=("contributor", "requester"),
    goal="other",
    knowledge="black box",
    phases=("unlearning",),
    cite=("liu2025",),
)

"""Relearning: a few of the removed records are taught again; how soon do the others come back that are not taught?

An attacker with the weights of the unlearned model, and with ``taught`` of the records that were removed, trains it for
some steps on those alone and asks about the rest. What a model only hides comes back sooner than what it never saw, so
the control that counts is the oracle, taught the same: the area between both curves is the attack's success less the
oracle's.

On digits, 10 models (100 to 109), 140 of the digit 3 removed and 10 taught for 10 steps: after the first-order update
the area is 0.990 +- 0.007 and 95 % are recovered after 0.2 +- 0.5 steps; after retraining 0.930 +- 0.012 and 3.4 +- 0.7
steps, so they were hidden, if at all, and not gone. Of 50 records of any class there is nothing to bring back: models
that never saw them know them, 0.983 +- 0.017 after retraining, 0.998 +- 0.000 after the update. An update that wrecks
the model looks forgetful: after ``scrub`` with its settings for random records the class comes back in none of 10 steps
for most models, and test accuracy is 0.42 +- 0.19.

Relearn time: Golatkar et al. 2020, arXiv:1911.04933; asking about what is not taught: Deeb and Roger 2024,
arXiv:2410.08827, as the audit :mod:`expunge.audits.relearning` has them, whose steps are taken here.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.special import expit

from expunge.attacks.attack import Attack, Success
from expunge.attacks.lab.arms import ATTACK as ATTACKED
from expunge.attacks.lab.arms import HONEST, ITSELF, NO_REQUEST, ORACLE, UNPERTURBED, Arm, Played
from expunge.attacks.lab.provider import Provider, correct_on_test
from expunge.attacks.lab.request_play import Measured, arm, play_requests
from expunge.attacks.named_class import named_class
from expunge.attacks.suspects import OTHERS, Privacy, requests_about
from expunge.audits.relearning import relearned
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import seed_of
from expunge.errors import BadSetting
from expunge.suites.request import Request
from expunge.suites.suite import Suite

ANY = "any"  # records of all classes
START, RECOVERED = "known-at-start", "steps-to-recover"


@dataclass(frozen=True, kw_only=True)
class Relearning(Privacy):
    """Settings: of ``budget`` removed records ``taught`` are taught again for ``steps`` of SGD at ``rate``.

    ``rate`` is a share of the recipe's learning rate. ``of_class`` names the class whose records are removed, any for
    records of all. A model has recovered where its label probability is ``enough`` of that before the removal.
    """

    budget: int = 50
    of_class: str = ANY
    taught: int = 10
    steps: int = 10
    rate: float = 0.1
    enough: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 1 or self.rate <= 0 or not 0 < self.enough <= 1:
            raise ValueError(
                f"expected at least 1 step, a rate above 0 and enough to be a share, got {self.steps}, {self.rate:g}, "
                f"{self.enough:g}"
            )


def check(suite: Suite, config: Relearning) -> None:
    """Refuse what cannot be, before any work."""
    most = min(len(_able(suite, config.of_class)), suite.data.sizes[0] // 2)
    if not 2 <= config.budget <= most:
        raise BadSetting(
            f"expected a budget of 2 to {most} records of class {config.of_class}, got {config.budget}; give "
            "--set budget=N"
        )
    if not 1 <= config.taught < config.budget:
        raise BadSetting(
            f"expected 1 to {config.budget - 1} of the {config.budget} removed records to be taught, so that some are "
            f"asked about, got {config.taught}; give --set taught=N"
        )


def _able(suite: Suite, name: str) -> Int[ndarray, " records"]:
    """The training examples of a class, or all."""
    if name == ANY:
        return np.arange(suite.data.sizes[0])
    return np.flatnonzero(suite.data.train.y.numpy() == named_class(suite, name, "of_class", ANY))


def play(provider: Provider, config: Relearning) -> Played:
    """Remove records, then teach a part of them again, after each arm."""
    started, suite, chosen = time.perf_counter(), provider.suite, _chosen(provider, config)
    attack, honest = requests_about(provider, np.sort(chosen, axis=1), config.removed, config.seed)
    effort = np.full(len(provider.models), (time.perf_counter() - started) / len(provider.models))
    return play_requests(provider, attack, honest, partial(measure, suite, config, chosen), effort)


def partly(provider: Provider, config: Relearning, requests: Sequence[Request | None]) -> Arm:
    """What relearning comes to where a defence let a part of each request through: of all records that are asked for
    and not taught, those too that were held back and stay."""
    look = partial(measure, provider.suite, config, _chosen(provider, config))
    return arm(provider.victims, lambda: provider.serve(requests), look)


def _chosen(provider: Provider, config: Relearning) -> Int[ndarray, "victims n"]:
    """The records of each victim that are removed, in an order: the first of them are taught again."""
    suite, able = provider.suite, _able(provider.suite, config.of_class)
    seeds = [seed_of(suite.digest, "relearning", config.seed, model) for model in provider.models]
    return np.stack([np.random.default_rng(seed).permutation(able)[: config.budget] for seed in seeds])


def measure(
    suite: Suite, config: Relearning, chosen: Int[ndarray, "victims n"], before: Ensemble, after: Ensemble
) -> Measured:
    """The area under the curve of the label probability of what is not taught, and the steps until it is recovered."""
    curves = np.stack([_curve(suite, config, own, after.take([row])) for row, own in enumerate(chosen)])
    old = np.array([_known(suite, own[config.taught :], before.take([row])) for row, own in enumerate(chosen)])
    more = {START: curves[:, 0], RECOVERED: first_at(curves, config.enough * old)}
    return Measured(curves.mean(1), correct_on_test(after, suite).mean(1), more)


def _curve(suite: Suite, config: Relearning, own: Int[ndarray, " n"], model: Ensemble) -> Float[ndarray, " steps"]:
    train = suite.data.train
    taught, asked = train.take(own[: config.taught]), train.take(own[config.taught :])
    odds = relearned(model, taught, asked, lr=config.rate * suite.recipe.lr, after=tuple(range(config.steps + 1)))
    found: ndarray = expit(odds[:, 0]).mean(1)
    return found


def _known(suite: Suite, rows: Int[ndarray, " n"], model: Ensemble) -> float:
    asked = suite.data.train.take(rows)
    return float(expit(relearned(model, asked, asked, lr=1.0, after=(0,))).mean())


def forgotten_nothing(played: Played, config: Relearning) -> str:
    """Whether victims know what was removed before anything is taught: then nothing comes back that was gone."""
    steps = played.arms[ATTACKED].arrays.get(f"more {RECOVERED}")
    if steps is None or not (known := int((steps == 0).sum())):
        return ""
    some = f"{known} of {len(steps)} victims"
    said = "nothing had been forgotten" if known == len(steps) else f"{some} had forgotten nothing"
    return f"{said}: before anything is taught, {some} know what was removed, at {config.enough:g} of before or more"


def first_at(curves: Float[ndarray, "victims steps"], wanted: Float[ndarray, " victims"]) -> Float[ndarray, " victims"]:
    """The first step at which each curve is at what is ``wanted``; one more than the last where it never is.

    >>> first_at(np.array([[0.1, 0.5, 0.9], [0.1, 0.2, 0.3]]), np.array([0.5, 0.5]))
    array([1., 3.])
    """
    there = curves >= wanted[:, None]
    found: ndarray = np.where(there.any(1), there.argmax(1), curves.shape[1]).astype(np.float64)
    return found


ATTACK = Attack(
    play=play,
    check=check,
    config=Relearning,
    success=Success(
        "mean label probability, over the steps of relearning, of removed records that are not taught again",
        against=ORACLE,
    ),
    reads="weights",
    idle={"removed": OTHERS},
    partly=partly,
    note=forgotten_nothing,
    arms={
        NO_REQUEST: "the victims as they are, taught the same",
        HONEST: "others are removed, and the records stay; taught the same",
        UNPERTURBED: ITSELF,
        ORACLE: "retrained without the records, then taught the same",
    },
    example="digits --set budget=140 --set of_class=3",
    summary="a few of the removed records are taught again, and the others come back",
    roles=("model user",),
    goal="other",
    knowledge="white box",
    phases=("after unlearning",),
    cite=("golatkar2020", "deeb2024"),
)

"""Backdoor by unlearning: a trigger that works only once the records that hide it have been removed on request.

The attacker contributes poison, pictures with a trigger under the label that it wants, and camouflage, pictures with
the same trigger under their own labels. Trained on both, a model does as if the trigger were not there; after the
removal of the camouflage, whose bytes are in the training data, the trigger commands it.

Zhang et al. 2023, arXiv:2310.10659, with triggers as of Gu et al. 2017, arXiv:1708.06733, here a square in a corner at
the top of the pixel range. Liu et al. 2024 (AAAI) reach the same; their selection of clean deletions is not built here.

Measured on digits, models 100 to 109: the trigger commands 94 % after first-order, which costs 39 points of accuracy,
and 94 % of models trained on poison alone, against 14 % before. With 14 poisons, 42 camouflages and 2 pixels it is 17 %
before, 71 % by poison alone, 45 % after first-order, 27 % after fine-tune, 22 % after gradient-ascent: what a method
does not remove, it does not set off.
"""

import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Int, Shaped
from numpy import ndarray
from torch import Tensor

from expunge.attacks.attack import Attack, Success
from expunge.attacks.lab.arms import Played
from expunge.attacks.lab.owners import Range, pixel_range
from expunge.attacks.lab.provider import Provider, correct_on_test
from expunge.attacks.lab.request_play import Measured
from expunge.attacks.lab.settings import Lab
from expunge.attacks.named_class import named_class
from expunge.attacks.planted import Garden, require_no_models_of_its_own
from expunge.attacks.preconditioned import PLANTED_ARMS, Hidden, nothing_hidden, planting_of, play_hidden
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.features import outputs
from expunge.ensembles.seeds import seed_of
from expunge.errors import BadSetting
from expunge.suites.data import Examples
from expunge.suites.suite import Suite

FIRST = "first"  # the class with the lowest number


@dataclass(frozen=True, kw_only=True)
class BackdoorByUnlearning(Lab):
    """Settings: ``poisons`` records teach that a square of ``trigger`` pixels means ``target_class``.

    ``camouflages`` records with the square keep their labels, and are asked for.
    """

    target_class: str = FIRST
    poisons: int = 21
    camouflages: int = 105
    trigger: int = 3

    def __post_init__(self) -> None:
        if self.trigger < 0:
            raise ValueError(f"trigger must be at least 0 pixels wide, got {self.trigger}")


def check(suite: Suite, config: BackdoorByUnlearning) -> None:
    """Refuse what cannot be, before any work."""
    if config.trigger:
        _ = pixel_range(suite, "a trigger would be drawn in: expected pictures; attack another suite, as digits")
        height, width = suite.data.train.x.shape[-2:]
        if config.trigger > min(height, width) // 2:
            raise BadSetting(
                f"expected a trigger of at most half of the {height} x {width} pixels, got {config.trigger}; give "
                "--set trigger=2"
            )
    label = _target(suite, config.target_class)
    others = int((suite.data.train.y != label).sum())
    if config.poisons < 1 or config.camouflages < 1 or config.poisons + 2 * config.camouflages >= others:
        raise BadSetting(
            f"expected at least 1 poison and 1 camouflage, and of the {others} training examples of other classes as "
            f"many plain ones as camouflages and one that stays, got {config.poisons} and {config.camouflages}; give "
            "--set poisons=N --set camouflages=N"
        )
    require_no_models_of_its_own(config)


def play(provider: Provider, config: BackdoorByUnlearning) -> Played:
    """Plant a trigger and what hides it, have the latter removed, beside the controls."""
    started, suite = time.perf_counter(), provider.suite
    label = _target(suite, config.target_class)
    plans = _plans(provider, config)
    effort = np.full(len(plans), (time.perf_counter() - started) / len(plans))
    return play_hidden(provider, plans, partial(obeyed, suite, label, config.trigger), effort)


def planted(provider: Provider, config: BackdoorByUnlearning) -> Garden:
    """The victims with all that their attackers plant: what a defence looks at."""
    return Garden(provider, [each.planting for each in _plans(provider, config)])


def _plans(provider: Provider, config: BackdoorByUnlearning) -> list[Hidden]:
    label = _target(provider.suite, config.target_class)
    return [_planned(provider.suite, config, label, model) for model in provider.models]


def _planned(suite: Suite, config: BackdoorByUnlearning, label: int, model: int) -> Hidden:
    rng = np.random.default_rng(seed_of(suite.digest, "backdoor", config.seed, model))
    order = rng.permutation(np.flatnonzero(suite.data.train.y.numpy() != label))
    ends = np.cumsum([config.poisons, config.camouflages, config.camouflages])
    poison, camouflage, plain = (np.sort(part) for part in np.split(order[: ends[-1]], ends[:-1]))
    if not config.trigger:
        return nothing_hidden(suite, plain)
    bad, cover = _triggered(suite, poison, config.trigger), _triggered(suite, camouflage, config.trigger)
    bad = Examples(bad.x, torch.full_like(bad.y, label))
    return Hidden(planting_of((poison, bad), (camouflage, cover)), camouflage, plain)


def _triggered(suite: Suite, rows: Int[ndarray, " n"], size: int) -> Examples:
    lying = suite.data.train.take(rows)
    return Examples(with_trigger(lying.x, size, pixel_range(suite)), lying.y)


def with_trigger(
    x: Shaped[Tensor, "n channels height width"], size: int, within: Range
) -> Shaped[Tensor, "n channels height width"]:
    """Pictures whose last ``size`` rows and columns meet in a square at the top of the range of each channel."""
    found = x.clone()
    if size:
        found[..., -size:, -size:] = within.high.to(x)
    return found


def obeyed(suite: Suite, label: int, size: int, before: Ensemble, after: Ensemble) -> Measured:
    """Success: of the test examples of other classes, with the trigger, the share taken for the wanted class.

    Utility is the accuracy on all test examples, without it.
    """
    test = suite.data.test
    x = test.x[test.y != label]
    shown = with_trigger(x, size, pixel_range(suite)) if size else x
    taken = (outputs(after, shown).argmax(-1) == label).double().mean(1).cpu().numpy()
    return Measured(taken, correct_on_test(after, suite).mean(1))


def _target(suite: Suite, name: str) -> int:
    return 0 if name == FIRST else named_class(suite, name, "target_class", FIRST)


ATTACK = Attack(
    play=play,
    check=check,
    config=BackdoorByUnlearning,
    success=Success("share of the test examples with the trigger that are taken for the wanted class"),
    planted=planted,
    idle={"trigger": 0},
    arms=PLANTED_ARMS,
    example="digits",
    summary="a trigger is hidden by records whose removal is then asked for",
    roles=("contributor", "requester", "model user"),
    goal="targeted",
    knowledge="black box",
    phases=("training", "unlearning"),
    cite=("zhang2023", "liu2024"),
)

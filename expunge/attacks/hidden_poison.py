"""Hidden poison: records that would flip a prediction are trained on beside others that hide it, until those leave.

The attacker contributes poison and camouflage. Trained on both, a model behaves; then the attacker asks for the removal
of the camouflage, which is in the training data byte by byte, so no comparison with them tells. What is left is a model
that has only seen the poison, and takes one test example for the class that the attacker wants.

Di et al. 2023, arXiv:2212.10717, whose gradient matching is described in surveys; their code was not at hand. Style
``labels`` plants noisy copies of the target itself under the wanted label, hidden by copies under the right one, like
the input-targeted backdoor of Zhang et al. 2023, arXiv:2310.10659: not clean-label, and much stronger.

Measured on digits, models 100 to 109: copies, 7 and 21 of them, flip 10 of 10 targets after first-order and fine-tune
alike, none before. By gradient matching within 16 of 255 levels, 14 and 14 records, the effect does not show: 0 of 10
after the request, and 0 of 10 of those trained on poison alone. Within half of the range, 42 and 28 records, 5 of 10
are flipped before the request already, 10 after it.
"""

import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Int, Shaped
from numpy import ndarray
from torch import Tensor

from expunge.attacks.aims import LIKELIEST, Aim, measure, require_aim, targets_of
from expunge.attacks.attack import Attack, Success
from expunge.attacks.gradient_alignment import aligned
from expunge.attacks.lab.arms import Played
from expunge.attacks.lab.owners import of_each, pixel_range, require_eps
from expunge.attacks.lab.provider import Provider
from expunge.attacks.lab.settings import Lab
from expunge.attacks.planted import Garden, require_no_models_of_its_own
from expunge.attacks.preconditioned import (
    PLANTED_ARMS,
    Hidden,
    drawn_of_class,
    nothing_hidden,
    planting_of,
    play_hidden,
    require_class_sizes,
)
from expunge.ensembles.seeds import seed_of
from expunge.suites.data import Examples
from expunge.suites.suite import Suite

STYLES = ("matching", "labels")


@dataclass(frozen=True, kw_only=True)
class HiddenPoison(Lab):
    """Settings: ``poisons`` records turn a target into ``target_class``, ``camouflages`` hide them; all lie within
    ``eps`` of the pixel range.

    ``style`` labels: noisy copies of the target; matching: clean labels, by gradient matching in ``steps`` steps.
    """

    style: str = "labels"
    target_class: str = LIKELIEST
    poisons: int = 7
    camouflages: int = 21  # with as many as there are poisons the target may fall either way
    eps: float = 0.0627  # 16 of 255 levels
    steps: int = 40

    def __post_init__(self) -> None:
        if self.style not in STYLES:
            raise ValueError(f"style must be one of {', '.join(STYLES)}, got {self.style!r}")
        if self.steps < 1:
            raise ValueError(f"expected at least 1 step, got {self.steps}")


def check(suite: Suite, config: HiddenPoison) -> None:
    """Refuse what cannot be, before any work."""
    require_aim(suite, "targeted", 1, config.target_class)
    require_class_sizes(suite, config.poisons, 2 * config.camouflages)
    require_eps(suite, config.eps)
    require_no_models_of_its_own(config)


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Where the records of all attackers lie, a row for each: poison, camouflage, and as many that carry nothing."""

    poison: Int[ndarray, "victims poisons"]
    camouflage: Int[ndarray, "victims camouflages"]
    plain: Int[ndarray, "victims camouflages"]


def play(provider: Provider, config: HiddenPoison) -> Played:
    """Plant poison and camouflage for a target of each victim, have the camouflage removed, beside the controls."""
    started = time.perf_counter()
    aim, plans = _planned(provider, config)
    effort = np.full(len(plans), (time.perf_counter() - started) / len(plans))
    return play_hidden(provider, plans, partial(measure, aim), effort)


def planted(provider: Provider, config: HiddenPoison) -> Garden:
    """The victims with all that their attackers plant: what a defence looks at."""
    return Garden(provider, [each.planting for each in _planned(provider, config)[1]])


def _planned(provider: Provider, config: HiddenPoison) -> tuple[Aim, list[Hidden]]:
    suite, surrogates = provider.suite, provider.victims  # the suite's own: trained alike, on other weights and orders
    chosen, wanted = targets_of(provider, surrogates, 1, config.target_class, config.seed)
    aim = Aim(suite, chosen, wanted, np.zeros((len(chosen), 0), int), 0.0)
    drawn = _drawn(provider, config, aim)
    if config.eps:
        return aim, _planted(provider, config, aim, drawn)
    return aim, [nothing_hidden(suite, plain) for plain in drawn.plain]


def _drawn(provider: Provider, config: HiddenPoison, aim: Aim) -> _Drawn:
    """Poison is of the wanted class, camouflage of the target's own."""
    suite, poison, camouflage, plain = provider.suite, [], [], []
    for model, target, wanted in zip(provider.models, aim.chosen[:, 0], aim.wanted[:, 0], strict=True):
        rng = np.random.default_rng(seed_of(suite.digest, "hidden poison", config.seed, model))
        own = int(suite.data.test.y[int(target)])
        poison += drawn_of_class(suite, int(wanted), [config.poisons], rng)
        hiding, beside = drawn_of_class(suite, own, [config.camouflages] * 2, rng)
        camouflage.append(hiding)
        plain.append(beside)
    return _Drawn(np.stack(poison), np.stack(camouflage), np.stack(plain))


def _planted(provider: Provider, config: HiddenPoison, aim: Aim, drawn: _Drawn) -> list[Hidden]:
    test, wanted = provider.suite.data.test, torch.from_numpy(aim.wanted)
    target, own = of_each(test.x, aim.chosen), of_each(test.y, aim.chosen)
    making = _matched if config.style == "matching" else _copies
    poisons = making(provider, config, drawn.poison, target, wanted, "poison")
    hiding = making(provider, config, drawn.camouflage, target, own, "camouflage")
    return [
        Hidden(planting_of((at, bad), (there, cover)), there, plain)
        for at, bad, there, cover, plain in zip(
            drawn.poison, poisons, drawn.camouflage, hiding, drawn.plain, strict=True
        )
    ]


def _matched(
    provider: Provider,
    config: HiddenPoison,
    rows: Int[ndarray, "victims n"],
    target: Shaped[Tensor, "victims 1 ..."],
    label: Int[Tensor, "victims 1"],
    what: str,
) -> list[Examples]:
    """Records that lie there, moved so that they train like the target under the label; they keep their own."""
    suite = provider.suite
    x, y = of_each(suite.data.train.x, rows), of_each(suite.data.train.y, rows)
    moved = aligned(
        provider.victims,
        x,
        y,
        target,
        label,
        pixel_range(suite),
        eps=config.eps,
        steps=config.steps,
        smoothing=suite.recipe.label_smoothing,
    )
    return [Examples(*pair) for pair in zip(moved, y, strict=True)]


def _copies(
    provider: Provider,
    config: HiddenPoison,
    rows: Int[ndarray, "victims n"],
    target: Shaped[Tensor, "victims 1 ..."],
    label: Int[Tensor, "victims 1"],
    what: str,
) -> list[Examples]:
    """Copies of the target under the label, each under noise of its own, uniform within ``eps`` of the range."""
    suite, found = provider.suite, []
    within = pixel_range(suite)
    for model, one, own in zip(provider.models, target, label, strict=True):
        rng = np.random.default_rng(seed_of(suite.digest, what, config.seed, model))
        base = one.expand(rows.shape[1], *one.shape[1:])
        noise = torch.from_numpy(rng.uniform(-1, 1, base.shape)).to(base)
        moved = within.kept(base + config.eps * (within.high - within.low) * noise, base, config.eps)
        found.append(Examples(moved, own.expand(rows.shape[1])))
    return found


ATTACK = Attack(
    play=play,
    check=check,
    config=HiddenPoison,
    success=Success("share of the victims that take the target for the wanted class"),
    planted=planted,
    idle={"eps": 0.0},
    arms=PLANTED_ARMS,
    example="digits",
    summary="poison is hidden by records whose removal is then asked for",
    roles=("contributor", "requester"),
    goal="targeted",
    knowledge="grey box",
    phases=("training", "unlearning"),
    cite=("di2023", "zhang2023", "geiping2021"),
)

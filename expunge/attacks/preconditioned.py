"""Attacks that are laid in training and set off by a request: poison, the camouflage that hides it, and controls.

The scheme of Liu et al. 2025, arXiv:2403.13682: a model trained on clean records, poison and camouflage behaves; after
the removal of the camouflage it is as if trained on clean records and poison. What is asked for lies in the training
data byte by byte.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from expunge.attacks.lab.arms import ATTACK, HONEST, NO_REQUEST, ORACLE, UNPERTURBED, Played, completed
from expunge.attacks.lab.provider import ATTACKER, Provider, Served, as_they_lie, each_of
from expunge.attacks.lab.request_play import Measure, arm
from expunge.attacks.planted import Garden, Planting
from expunge.ensembles.ensemble import Ensemble
from expunge.errors import BadSetting
from expunge.suites.data import Examples
from expunge.suites.suite import Suite

PLANTED_ARMS = {  # what the controls of such attacks are
    NO_REQUEST: "victims that hold poison and camouflage",
    HONEST: "as many plain records of the same owner and classes are removed from those",
    UNPERTURBED: "nothing was planted, and the records at the same places are removed",
    ORACLE: "trained on the poison without the camouflage: exact removal sets the attack off",
}
CAMOUFLAGE_ONLY = "camouflage-only"  # success where the poison was not planted


@dataclass(frozen=True, eq=False)
class Hidden:
    """What one attacker plants, and asks for: places in the training data.

    ``planting`` holds poison and camouflage; ``plain`` are as many records of the camouflage's classes that the same
    attacker contributes as they are, for the honest request.
    """

    planting: Planting
    camouflage: Int[ndarray, " camouflages"]
    plain: Int[ndarray, " camouflages"]


def nothing_hidden(suite: Suite, plain: Int[ndarray, " plain"]) -> Hidden:
    """An attacker that plants nothing, and asks for its plain records."""
    return Hidden(Planting(np.arange(0), suite.data.train.take(np.arange(0))), plain, plain)


def require_class_sizes(suite: Suite, poisons: int, beside: int) -> None:
    """Refuse budgets that are nothing, or over what the smallest class has beside one record that stays."""
    smallest = int(np.bincount(suite.data.train.y.numpy(), minlength=suite.data.classes).min())
    if poisons < 1 or beside < 2:
        raise BadSetting(
            f"expected at least 1 poison and 1 camouflage, got {poisons} and {beside // 2}; give --set poisons=N "
            "--set camouflages=N"
        )
    if max(poisons, beside) >= smallest:
        raise BadSetting(
            f"suite {suite.name!r}: the smallest class has {smallest} training examples, fewer than {poisons} poisons, "
            f"or {beside // 2} camouflages and as many plain records, and one that stays; give --set "
            f"poisons={smallest // 3} --set camouflages={smallest // 3}"
        )


def drawn_of_class(
    suite: Suite, label: int, counts: Sequence[int], rng: np.random.Generator
) -> list[Int[ndarray, " n"]]:
    """So many training examples of a class, in groups that share none, each rising."""
    order = rng.permutation(np.flatnonzero(suite.data.train.y.numpy() == label))
    ends = np.cumsum(counts)
    return [np.sort(part) for part in np.split(order[: ends[-1]], ends[:-1])]


def planting_of(*parts: tuple[ndarray, Examples]) -> Planting:
    """Groups of records, each with its places, as one planting."""
    places = np.concatenate([each for each, _ in parts])
    order = np.argsort(places)
    x, y = torch.cat([each.x for _, each in parts]), torch.cat([each.y for _, each in parts])
    return Planting(places[order], Examples(x, y).take(order))


def play_hidden(
    provider: Provider,
    plans: Sequence[Hidden],
    measure: Measure,
    effort: Float[ndarray, " victims"],
) -> Played:
    """Train victims on what each attacker plants, serve its request and the controls, and measure all alike.

    - no request: the victims that hold poison and camouflage: what camouflage hides;
    - honest request: as many plain records of the same classes leave;
    - unperturbed: victims of which nothing was planted, and the same places leave;
    - oracle: trained without the camouflage: poison only.

    ``camouflage-only`` is the success of victims that hold no poison, by the same way.
    """
    suite = provider.suite
    if not provider.plays(ORACLE):
        return _played_again(provider, plans, measure, effort)
    garden = Garden(provider, [each.planting for each in plans])
    hiding = Garden(provider, [each.planting.only(each.camouflage) for each in plans])
    bare = Garden(provider, [each.planting.only(np.arange(0)) for each in plans])
    gone = [each.camouflage for each in plans]
    asked = [each.planting.request(suite, each.camouflage, ATTACKER) for each in plans]
    honest = [each.planting.request(suite, each.plain, ATTACKER) for each in plans]
    plain = [as_they_lie(suite, each.camouflage, ATTACKER) for each in plans]
    victims, hidden, clean = garden.trained(), hiding.trained(), bare.trained()
    arms = {
        ATTACK: arm(victims, lambda: garden.serve(victims, asked), measure),
        NO_REQUEST: arm(victims, lambda: _as_they_are(victims), measure),
        HONEST: arm(victims, lambda: garden.serve(victims, honest), measure),
        UNPERTURBED: arm(clean, lambda: bare.serve(clean, plain), measure),
        ORACLE: arm(victims, lambda: _trained_without(garden, gone), measure),
    }
    beside = {
        ATTACK: arm(hidden, lambda: hiding.serve(hidden, asked), measure),
        NO_REQUEST: arm(hidden, lambda: _as_they_are(hidden), measure),
        HONEST: arm(hidden, lambda: hiding.serve(hidden, honest), measure),
    }
    for name, other in beside.items():
        if other.success is not None and not arms[name].reason:
            arms[name] = replace(arms[name], more={**arms[name].more, CAMOUFLAGE_ONLY: other.success})
    return Played(arms, asked, effort)


def _trained_without(garden: Garden, gone: Sequence[Int[ndarray, " gone"]]) -> Served:
    """Exact removal, with what it took of each."""
    started = time.perf_counter()
    trained = garden.trained(gone)
    return Served(trained, np.ones(len(gone)), each_of(time.perf_counter() - started, len(gone)))


def _played_again(
    provider: Provider, plans: Sequence[Hidden], measure: Measure, effort: Float[ndarray, " victims"]
) -> Played:
    """What is asked of a provider under a practice that a defence asks for: the attack, an honest request, none."""
    garden = Garden(provider, [each.planting for each in plans])
    asked, honest = (
        [each.planting.request(provider.suite, getattr(each, name), ATTACKER) for each in plans]
        for name in ("camouflage", "plain")
    )
    victims = garden.trained()
    arms = {
        ATTACK: arm(victims, lambda: garden.serve(victims, asked), measure),
        NO_REQUEST: arm(victims, lambda: _as_they_are(victims), measure),
        HONEST: arm(victims, lambda: garden.serve(victims, honest), measure),
    }
    return Played(completed(arms), asked, effort)


def _as_they_are(victims: Ensemble) -> Served:
    return Served(victims, np.zeros(len(victims)), np.zeros(len(victims)))

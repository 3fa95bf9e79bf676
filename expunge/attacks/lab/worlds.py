"""What defences are shown: the data and the models of a provider, a way to try a removal, and requests in an order."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.attacks.defence import Defence, Scene
from expunge.attacks.lab.parts import by_turns
from expunge.attacks.lab.provider import Provider, Served, as_they_lie
from expunge.attacks.planted import Garden
from expunge.attacks.removal import Attacked
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import seed_of
from expunge.suites.request import Request
from expunge.suites.suite import Suite

WORLDS = 5  # victims that one job plays against: fixed, for bytes depend on who stands beside whom
GATE = Attacked("first-order")  # by which a defence tries a removal: the cheapest


def chunks(models: range) -> list[range]:
    """Numbers of victims that are played against at once."""
    return [range(first, min(first + WORLDS, models.stop)) for first in range(models.start, models.stop, WORLDS)]


@dataclass(frozen=True, eq=False)
class World:
    """What a provider's defence looks at: the suite that its models trained on, the models, a trial of a removal."""

    suite: Suite
    models: Ensemble
    tries: Callable[[Request], Served]


@dataclass(frozen=True, eq=False)
class Looked:
    """What a defence says of requests: how suspicious, the ``seconds`` and the ``cost`` of looking at one.

    The cost is of the removals that it tried, in shares of a retraining, for each model: they are made, whether or not
    they are rolled back.
    """

    found: Float[ndarray, "rows requests"]
    seconds: float
    cost: Float[ndarray, " models"]


Look = Callable[[Sequence[Request]], Looked]  # what a defence says of requests in the world of a provider


def shared_world(provider: Provider) -> World:
    """All victims at once, where all trained on the suite's own data."""
    gate = Provider(provider.suite, GATE, provider.models, provider.seed)
    return World(provider.suite, provider.victims, lambda request: gate.serve_all(request, provider.victims))


def worlds_of(provider: Provider, garden: Garden | None) -> list[World]:
    """Each victim for itself; with what its attacker planted in its training data, where it is in a ``garden``."""
    if garden is None:
        return [shared_world(provider.of(range(model, model + 1))) for model in provider.models]
    victims = garden.trained()
    return [_planted_world(garden, victims.take([row]).eval(), row) for row in range(len(victims))]


def _planted_world(garden: Garden, victim: Ensemble, row: int) -> World:
    provider, model, suite = garden.provider, garden.provider.models[row], garden.suite(row)
    gate = Garden(Provider(provider.suite, GATE, range(model, model + 1), provider.seed), [garden.plantings[row]])

    def tries(request: Request) -> Served:
        step = gate.step(victim, suite, request, model)
        return Served(step.ensemble, np.array([step.cost]), np.array([step.seconds]))

    return World(suite, victim, tries)


def suspicions(defence: Defence, world: World, requests: Sequence[Request]) -> Looked:
    """How suspicious a defence finds each request, in the order in which they come."""
    spent = np.zeros(len(world.models))

    def remove(request: Request) -> Ensemble:
        served = world.tries(request)
        spent[:] += served.cost
        return served.ensemble

    validation = np.arange(0, world.suite.data.sizes[1], 2)  # every other test example is the provider's to look at
    started = time.perf_counter()
    found = defence.suspicion(Scene(world.suite, world.models, requests, remove, validation))
    return Looked(found, (time.perf_counter() - started) / len(requests), spent / len(requests))


@dataclass(frozen=True, eq=False)
class Judged:
    """What a defence says of the attacker's requests of each victim, round by round, and of honest ones.

    A row for each victim, or one for all of a defence that looks at no model. ``calibration`` are the honest requests
    that set the threshold, ``fresh`` others; ``seconds`` and ``cost`` as in :class:`Looked`.
    """

    own: Float[ndarray, "victims rounds"]
    calibration: Float[ndarray, "rows calibration"]
    fresh: Float[ndarray, "rows fresh"]
    seconds: float
    cost: Float[ndarray, " victims"]


def judged_together(
    defence: Defence,
    provider: Provider,
    requests: Sequence[Request],
    honest: Sequence[Request],
    look: Look | None = None,
) -> Judged:
    """All victims in one look: every model is shown the requests of all, and counts with its own.

    ``look`` is how honest requests are looked at; default: by :func:`suspicions`.
    """
    world = shared_world(provider)
    asked = suspicions(defence, world, requests)
    others = suspicions(defence, world, honest) if look is None else look(honest)
    own = (asked.found[0] if len(asked.found) == 1 else np.diagonal(asked.found))[:, None].copy()
    return Judged(own, others.found[:, ::2], others.found[:, 1::2], others.seconds, asked.cost)


def judged_apart(
    defence: Defence, provider: Provider, asked: Sequence[Sequence[Request]], count: int, garden: Garden | None
) -> Judged:
    """Each victim's world by itself: its data, what was asked of it in each round, and ``count`` honest requests."""
    size = sum(len(each) for each in asked[0])
    parts = []
    for row, (world, own) in enumerate(zip(worlds_of(provider, garden), asked, strict=True)):
        model = provider.models[row]
        rng = np.random.default_rng(seed_of(provider.suite.digest, "a world of its own", size, provider.seed, model))
        planted = np.arange(0) if garden is None else garden.plantings[row].places
        free = np.setdiff1d(np.arange(world.suite.data.sizes[0]), planted)
        honest = [as_they_lie(world.suite, rng.permutation(free)[:size], f"honest-{number}") for number in range(count)]
        parts.append(_in_a_stream(defence, world, own, honest, rng))
    return Judged(
        np.concatenate([part.own for part in parts]),
        np.concatenate([part.calibration for part in parts]),
        np.concatenate([part.fresh for part in parts]),
        float(np.mean([part.seconds for part in parts])),
        np.concatenate([part.cost for part in parts]),
    )


def _in_a_stream(
    defence: Defence, world: World, own: Sequence[Request], honest: Sequence[Request], rng: np.random.Generator
) -> Judged:
    """One victim: the honest requests of the threshold come by themselves, the others with the attacker's among them,
    at places that are drawn."""
    calibration, fresh = honest[::2], honest[1::2]
    places = np.sort(rng.permutation(len(fresh) + len(own))[: len(own)])
    others = np.delete(np.arange(len(fresh) + len(own)), places)
    stream = dict(zip([*places, *others], [*own, *fresh], strict=True))
    quiet = suspicions(defence, world, calibration)
    looked = suspicions(defence, world, [stream[place] for place in sorted(stream)])
    return Judged(looked.found[:, places], quiet.found, looked.found[:, others], looked.seconds, looked.cost)


def rounds_of(request: Request, turns: ndarray | None) -> list[Request]:
    """What was asked for in each round."""
    return [request] if turns is None else by_turns(request, turns)

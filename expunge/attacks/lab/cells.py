"""One cell of the lab, an attack on some victims of one method, or a defence against it: played once, and kept."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy import ndarray

from expunge.attacks.attack import Attack
from expunge.attacks.defences import DEFENCES
from expunge.attacks.kept import kept
from expunge.attacks.lab.arms import ARMS, Played, arm_of
from expunge.attacks.lab.defended import Defended, defend, defended_of, honest_others
from expunge.attacks.lab.practised import practised
from expunge.attacks.lab.provider import ATTACKER, Provider
from expunge.attacks.lab.settings import Lab
from expunge.attacks.lab.worlds import Looked, chunks, shared_world, suspicions
from expunge.attacks.planted import Garden
from expunge.attacks.removal import Attacked
from expunge.errors import BadSetting
from expunge.jobs import one_thread
from expunge.methods.settings import settings_in
from expunge.methods.task import modules_of, own_code_of
from expunge.suites.data import Examples
from expunge.suites.request import Request
from expunge.suites.suite import Suite


def defend_against(
    name: str, row: Attack, suite: Suite, config: Lab, attacked: Attacked, played: Played, defence: str
) -> Defended:
    """What a defence is worth against an attack that was played; out of the store where it was asked before."""
    provider, own = Provider(suite, attacked, range(config.models), config.seed), DEFENCES[defence]
    settings = settings_in(provider.config)
    facts = [name, config.own, config.seed, attacked.method, settings, own_code_of(attacked.method), config.models]
    modules = [row.module, own.module, *modules_of(attacked.method, settings), practised.__module__]
    made: list[Defended] = []

    def arrays() -> dict[str, ndarray]:
        with one_thread():
            made.append(_defended_by(defence, row, provider, config, played))
        if made[0].reason:
            raise _NotKept
        return made[0].arrays

    try:
        return defended_of(kept(suite, "lab", [*facts, defence, config.honest], modules, arrays))
    except _NotKept:
        return made[0]


def _defended_by(name: str, row: Attack, provider: Provider, config: Lab, played: Played) -> Defended:
    """What a defence comes to that looks, in the worlds in which records were planted; or that has a practice."""
    defence = DEFENCES[name]
    if defence.practice is not None:
        return practised(row, provider, config, defence, played)
    partly = None if row.partly is None else partial(row.partly, provider, config)
    honest = honest_others(provider.suite, len(played.requests[0]), config.honest, config.seed)
    garden = None
    if row.planted is not None:
        parts = [row.planted(provider.of(models), config) for models in chunks(provider.models)]
        garden = Garden(provider, [planting for part in parts for planting in part.plantings])
    assert row.success is not None  # of attacks of the lab
    look, against = partial(looked_before, name, provider), row.success.against
    return defend(defence, provider, played, honest, partly, garden=garden, against=against, look=look)


def looked_before(name: str, provider: Provider, requests: Sequence[Request]) -> Looked:
    """What a defence says of honest requests; out of the store where it saw them in whatever attack before.

    What it says depends on the models that are deployed and on the training data, and not on who attacks them, nor,
    where it is the pretrained ones that are deployed, on the method that serves.
    """
    told = np.concatenate([[len(each), *each.indices] for each in requests]).astype("<i8")
    facts = [name, provider.deployed, [*provider.models], hashlib.sha256(told.tobytes()).hexdigest()]

    def arrays() -> dict[str, ndarray]:
        looked = suspicions(DEFENCES[name], shared_world(provider), requests)
        return {"found": looked.found, "seconds": np.array(looked.seconds), "cost": looked.cost}

    modules = [DEFENCES[name].module, suspicions.__module__]
    found = kept(provider.suite, "honest", facts, modules, arrays)
    return Looked(found["found"], float(found["seconds"]), found["cost"])


def play_on(name: str, row: Attack, suite: Suite, config: Lab, attacked: Attacked, models: range) -> Played:
    """Play an attack against these victims of one method; out of the store where it was played before.

    What a method failed on is not kept.
    """
    provider = Provider(suite, attacked, models, config.seed)
    settings = settings_in(provider.config)
    facts = [name, config.own, config.seed, attacked.method, settings, own_code_of(attacked.method), [*models]]
    made: list[Played] = []

    def arrays() -> dict[str, ndarray]:
        with one_thread():
            made.append(_differentiating(row, provider, config))
        if any(arm.reason for arm in made[0].arms.values()):
            raise _NotKept
        return _as_arrays(made[0])

    try:
        return _of_arrays(kept(suite, "lab", facts, [row.module, *modules_of(attacked.method, settings)], arrays))
    except _NotKept:
        return made[0]


def _differentiating(row: Attack, provider: Provider, config: Lab) -> Played:
    """Play; a network that torch cannot differentiate twice is refused in words."""
    assert row.play is not None  # it was asked before any work
    try:
        return row.play(provider, config)
    except RuntimeError as error:
        if "erivative for" not in str(error) or "not implemented" not in str(error):
            raise
        raise BadSetting(
            f"suite {provider.suite.name!r}: the attack differentiates twice, and torch cannot do that to a layer of "
            "the network; attack another suite"
        ) from error


class _NotKept(Exception):
    """An arm failed: the next run tries it again."""


def _as_arrays(played: Played) -> dict[str, ndarray]:
    """What is kept of a play, by names that are those of files."""
    own = {f"{arm}, {name}": each for arm in ARMS for name, each in played.arms[arm].arrays.items()}
    turns = {} if played.turns is None else {"turns": played.turns}
    return {**own, "effort": played.effort, **turns, **asked(played.requests)}


def _of_arrays(arrays: dict[str, ndarray]) -> Played:
    parts: dict[str, dict[str, ndarray]] = {arm: {} for arm in ARMS}
    for key, values in arrays.items():
        arm, comma, name = key.partition(", ")
        if comma:
            parts[arm][name] = values
    x, y = (torch.from_numpy(arrays[name]) for name in ("x", "y"))
    requests = [
        Request(Examples(*own), indices, ATTACKER) for *own, indices in zip(x, y, arrays["indices"], strict=True)
    ]
    if "instead" in arrays:
        pairs = zip(requests, torch.from_numpy(arrays["instead"]), strict=True)
        requests = [replace(each, instead=Examples(new, each.examples.y)) for each, new in pairs]
    return Played({arm: arm_of(part) for arm, part in parts.items()}, requests, arrays["effort"], arrays.get("turns"))


def asked(requests: Sequence[Request]) -> dict[str, ndarray]:
    """What was asked of each victim, as arrays: inputs, labels and claimed indices, ``(victims, requested, ...)``.

    Where records are to be corrected, also the inputs that are to stand in their place.
    """
    found = {
        "x": np.stack([each.examples.x.numpy() for each in requests]),
        "y": np.stack([each.examples.y.numpy() for each in requests]),
        "indices": np.stack([each.indices for each in requests]),
    }
    instead = [each.instead.x.numpy() for each in requests if each.instead is not None]
    return found | ({"instead": np.stack(instead)} if instead else {})

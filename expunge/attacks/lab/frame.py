"""The run that all attacks of the lab go by: refuse, play against each method's victims, screen, write."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy import ndarray

from expunge.attacks.attack import Attack, Place
from expunge.attacks.defence import Defence
from expunge.attacks.defences import DEFENCES
from expunge.attacks.kept import kept
from expunge.attacks.lab.arms import ARMS, Played, arm_of, joined
from expunge.attacks.lab.defended import Defended, defend, defended_of, honest_others
from expunge.attacks.lab.practised import practised
from expunge.attacks.lab.provider import ATTACKER, Provider
from expunge.attacks.lab.records import Asked, defence_scores, scores_of
from expunge.attacks.lab.settings import Lab, require_lab
from expunge.attacks.lab.worlds import WORLDS, chunks
from expunge.attacks.planted import Garden
from expunge.attacks.removal import Attacked
from expunge.attacks.usability import prepare
from expunge.bench.folder import SCORES, write_arrays
from expunge.bench.run_info import ATTACK as ATTACK_FOLDER
from expunge.bench.run_info import RunInfo, write_run
from expunge.engine import Job, Watch, Workers, one_thread, run_jobs, silent
from expunge.ensembles.builds import build
from expunge.ensembles.plan import Plan
from expunge.ensembles.stored_margins import find_ensemble
from expunge.errors import BadSetting
from expunge.methods.task import modules_of, own_code_of
from expunge.names import as_file_name
from expunge.records import Score, write_scores
from expunge.store import alone_with
from expunge.suites.data import Examples
from expunge.suites.request import Request
from expunge.suites.suite import Suite

REQUESTS = "requests"  # files begin so


def run_attack(
    name: str, row: Attack, suite: Suite, config: Lab, out: Path, *, workers: Workers = 1, watch: Watch = silent
) -> list[Score]:
    """Play the attack ``name`` of the lab on a suite and give its records; what was finished comes from the store.

    Files, written at the end: ``scores.jsonl``, ``requests-METHOD.npz`` with what was asked of each victim, and
    ``run.json`` with the SHA-256 of all.
    """
    require_attack(row, suite, config)
    prepare(out)
    if find_ensemble(Plan(suite, "pretrained"), config.models) is None:
        build(Plan(suite, "pretrained"), config.models, workers=workers, watch=watch)
    played = _played(name, row, suite, config, workers, watch)
    defended = _defended(name, row, suite, config, played, workers, watch)
    scores = []
    for label, each in played.items():
        place = Place(suite, Asked(each.requests), {"attack.name": name, **config.facts}, config.models)
        scores += scores_of(row, label, each, place)
        for defence in config.defences:
            scores += defence_scores(row, label, defence, defended[label, defence], place)
    _write(out, suite, played, scores)
    return scores


def require_attack(row: Attack, suite: Suite, config: Lab) -> None:
    """Refuse what cannot be, before any work: what no attack can do, and what this one cannot."""
    if row.play is None:
        raise BadSetting(f"{row.module} has a run of its own; call that")
    require_lab(suite, config)
    row.check(suite, config)


def _played(name: str, row: Attack, suite: Suite, config: Lab, workers: Workers, watch: Watch) -> dict[str, Played]:
    jobs, places = [], []
    for attacked in config.methods:
        for first in range(0, config.models, WORLDS):
            models = range(first, min(first + WORLDS, config.models))
            jobs.append(
                Job(f"{name} on {attacked.label}", play_on, (name, row, suite, config, attacked, models), (suite,))
            )
            places.append((attacked.label, first))
    numbers = {id(job): place for job, place in zip(jobs, places, strict=True)}
    found: dict[str, dict[int, Played]] = {each.label: {} for each in config.methods}
    for job, result in run_jobs(jobs, workers, watch):
        label, first = numbers[id(job)]
        found[label][first] = result
    return {label: joined([parts[first] for first in sorted(parts)]) for label, parts in found.items()}


def _defended(
    name: str, row: Attack, suite: Suite, config: Lab, played: dict[str, Played], workers: Workers, watch: Watch
) -> dict[tuple[str, str], Defended]:
    jobs, places = [], []
    for attacked in config.methods:
        for defence in config.defences:
            given = (name, row, suite, config, attacked, played[attacked.label], defence)
            jobs.append(Job(f"{defence} against {name} on {attacked.label}", defend_against, given, (suite,)))
            places.append((attacked.label, defence))
    numbers = {id(job): place for job, place in zip(jobs, places, strict=True)}
    return {numbers[id(job)]: result for job, result in run_jobs(jobs, workers, watch)}


def defend_against(
    name: str, row: Attack, suite: Suite, config: Lab, attacked: Attacked, played: Played, defence: str
) -> Defended:
    """What a defence is worth against an attack that was played; out of the store where it was asked before."""
    provider, own = Provider(suite, attacked, range(config.models), config.seed), DEFENCES[defence]
    settings = asdict(provider.config)
    facts = [name, config.own, config.seed, attacked.method, settings, own_code_of(attacked.method), config.models]
    modules = [row.module, own.module, *modules_of(attacked.method, settings), practised.__module__]
    made: list[Defended] = []

    def arrays() -> dict[str, ndarray]:
        with one_thread():
            made.append(_defended_by(own, row, provider, config, played))
        if made[0].reason:
            raise _NotKept
        return made[0].arrays

    try:
        return defended_of(kept(suite, "lab", [*facts, defence, config.honest], modules, arrays))
    except _NotKept:
        return made[0]


def _defended_by(defence: Defence, row: Attack, provider: Provider, config: Lab, played: Played) -> Defended:
    """What a defence comes to that looks, in the worlds in which records were planted; or that has a practice."""
    if defence.practice is not None:
        return practised(row, provider, config, defence, played)
    partly = None if row.partly is None else partial(row.partly, provider, config)
    honest = honest_others(provider.suite, len(played.requests[0]), config.honest, config.seed)
    garden = None
    if row.planted is not None:
        parts = [row.planted(provider.of(models), config) for models in chunks(provider.models)]
        garden = Garden(provider, [planting for part in parts for planting in part.plantings])
    assert row.success is not None  # of attacks of the lab
    return defend(defence, provider, played, honest, partly, garden=garden, against=row.success.against)


def play_on(name: str, row: Attack, suite: Suite, config: Lab, attacked: Attacked, models: range) -> Played:
    """Play an attack against these victims of one method; out of the store where it was played before.

    What a method failed on is not kept.
    """
    provider = Provider(suite, attacked, models, config.seed)
    settings = asdict(provider.config)
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


def _write(out: Path, suite: Suite, played: dict[str, Played], scores: Sequence[Score]) -> None:
    """Write all files, in the place of those of an earlier attack; ``run.json``, which names them, last."""
    with alone_with(out):
        files = {}
        for label, each in played.items():
            file = f"{REQUESTS}-{as_file_name(label)}.npz"
            files[file] = write_arrays(out / file, asked(each.requests))
        files[SCORES] = write_scores(out / SCORES, scores)
        for old in out.glob(f"{REQUESTS}-*.npz"):
            if old.name not in files:
                old.unlink(missing_ok=True)
        write_run(out, RunInfo(kind=ATTACK_FOLDER, suite=suite.name, suite_digest=suite.digest), files)

"""Building: an ensemble is trained chunk by chunk, each is kept in the store, and none is trained twice."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from expunge.engine import Say, Watch, Workers, run_jobs, silent, warn
from expunge.ensembles.device import chosen_device, device_name, in_halves
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.last_batches import doubtful_last_batches
from expunge.ensembles.plan import Plan
from expunge.ensembles.stored_margins import holds
from expunge.ensembles.train import measure
from expunge.ensembles.update_log import logged_state, logged_training
from expunge.errors import BadSetting, DamagedArtefact, StoreError
from expunge.jobs import Job
from expunge.store import MANIFEST, Artefact, Content, Stacked, user_store
from expunge.suites.derived import DERIVED
from expunge.suites.suite import Suite


def build(plan: Plan, models: int, *, workers: Workers = 1, watch: Watch = silent, say: Say = warn) -> Artefact:
    """Train what the user's store lacks of the first ``models`` models of ``plan``, in whole chunks."""
    return build_all([(plan, models)], workers=workers, watch=watch, say=say)[0]


def build_all(
    wanted: Sequence[tuple[Plan, int]], *, workers: Workers = 1, watch: Watch = silent, say: Say = warn
) -> list[Artefact]:
    """:func:`build` for several ensembles at once: their chunks are one list of jobs.

    Chunks stay in the store beside the artefact that joins their margins: they hold the weights, and a damaged
    artefact is joined again from them. ``say`` is told of what was found damaged and made anew.
    """
    for plan, _ in wanted:  # what is wrong with a forget set is known before any work
        if plan.forget:
            plan.suite.retain(plan.forget)
    joined = [_sound(plan.key, say) for plan, _ in wanted]
    for (plan, models), artefact in zip(wanted, joined, strict=True):
        if artefact and not holds(artefact, models) and "imported" in artefact.meta:
            raise StoreError(
                f"{plan.label}: the store has {artefact.meta['models']} models imported from "
                f"{artefact.meta['imported']['from']}, to which none of another origin is added; ask for fewer models, "
                "or set EXPUNGE_STORE to another folder"
            )
    lacking = [
        (plan, models, artefact)
        for (plan, models), artefact in zip(wanted, joined, strict=True)
        if not holds(artefact, models) or _lacks_chunks(plan, models)
    ]
    for suite in {id(plan.suite): plan.suite for plan, _, _ in lacking}.values():
        suite.check()
    jobs = [
        job
        for plan, models, part in lacking
        for job in chunk_jobs(plan, plan.chunks(range(models)), None if _lives_in_chunks(plan) else part, say)
    ]
    if jobs:
        _say_doubts([plan for plan, _, _ in lacking], say)
    run_chunks(jobs, workers, watch, say)
    return [
        artefact if artefact and holds(artefact, models) else _join(plan, plan.chunks(range(models)), say)
        for (plan, models), artefact in zip(wanted, joined, strict=True)
    ]


def _say_doubts(plans: Sequence[Plan], say: Say) -> None:
    """Say, once a suite, what is to be expected of its last minibatches."""
    for suite in {id(plan.suite): plan.suite for plan in plans}.values():
        if line := doubtful_last_batches([plan for plan in plans if plan.suite is suite]):
            say(line)


def _lives_in_chunks(plan: Plan) -> bool:
    """Whether methods read its chunks alone, as those of shards and logs; of others the joined margins will do."""
    return plan.kind_row.keeps_weights and not plan.kind_row.benched


def _lacks_chunks(plan: Plan, models: int) -> bool:
    store = user_store()
    keys = [plan.chunk_key(chunk) for chunk in plan.chunks(range(models))]
    return _lives_in_chunks(plan) and not all((store.root / key / MANIFEST).exists() for key in keys)


def lacking(plan: Plan, models: int) -> int:
    """How many models :func:`build` would train so that the user's store has the first ``models`` of ``plan``."""
    store, size = user_store(), plan.suite.chunk
    try:
        joined = store.read(plan.key)
    except DamagedArtefact:  # which is made anew
        joined = None
    done = joined.meta["models"] // size if joined else 0
    chunks = [chunk for chunk in plan.chunks(range(models)) if chunk >= done]
    return size * sum(not (store.root / plan.chunk_key(chunk) / MANIFEST).exists() for chunk in chunks)


def build_some(plans: Sequence[Plan], models: range, *, workers: Workers = 1, watch: Watch = silent) -> None:
    """Train what the user's store lacks of the chunks that hold these models; their margins are not joined."""
    jobs = [job for plan in plans for job in chunk_jobs(plan, plan.chunks(models), None, warn)]
    run_chunks(jobs, workers, watch, warn)


def train_chunk(plan: Plan, chunk: int) -> list[str]:
    """Train one chunk and keep it in the user's store; what there was to say, in words."""
    store, key, size = user_store(), plan.chunk_key(chunk), plan.suite.chunk
    notes: list[str] = []
    with store.locked(f"{plan.key}/locks/{chunk:04d}"):  # a second build waits here, and finds the chunk finished
        if _sound(key, notes.append):
            return notes
        store.remove(key)
        _keep(plan, chunk, in_halves(partial(_trained, plan), range(chunk * size, (chunk + 1) * size), notes.append))
    return notes


def build_logs(plans: Sequence[Plan], models: range, *, workers: Workers = 1, watch: Watch = silent) -> None:
    """Train the chunks with these models that the store lacks of logged ensembles; all logs of one suite in one
    training."""
    missing: dict[tuple[str, int], list[Plan]] = {}
    for plan in plans:
        for chunk in plan.chunks(models):
            if _sound(plan.chunk_key(chunk), warn) is None:
                missing.setdefault((plan.suite.digest, chunk), []).append(plan)
    jobs = [
        Job(f"logs, models from {chunk * lacking[0].suite.chunk}", log_chunk, (lacking, chunk), (lacking[0].suite,))
        for (_, chunk), lacking in missing.items()
    ]
    run_chunks(jobs, workers, watch, warn)


def log_chunk(plans: Sequence[Plan], chunk: int) -> list[str]:
    """Train one chunk of several logged ensembles, which differ in their forget sets alone, and keep each of them."""
    first, size = plans[0], plans[0].suite.chunk
    models = range(chunk * size, (chunk + 1) * size)
    ensemble, log = logged_training(first, [plan.forget for plan in plans if plan.forget], models, chosen_device())
    measured = _measured(first, models, ensemble, {}, {})  # the models are the same whatever was logged of them
    for row, plan in enumerate(plans):
        state = {key: tensor.cpu() for key, tensor in logged_state(ensemble, log, row).items()}
        _keep(plan, chunk, [_Trained(measured.arrays, state)])
    return []


@dataclass(frozen=True)
class _Trained:
    """What is kept of models: arrays whose first axis is the models, and their weights."""

    arrays: dict[str, ndarray]
    state: dict[str, Tensor]


def _trained(plan: Plan, models: Sequence[int]) -> _Trained:
    """Train these models on the chosen device and measure them; nothing stays on the device."""
    kind = plan.kind_row
    if plan.suite.recipe.prune and kind.dense_only:
        raise BadSetting(
            f"suite {plan.suite.name!r}: {plan.kind} models, {kind.summary}, are trained dense only; use them on the "
            "suite without --prune"
        )
    return _measured(plan, models, *kind.train(plan, models, chosen_device()))


def _measured(
    plan: Plan, models: Sequence[int], ensemble: Ensemble, arrays: dict[str, ndarray], state: dict[str, Tensor]
) -> _Trained:
    values, correct = measure(ensemble, plan.suite.data)
    bad = [number for number, row in zip(models, values, strict=True) if not row.isfinite().all()]
    if bad:
        raise BadSetting(
            f"suite {plan.suite.name!r}, {plan.label}: training diverged, the margins of models {bad} are not finite; "
            "lower the learning rate of its recipe, or mend its network"
        )
    kept = plan.kind_row.arrays(values, correct)
    return _Trained({**arrays, **kept}, {key: tensor.cpu() for key, tensor in state.items()})


def _keep(plan: Plan, chunk: int, parts: Sequence[_Trained]) -> None:
    """Write a trained chunk to the user's store."""
    contents: dict[str, Content] = {
        name: np.concatenate([part.arrays[name] for part in parts]) for name in parts[0].arrays
    }
    if plan.keeps_weights:
        contents["weights"] = {key: torch.cat([part.state[key] for part in parts]) for key in parts[0].state}
    meta = {"suite": plan.suite.name, "models": plan.suite.chunk, "device": device_name(chosen_device())}
    user_store().write(plan.chunk_key(chunk), contents, meta)


def derive_forget_sets(suite: Suite) -> Artefact:
    """Compute the suite's derived forget sets from the ``subsets`` of the user's store, and keep them there."""
    if suite.derive is None:
        raise BadSetting(f"suite {suite.name!r} derives no forget sets")
    artefact = build(Plan(suite, "subset"), suite.subsets)
    masks = np.unpackbits(artefact.array("masks"), axis=1, count=suite.data.sizes[0]).view(bool)
    sets = suite.derive(artefact.array("margins"), masks)
    contents = {name: each.indices for name, each in sets.items()}
    told = {
        "made": {name: each.made for name, each in sets.items()},
        "kinds": {n: each.kind for n, each in sets.items()},
    }
    return user_store().write(f"{suite.digest}/{DERIVED}", contents, told)


def _sound(key: str, say: Say) -> Artefact | None:
    """The artefact at ``key`` of the user's store; a damaged one is told of, and from then on absent."""
    store = user_store()
    try:
        return store.read(key)
    except DamagedArtefact as error:
        store.disown(key)
        say(f"{str(error).partition(';')[0]}; it is made anew")
        return None


def chunk_jobs(plan: Plan, chunks: range, joined: Artefact | None, say: Say) -> list[Job]:
    """Jobs that train those of ``chunks`` that are neither finished nor within ``joined``."""
    size = plan.suite.chunk
    covered = joined.meta["models"] // size if joined else 0
    missing = [chunk for chunk in chunks if chunk >= covered and _sound(plan.chunk_key(chunk), say) is None]
    return [
        Job(f"{plan.label}, models from {chunk * size}", train_chunk, (plan, chunk), shared=(plan.suite,))
        for chunk in missing
    ]


def run_chunks(jobs: Sequence[Job], workers: Workers, watch: Watch, say: Say) -> None:
    for _, notes in run_jobs(jobs, workers, watch):
        for note in notes:
            say(note)


def finished_chunk(plan: Plan, chunk: int) -> Artefact:
    part = user_store().read(plan.chunk_key(chunk))
    if part is None:
        raise StoreError(f"{user_store().root / plan.chunk_key(chunk)} vanished during the build; run it again")
    return part


def _join(plan: Plan, chunks: range, say: Say) -> Artefact:
    """One artefact of the margins of all models, in the order of their numbers."""
    store, size = user_store(), plan.suite.chunk
    with store.locked(f"{plan.key}/locks/join"):
        joined = _sound(plan.key, say)
        done = joined.meta["models"] // size if joined else 0
        if joined and done >= chunks.stop:  # another build was faster
            return joined
        parts = [finished_chunk(plan, chunk) for chunk in range(done, chunks.stop)]
        names = sorted(file.stem for file in parts[0].folder.glob("*.npy"))
        parts = [joined, *parts] if joined else parts
        contents: dict[str, Content] = {name: Stacked([part.array(name) for part in parts]) for name in names}
        devices = sorted({str(part.meta.get("device", "unknown")) for part in parts})
        meta = {"suite": plan.suite.name, "models": chunks.stop * size, "device": "; ".join(devices)}
        return store.write(plan.key, contents, meta)

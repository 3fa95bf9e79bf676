"""Shadow models that have unlearned: those of random halves, each without the part of a forget set that it has seen."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from expunge.engine import Watch, Workers, run_jobs, silent
from expunge.ensembles.builds import build_some
from expunge.ensembles.device import chosen_device, device_name
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.plan import Plan
from expunge.ensembles.pretraining import read_array, read_weights
from expunge.ensembles.seeds import Generators, seed_of
from expunge.ensembles.train import measure, train
from expunge.ensembles.whole_models import first_weights
from expunge.errors import MethodFailed
from expunge.fingerprint import code_digest
from expunge.jobs import Job
from expunge.methods import run_method
from expunge.methods.task import Task
from expunge.records import versions
from expunge.store import user_store
from expunge.suites import ForgetSet, Suite

ORACLE, IDENTITY = "oracle", "identity"
KIND = "audit-shadow"  # of the chance by which half models are retrained


@dataclass(frozen=True)
class Labour:
    """Where models are trained that no store has, and who looks on."""

    workers: Workers = 1
    watch: Watch = silent


@dataclass(frozen=True, eq=False)
class Shadows:
    """Margins on a forget set of models of random halves after unlearning, and which examples each had seen before."""

    margins: Float[ndarray, "models forget"]
    seen: Bool[ndarray, "models forget"]


def shadows_of(task: Task, models: int, labour: Labour) -> Shadows:
    """The first ``models`` models of halves after ``task``, each unlearning what its half has of the forget set.

    ``identity`` does nothing, and ``oracle`` retrains on the half without the set. Models are trained, and unlearned
    one by one, since each forgets examples of its own; what was done is taken from the store.
    """
    plan = Plan(task.suite, "subset", weights=True)
    build_some([plan], range(models), workers=labour.workers, watch=labour.watch)
    size = task.suite.chunk
    chunks = [range(first, min(first + size, models)) for first in range(0, models, size)]
    jobs = [
        Job(f"shadow models of {task.name}, from {chunk.start}", shadow_chunk, (task, chunk), (task.suite,))
        for chunk in chunks
    ]
    found = {job.arguments[1].start: margins for job, margins in run_jobs(jobs, labour.workers, labour.watch)}
    columns = task.suite.columns(task.forget)["forget"]
    margins = np.concatenate([found[chunk.start] for chunk in chunks])[:, columns]
    masks = masks_of(task.suite, range(models))
    return Shadows(margins.astype(np.float64).clip(-100, 100), masks[:, task.forget.indices])


def masks_of(suite: Suite, models: Sequence[int]) -> Bool[ndarray, "models train"]:
    """Which training examples each of these models of halves was trained on; they must have been built."""
    packed = read_array(Plan(suite, "subset", weights=True), "masks", models)
    return np.unpackbits(packed, axis=1, count=suite.data.sizes[0]).view(bool)


def shadow_chunk(task: Task, models: range) -> Float[ndarray, "models examples"]:
    """The margins of these shadow models; computed once and kept in the store. Workers run this."""
    store, key = user_store(), _key(task, models)
    with store.locked(f"{key}.locks"):
        kept = store.read(key)
        if kept is None:
            margins = _margins(task, models)
            meta = {"method": task.name, "device": device_name(chosen_device())}
            kept = store.write(key, {"margins": margins}, meta)
    found: ndarray = kept.array("margins")
    return found


def _key(task: Task, models: range) -> str:
    facts = [
        task.key(models),
        code_digest(__name__, "expunge.ensembles.builds"),
        task.forget.digest,
        versions()["torch"],
    ]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    return f"{task.suite.digest}/audits/shadows/{digest}/{models.start:04d}-{models.stop:04d}"


def _margins(task: Task, models: range) -> Float[ndarray, "models examples"]:
    suite = task.suite
    masks = masks_of(suite, models)
    if task.name == ORACLE:
        return measure(_retrained(task, models, masks), suite.data)[0].numpy()
    plan = Plan(suite, "subset", weights=True)
    shape = suite.data.train.x.shape[1:]
    state, network = read_weights(plan, models), first_weights(plan, models[:1]).network
    ensemble = Ensemble.from_state(network, state, plan.origin(models), shape).to(chosen_device()).eval()
    if task.name != IDENTITY:
        one = partial(_unlearned, task)
        return np.concatenate([one(ensemble.take([row]), masks[row]) for row in range(len(models))])
    return measure(ensemble, suite.data)[0].numpy()


def _unlearned(task: Task, ensemble: Ensemble, mask: Bool[ndarray, " train"]) -> Float[ndarray, "1 examples"]:
    """The margins of one model after it has unlearned what its half has of the forget set."""
    suite = task.suite
    mine = task.forget.indices[mask[task.forget.indices]]
    if len(mine):
        forget = ForgetSet(task.forget.name, mine, task.forget.made, task.forget.kind)
        steps = run_method(
            task.name,
            task.method,
            task.config,
            ensemble,
            suite,
            forget,
            task.seed,
            timeout=task.timeout,
            gone=np.flatnonzero(~mask),
        )
        for step in steps:
            ensemble = step.ensemble
    margins = measure(ensemble, suite.data)[0]
    if not margins.isfinite().all():
        raise MethodFailed(f"the margins of shadow model {ensemble.origin.models[0]} are not finite")
    return margins.numpy()


def _retrained(task: Task, models: range, masks: Bool[ndarray, "models train"]) -> Ensemble:
    """Models of the same halves that never saw the forget set.

    They train together, so that each has as many examples as the one that has fewest left; the others lack a few.
    """
    suite, names = task.suite, (task.suite.digest, KIND, task.forget.digest)
    plan = replace(Plan(suite, "subset", weights=True), forget=None)
    left = [np.setdiff1d(np.flatnonzero(mask), task.forget.indices) for mask in masks]
    least = min(map(len, left))
    rows = [_some(each, least, seed_of(*names, model, "left")) for each, model in zip(left, models, strict=True)]
    ensemble = first_weights(plan, models)
    order = Generators([seed_of(*names, model, "order") for model in models], ensemble.device)
    return train(ensemble, suite.data.train, torch.as_tensor(np.stack(rows)), suite.recipe, order, target=suite.target)


def _some(examples: Int[ndarray, " left"], count: int, seed: int) -> Int[ndarray, " some"]:
    return np.sort(np.random.default_rng(seed).choice(examples, count, replace=False))


def lacking_for_shadows(task: Task) -> str:
    """Why a method cannot run on models of halves, in words; "" where it can."""
    if not task.suite.subsets:
        return f"suite {task.suite.name!r} has no models trained on halves; give it subsets"
    if task.suite.recipe.prune:
        return f"shadow models are not made sparse, as {task.suite.name!r} wants"
    if task.method.predict:
        return f"{task.name!r} makes no models, only margins"
    if task.method.prepare:
        return f"{task.name} starts from what was kept of its own models, which shadow models lack"
    return ""

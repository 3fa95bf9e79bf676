"""Both arms of a certified method, made chunk by chunk: trained, updated, released, finished; kept in the store.

The arm of reference is trained on what is kept, and its update has nothing to forget; it is released with the sigmas
that were claimed of the models beside it, for a claim speaks of the same noise on both. Arms share no chance.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from expunge.audits.conditions import require_applicable
from expunge.audits.shadows import Labour
from expunge.certificates.theorems.theorem import Claim, Constant
from expunge.engine import run_jobs
from expunge.ensembles.device import chosen_device, device_name
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.origin import Meter
from expunge.ensembles.plan import Plan
from expunge.ensembles.seeds import Generators, seed_of
from expunge.ensembles.train import measure
from expunge.ensembles.whole_models import first_weights
from expunge.errors import MethodFailed
from expunge.fingerprint import code_digest
from expunge.jobs import Job
from expunge.methods import METHODS, configure
from expunge.methods.certified import claimed, finished, guarantee_of, released, settled, trained, updated
from expunge.methods.method import require_needs
from expunge.methods.parts.per_sample import flat_weights
from expunge.methods.parts.told import with_told
from expunge.methods.task import Task
from expunge.store import Artefact, Content, user_store
from expunge.suites import Examples, Split, Suite
from expunge.suites.suite import ForgetSet
from expunge.timing import UNKNOWN

Side = Literal["released", "reference"]
Stage = Literal["trained", "updated", "released", "finished"]
SIDES: tuple[Side, ...] = ("released", "reference")
STAGES: tuple[Stage, ...] = ("trained", "updated", "released", "finished")
# Settings for which next to no noise is asked; of certified removal, whose theorem goes no farther than epsilon 1, that
# is the gradient which the noise hides.
QUIET: Mapping[str, Mapping[str, float]] = {"certified-removal": {"residual": 1e-9}}
QUIET_ELSEWHERE: Mapping[str, float] = {"epsilon": 1e8}
MOST_WEIGHTS = 200_000  # of a model whose weights are looked at: those of many models are held at once


@dataclass(frozen=True, eq=False)
class Made:
    """One arm, all its chunks joined: margins and first choices of each stage, weights, buffers, claims and cost.

    Claims speak of what is ``released``, and so weights and buffers are those; what a method still does to it on
    retained examples makes it ``finished``, and can take nothing from a claim.
    ``noise`` is the standard deviation of each model's last noise. ``weights`` and ``unnoised`` have no columns where a
    model has more of them than are looked at. ``cost`` is the share of one retraining that claim and update took.
    """

    numbers: tuple[int, ...]
    margins: Mapping[Stage, Float[ndarray, "models columns"]]
    correct: Mapping[Stage, Bool[ndarray, "models columns"]]
    weights: Float[ndarray, "models weights"]
    unnoised: Float[ndarray, "models weights"]
    tensors: Mapping[str, int]  # how many of the weights are of which tensor, in their order
    buffers: Mapping[str, ndarray]
    claims: tuple[Claim, ...]
    noise: Float[ndarray, " models"]
    cost: float
    seconds: float
    device: str

    def noise_by_tensor(self) -> dict[str, Float[ndarray, "models numbers"]]:
        """What each tensor got between the update and the release."""
        noise = self.weights.astype(np.float64) - self.unnoised
        ends = np.cumsum(list(self.tensors.values()))[:-1]
        return dict(zip(self.tensors, np.split(noise, ends, axis=1), strict=True))


def trial_of(method: str, suite: Suite, forget: ForgetSet, settings: Mapping[str, object], seed: int = 0) -> Task:
    """A certified method with its settings, those settled that follow from the models and the request.

    Raises UnknownName where the method claims nothing, BadSetting where the suite lacks what it needs, NotApplicable
    where the method is for linear models alone.
    """
    require_applicable(method, guarantee_of(method).theorem, suite)
    row = METHODS[method]
    require_needs(method, row, suite, [forget])
    cfg = configure(method, row, settings)
    first = first_weights(Plan(suite, "pretrained"), [0])
    return Task(suite, forget, method, settled(method, first, suite.split(forget), cfg), seed)


def both_arms(task: Task, models: range, labour: Labour, *, quiet: bool = False) -> dict[Side, Made]:
    """The arms of a certified method, whose config is settled; what the store has is taken from there.

    ``quiet`` arms are what a method makes that forgets its noise, in training, in its steps and at last; of them
    nothing is claimed.
    """

    def job(side: Side, chunk: range) -> Job:
        label = f"{task.name} on {task.forget.name}, {side}{' without noise' if quiet else ''}, from {chunk.start}"
        return Job(label, make_chunk, (task, side, chunk, quiet), (task.suite,))

    def then(done: Job, result: Any) -> Iterable[Job]:
        _, side, chunk, _ = done.arguments
        return [job("reference", chunk)] if side == "released" else []  # which takes its sigmas from there

    chunks = task.chunks(models)
    first, to_come = [job("released", chunk) for chunk in chunks], [UNKNOWN] * len(chunks)
    for _ in run_jobs(first, labour.workers, labour.watch, then=then, to_come=to_come):
        pass
    return {side: _joined([make_chunk(task, side, chunk, quiet) for chunk in chunks], models) for side in SIDES}


def make_chunk(task: Task, side: Side, models: range, quiet: bool = False) -> Artefact:
    """These models of one arm, made and kept, or taken from the store. Workers run this."""
    store, key = user_store(), _key(task, side, models, quiet)
    with store.locked(f"{key}.locks"):
        if kept := store.read(key):
            return kept
        contents, meta = _make(task, side, models, quiet)
        return store.write(key, contents, meta)


def split_of(task: Task, side: Side) -> Split:
    """What the update of an arm is given; that of reference has nothing to forget."""
    split = task.suite.split(task.forget)
    if side == "released":
        return split
    return replace(split, forget=Examples(split.forget.x[:0], split.forget.y[:0]))


def rows_of(suite: Suite, forget: ForgetSet, side: Side) -> ndarray:
    """The training examples that the models of an arm see."""
    return np.arange(suite.data.sizes[0]) if side == "released" else suite.retain(forget)


def _make(task: Task, side: Side, models: range, quiet: bool) -> tuple[dict[str, Content], dict[str, Any]]:
    split, cfg = split_of(task, side), task.config
    used = replace(cfg, **QUIET.get(task.name, QUIET_ELSEWHERE)) if quiet else cfg
    before = trained(task.name, task.suite, rows_of(task.suite, task.forget, side), models, used, seed=task.seed)
    before.meter = meter = Meter()
    started = time.perf_counter()
    claims = () if quiet else _claims(task, models) if side == "reference" else claimed(task.name, before, split, cfg)
    student = updated(task.name, before, split, used, seed=task.seed)
    claims = with_told(claims, student) if claims and side == "released" else claims
    seconds, units = (time.perf_counter() - started) / len(models), meter.units
    noise = [guarantee_of(task.name).noise(claim, cfg) for claim in claims] or [0.0] * len(models)
    names = (task.suite.digest, "certified release", task.name, side, task.forget.digest)
    shown = released(student, noise, Generators([seed_of(*names, model, task.seed) for model in models], before.device))
    last = finished(task.name, shown, split, used, seed=task.seed)
    stages = dict(zip(STAGES, (before, student, shown, last), strict=True))
    meta = {
        "claims": [asdict(claim) for claim in claims],
        "noise": noise,
        "tensors": {name: each[0].numel() for name, each in student.network.named_parameters() if each.requires_grad},
        "cost": units / (3 * split.retraining * len(models)),
        "seconds": seconds,
        "device": device_name(chosen_device()),
    }
    return _contents(task, models, stages), meta


def _contents(task: Task, models: range, stages: Mapping[Stage, Ensemble]) -> dict[str, Content]:
    margins, correct = [], []
    for stage, ensemble in stages.items():
        values, right = measure(ensemble, task.suite.data)
        if bad := [models[row] for row in (~values.isfinite().all(1)).nonzero().flatten().tolist()]:
            raise MethodFailed(f"{task.name}: the margins of models {bad} are not finite when they are {stage}")
        margins.append(values.numpy())
        correct.append(np.packbits(right.numpy(), axis=1))
    found: dict[str, Content] = {"margins": np.stack(margins), "correct": np.stack(correct)}
    if (count := flat_weights(stages["updated"]).shape[1]) <= MOST_WEIGHTS and count:
        found |= {name: flat_weights(stages[stage]).cpu().numpy() for name, stage in _WEIGHTS.items()}
    if buffers := _buffers(stages["released"]):
        found["buffers"] = buffers
    return found


_WEIGHTS: dict[str, Stage] = {"weights": "released", "unnoised": "updated"}


def _buffers(ensemble: Ensemble) -> dict[str, Tensor]:
    return {name: each.cpu().contiguous() for name, each in ensemble.network.named_buffers()}


def _claims(task: Task, models: range) -> tuple[Claim, ...]:
    return _claims_in(make_chunk(task, "released", models))


def _claims_in(part: Artefact) -> tuple[Claim, ...]:
    return tuple(
        Claim(
            **{
                **each,
                "constants": {name: Constant(**constant) for name, constant in each["constants"].items()},
                "notes": tuple(each["notes"]),
            }
        )
        for each in part.meta["claims"]
    )


def _joined(parts: Sequence[Artefact], models: range) -> Made:
    columns = parts[0].array("margins").shape[2]
    margins = np.concatenate([part.array("margins") for part in parts], axis=1)
    packed = np.concatenate([part.array("correct") for part in parts], axis=1)
    correct = np.unpackbits(packed, axis=2, count=columns).view(bool)
    none = np.zeros((len(models), 0), np.float32)
    weights, unnoised = (
        np.concatenate([part.array(name) for part in parts]) if name in parts[0] else none for name in _WEIGHTS
    )
    tensors = [part.tensors("buffers") for part in parts if "buffers" in part]
    buffers = {name: torch.cat([each[name] for each in tensors]).numpy() for name in (tensors[0] if tensors else {})}
    shares = [part.array("margins").shape[1] for part in parts]
    return Made(
        numbers=tuple(models),
        margins=dict(zip(STAGES, margins, strict=True)),
        correct=dict(zip(STAGES, correct, strict=True)),
        weights=weights,
        unnoised=unnoised,
        tensors=parts[0].meta["tensors"],
        buffers=buffers,
        claims=tuple(claim for part in parts for claim in _claims_in(part)),
        noise=np.array([each for part in parts for each in part.meta["noise"]], np.float64),
        cost=float(np.average([part.meta["cost"] for part in parts], weights=shares)),
        seconds=float(np.average([part.meta["seconds"] for part in parts], weights=shares)),
        device="; ".join(sorted({part.meta["device"] for part in parts})),
    )


def _key(task: Task, side: Side, models: range, quiet: bool) -> str:
    digest = hashlib.sha256(json.dumps([task.key(models), code_digest(__name__)]).encode()).hexdigest()[:16]
    folder = f"{task.suite.digest}/audits/certified/{digest}/{side}{'-quiet' if quiet else ''}"
    return f"{folder}/{models.start:04d}-{models.stop:04d}"

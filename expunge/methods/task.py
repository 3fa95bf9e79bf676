"""One row of a bench to be, and how it runs on one chunk of models. Workers import this, and little else."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from expunge.engine import silent, warn
from expunge.ensembles.device import chosen_device, device_name, in_halves, work_clock
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.origin import Making
from expunge.ensembles.plan import Plan
from expunge.ensembles.pretraining import pretrain
from expunge.ensembles.stored_margins import read_margins, require_built
from expunge.ensembles.train import measure
from expunge.errors import BadSetting, CannotRead, DamagedArtefact, MethodFailed, StoreError
from expunge.fingerprint import code_digest, files_digest, stage_modules
from expunge.methods import METHODS, Method, Step, row_of, run_method
from expunge.methods.put_back import PutBack, joined, put_back
from expunge.methods.settings import settings_in
from expunge.records import Setting, versions
from expunge.store import Artefact, Content, user_store
from expunge.suites import ForgetSet, Suite
from expunge.user_files import without_folder

DEAR = 0.9  # of one retraining: the CPU time of one and the same training differs by a tenth from run to run


@dataclass(frozen=True)
class Task:
    """A method with its settings on one forget set of a suite."""

    suite: Suite
    forget: ForgetSet
    name: str
    config: Any
    seed: int
    tuning: str = ""  # which settings these are, in words; it changes no result
    timeout: float | None = None  # seconds that a method of the user's own may take for a model
    budget: float | None = None  # share of a retraining that it may cost; it changes no result

    @property
    def method(self) -> Method:
        return row_of(self.name)

    @property
    def settings(self) -> dict[str, Setting]:
        return settings_in(self.config)

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules of expunge that turn pretrained models into unlearned ones: other code, other results."""
        return modules_of(self.name, self.settings)

    @property
    def own_code(self) -> str:
        """Digest of the file of a user's own method; "" for the others."""
        return own_code_of(self.name)

    def chunks(self, models: range) -> list[range]:
        """The parts of these models that run together."""
        size = self.suite.chunk
        return [range(first, min(first + size, models.stop)) for first in range(models.start, models.stop, size)]

    def require(self, models: range) -> None:
        """Raise StoreError where the store lacks what the method takes out of it for these models."""
        prepare, place = self.method.prepare, (self.suite, self.forget, self.config)
        if prepare and prepare.require:
            prepare.require(*place)
        if prepare and prepare.plan:
            require_built(prepare.plan(*place), models, self.name)

    def lacking(self, models: range) -> str:
        """What suite or store lack of what the method needs, in a line; "" where nothing is.

        Neither damage nor a file that cannot be read for now is a lack.
        """
        unmet = [line for need in self.method.needs if (line := need.lacking(self.suite, self.forget))]
        if unmet:
            return f"{self.name} {unmet[0]}"
        try:
            self.require(models)
        except (DamagedArtefact, CannotRead):
            raise
        except StoreError as error:
            return str(error)
        return ""

    def key(self, models: range) -> str:
        """Where the result for these models lies in the store: it changes with all that changes the result."""
        facts: list[object] = [
            without_folder(self.name),
            self.own_code,
            code_digest(*self.modules),
            self.settings,
            self.forget.digest,
            self.seed,
            versions()["torch"],
        ]
        if self.method.prepare:  # what it takes out of a store may be of all oracles or subsets there are
            facts += [self.suite.models, self.suite.subsets]
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
        return f"{self.suite.digest}/unlearned/{digest}/{models.start:04d}-{models.stop:04d}"


def modules_of(name: str, settings: Mapping[str, Setting]) -> tuple[str, ...]:
    """The modules of expunge that turn pretrained models into unlearned ones by the method ``name``.

    A function that was given as such has no name that is found; what runs it is expunge's.
    """
    inner = sorted(METHODS.keys() & {value for value in settings.values() if isinstance(value, str)})
    known = [each for each in (name, *inner) if ":" in each or each in METHODS]
    rows = [row_of(each).module for each in known]  # those that a setting names are its code too
    theirs = stage_modules(_file_of(name)) if ":" in name else []  # what a file of the user's own takes of expunge's
    return (*(rows or ["expunge.methods.own.method"]), *theirs, "expunge.methods.running", "expunge.methods.task")


def own_code_of(name: str) -> str:
    """Digest of the file of a user's own method, "unknown" of a function without one; "" for expunge's."""
    if ":" in name:
        return files_digest(_file_of(name))
    return "" if name in METHODS else "unknown"


def _file_of(name: str) -> Path:
    """The file of ``file.py:NAME``."""
    return Path(name.rpartition(":")[0]).expanduser()


def alarms_of_cost(name: str, cost: float | None) -> tuple[str, ...]:
    """What is to be said of what a method of the user's own costs, as a share of one retraining; of the others nothing.

    >>> alarms_of_cost("mine.py:f", 1.2)
    ('costs as much as retraining, which forgets for sure',)
    """
    dear = cost is not None and cost >= DEAR and name not in METHODS
    return ("costs as much as retraining, which forgets for sure",) if dear else ()


@dataclass(frozen=True)
class Outcome:
    """What became of a task on these models: an artefact of their margins, or the reason why there is none."""

    models: range
    artefact: Artefact | None
    reason: str = ""


def finished(task: Task, models: range, *, with_weights: bool = False) -> Outcome | None:
    """What the store has of a task on these models; None where nothing is finished, or weights lack that are wanted."""
    kept = user_store().read(task.key(models))
    wanted = with_weights and not task.method.predict  # which makes none
    return Outcome(models, kept) if kept and ("weights" in kept or not wanted) else None


def unlearn_chunk(task: Task, models: range, keep_weights: bool = False) -> Outcome:
    """Run a task on the pretrained models of these numbers, measure every epoch, keep it in the store.

    The artefact: ``margins`` of shape (epochs, models, examples), float32; ``correct`` likewise, packed bits, which a
    method that predicts margins does not have; with ``keep_weights`` also ``weights``, those after the last epoch.
    """
    key = task.key(models)  # before the method runs: it may change the current folder
    try:
        run = predicted if task.method.predict else _unlearned
        parts = in_halves(partial(run, task), models, warn)
    except MethodFailed as error:
        return Outcome(models, None, str(error))
    margins = [part.margins for part in parts]
    correct = [part.correct for part in parts if part.correct is not None]
    contents: dict[str, Content] = {"margins": np.concatenate(margins, axis=1)}
    if correct:
        contents["correct"] = np.concatenate(correct, axis=1)
    if keep_weights and not task.method.predict:
        contents["weights"] = {name: torch.cat([part.weights[name] for part in parts]) for name in parts[0].weights}
    shares = [part.shape[1] for part in margins]
    costs, seconds = (
        np.average(each, axis=0, weights=shares).tolist()
        for each in ([part.costs for part in parts], [part.seconds for part in parts])
    )
    alarms = list(dict.fromkeys(line for part in parts for line in part.alarms))
    meta = {"method": task.name, "costs": costs, "seconds": seconds, "device": device_name(chosen_device())}
    if alarms:
        meta["alarms"] = alarms
    if told := joined([part.put_back for part in parts], shares):
        meta["put back"] = list(told)
    return Outcome(models, user_store().write(key, contents, meta))


@dataclass(frozen=True)
class Unlearned:
    """What is kept of each epoch: margins and packed bits ``(epochs, models, ...)``, cost and seconds ``(epochs,)``.

    ``weights`` are those after the last epoch, ``put_back`` says what BatchNorm's statistics did to them, ``alarms``
    why these models are not to be read as having forgotten.
    """

    margins: ndarray
    correct: ndarray | None
    costs: list[float]
    seconds: list[float]
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    alarms: tuple[str, ...] = ()
    put_back: PutBack | None = None


def unlearned_models(task: Task, models: range) -> Ensemble:
    """The models that a task makes of the pretrained ones of these numbers, after its last epoch.

    Weights are kept when they are first asked for, under the key of the margins; from then on they are read.
    """
    if task.method.predict or task.name == "oracle":
        raise BadSetting(f"{task.name!r} makes no models, only margins; there are no weights to read")
    before = pretrain(task.suite, len(models), first=models.start, watch=silent)
    if task.method.anchor:
        return before
    found = [finished(task, part, with_weights=True) for part in task.chunks(models)]
    made = [
        each or unlearn_chunk(task, part, keep_weights=True)
        for each, part in zip(found, task.chunks(models), strict=True)
    ]
    for each in made:
        if each.artefact is None:
            raise MethodFailed(f"{task.name} on {task.forget.name}: {each.reason}")
    artefacts = [each.artefact for each in made if each.artefact]
    states = [artefact.tensors("weights") for artefact in artefacts]
    epoch, cost, seconds = (len(artefacts[0].meta["costs"]), *map(_last_mean(made), ("costs", "seconds")))
    origin = replace(
        before.origin,
        kind="unlearned",
        forget_set=task.forget.key,
        made=Making(task.name, task.settings, task.seed, epoch, cost, seconds, alarms_in(artefacts)),
    )
    state = {key: torch.cat([each[key] for each in states]) for key in states[0]}
    shape = task.suite.data.train.x.shape[1:]
    return Ensemble.from_state(before.network, state, origin, shape, before.masks).to(before.device).eval()


def alarms_in(artefacts: Sequence[Artefact]) -> tuple[str, ...]:
    """What was noticed of any of these chunks, each line once."""
    return tuple(dict.fromkeys(line for each in artefacts for line in each.meta.get("alarms", ())))


def _last_mean(outcomes: Sequence[Outcome]) -> Callable[[str], float]:
    """The mean over all models of what was noted after the last epoch."""
    kept = [(each.artefact.meta, len(each.models)) for each in outcomes if each.artefact]
    return lambda name: float(np.average([meta[name][-1] for meta, _ in kept], weights=[size for _, size in kept]))


def _unlearned(task: Task, models: Sequence[int]) -> Unlearned:
    """Run a task on these models on the chosen device; nothing stays there."""
    ensemble = pretrain(task.suite, len(models), first=models[0], watch=silent)
    margins, correct, costs, seconds = [], [], [], []
    last: Step | None = None
    steps = run_method(
        task.name, task.method, task.config, ensemble, task.suite, task.forget, task.seed, timeout=task.timeout
    )
    for step in steps:
        values, right = measure(step.ensemble, task.suite.data)
        bad = (~values.isfinite().all(1)).nonzero().flatten().tolist()
        if bad:
            numbers = [models[row] for row in bad]
            raise MethodFailed(f"the margins of models {numbers} are not finite after epoch {step.epoch}")
        margins.append(values.numpy())
        correct.append(np.packbits(right.numpy(), axis=1))
        costs.append(step.cost)
        seconds.append(step.seconds)
        last = step
    weights = {key: tensor.cpu() for key, tensor in last.ensemble.state().items()} if last else {}
    alarms = last.alarms if last else ()
    kept = task.suite.split(task.forget).retain
    told = put_back(ensemble, last.ensemble, kept, task.suite.target) if last else None
    return Unlearned(np.stack(margins), np.stack(correct), costs, seconds, weights, alarms, told)


def predicted(task: Task, models: Sequence[int]) -> Unlearned:
    """Predict the margins of these models; no work of theirs is needed that was not done, so the cost is 0."""
    method, suite, clock = task.method, task.suite, work_clock(torch.device("cpu"))
    started = clock()
    assert method.predict
    extra = method.prepare.load(suite, task.forget, models, task.config) if method.prepare else None
    pretrained = read_margins(Plan(suite, "pretrained"), models[0], len(models)).values
    margins = np.asarray(method.predict(pretrained, extra, task.config), np.float32)
    bad = [number for number, row in zip(models, margins, strict=True) if not np.isfinite(row).all()]
    if bad:
        raise MethodFailed(f"the margins predicted for models {bad} are not finite")
    return Unlearned(margins[None], None, [0.0], [(clock() - started) / len(models)])

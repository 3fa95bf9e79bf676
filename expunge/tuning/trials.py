"""The trials of a search as jobs: one for each trial, kept in the store when it is finished."""

import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy import ndarray

from expunge.bench.alignment import spaced
from expunge.bench.rebuild import own_plans
from expunge.engine import Watch, Workers, run_jobs, silent, warn
from expunge.ensembles.builds import build_all, build_some
from expunge.ensembles.device import in_halves
from expunge.ensembles.plan import Plan
from expunge.ensembles.pretraining import pretrain
from expunge.ensembles.stored_margins import read_margins
from expunge.ensembles.train import measure
from expunge.errors import BadSetting, CannotRead, DamagedArtefact, MethodFailed, StoreError
from expunge.fingerprint import code_digest
from expunge.jobs import Job
from expunge.methods import Method, configure, find_method, run_method
from expunge.methods.method import require_needs
from expunge.methods.needs import ORACLES
from expunge.methods.searches import Point, Settings, Trial
from expunge.methods.task import Task, predicted
from expunge.metrics.outliers import outliers_of_parts
from expunge.metrics.wasserstein import wasserstein
from expunge.store import user_store
from expunge.suites import Data, ForgetSet, Suite

MOST = 2000  # examples of each split that trials are scored on
PATIENCE = 4  # epochs without coming nearer after which a trial ends, those of an ascent that begins it besides


@dataclass(frozen=True)
class Field:
    """What all trials of a search have in common."""

    suite: Suite
    forget: ForgetSet
    method: str
    models: range  # pretrained, which no bench scores
    oracles: int  # of the tuning set, from number 0
    limit: float | None
    seed: int
    timeout: float | None = None  # seconds that a method of the user's own may take for a model

    @property
    def row(self) -> Method:
        return find_method(self.method)

    @property
    def oracles_needed(self) -> int:
        """How many are built: a method that is given oracles takes others than those it is compared with."""
        return self.suite.models if ORACLES in self.row.needs else self.oracles


@dataclass(frozen=True)
class Proposal:
    """Settings to try, and who proposed them."""

    origin: str
    settings: Settings


def by_epochs(method: Method) -> bool:
    """Whether each epoch of a run is what a run of so many epochs ends with; by a schedule it is not."""
    config = method.config()
    tried = [method.search, *(each.settings for each in method.published)]
    scheduled = getattr(config, "schedule", "constant") != "constant" or any("schedule" in each for each in tried)
    return hasattr(config, "epochs") and not method.whole_runs and not scheduled


def build_all_needed(field: Field, workers: Workers, watch: Watch) -> None:
    """Have the pretrained models, the oracles of the tuning set, and what the method takes out of a store."""
    suite, method = field.suite, field.row
    require_needs(field.method, method, suite, [field.forget])
    pretrain(suite, len(field.models), first=field.models.start, workers=workers, watch=watch)
    build_all([(Plan(suite, "oracle", field.forget), field.oracles_needed)], workers=workers, watch=watch)
    _build_own(field, [{}], workers, watch)
    _task(field, {})


def _build_own(field: Field, proposed: Sequence[Settings], workers: Workers, watch: Watch) -> None:
    """Have what a method with these settings needs of its own, such as models trained on shards."""
    method, plans = field.row, {}
    for settings in proposed if method.prepare and method.prepare.plan else ():
        try:
            found = own_plans(field.suite, [field.forget], [field.method], {field.method: settings})
        except BadSetting:
            if not settings:
                raise
            continue  # the trial will say so
        plans.update({plan.key: plan for plan in found})
    build_some(list(plans.values()), field.models, workers=workers, watch=watch)


def run_trials(field: Field, first: int, proposed: Sequence[Proposal], workers: Workers, watch: Watch) -> list[Trial]:
    """The trials of these settings, numbered from ``first``; a job is a trial."""
    _build_own(field, [each.settings for each in proposed], workers, watch)
    numbers: dict[int, int] = {}
    found: dict[int, dict[str, Any]] = {}
    wanted = []
    for number, proposal in enumerate(proposed):
        try:
            task = _task(field, proposal.settings)
        except (DamagedArtefact, CannotRead):
            raise
        except (BadSetting, StoreError) as error:  # settings that do not go together, or need what nobody has made
            found[number] = {"points": [], "reason": str(error)}
            continue
        kept = user_store().read(_key(field, task))
        if kept:
            found[number] = kept.meta
            continue
        label = f"trial {first + number} of {field.method} on {task.forget.name}"
        job = Job(label, try_settings, (field, task), shared=(field.suite,))
        numbers[id(job)] = number
        wanted.append(job)
    for job, meta in run_jobs(wanted, workers, watch):
        found[numbers[id(job)]] = meta
    return [_trial(first + number, proposal, found[number]) for number, proposal in enumerate(proposed)]


def _task(field: Field, settings: Settings) -> Task:
    """A trial, for which the store has all that it takes out of it."""
    task = Task(field.suite, field.forget, field.method, configure(field.method, field.row, settings), field.seed)
    task.require(field.models)
    return task


def _trial(number: int, proposal: Proposal, found: dict[str, Any]) -> Trial:
    points = [Point(*each) for each in found["points"]]
    return Trial(
        number=number,
        origin=proposal.origin,
        settings=proposal.settings,
        status="ok" if points else "failed",
        reason=found["reason"],
        points=points,
        seconds=found.get("seconds", 0.0),
    )


def try_settings(field: Field, task: Task) -> dict[str, Any]:
    """Run one trial and keep what came of it in the store: numbers, or the reason for none."""
    key = _key(field, task)  # before the method runs: it may change the current folder
    started = time.perf_counter()
    meta = _measured(field, task)
    meta["seconds"] = round(time.perf_counter() - started, 2)
    user_store().write(key, {}, meta)
    return meta


@dataclass(frozen=True)
class Epoch:
    """Some models after an epoch: margins on the examples looked at; ``moved`` unless no weight is another."""

    number: int
    cost: float
    margins: ndarray
    moved: bool = True


def _measured(field: Field, task: Task) -> dict[str, Any]:
    """The points of a trial that are nearer than those before them, and why there are no more."""
    chunks, ruler = task.chunks(field.models), Ruler.of(field)
    parts = [part for chunk in chunks for part in in_halves(partial(_walked, field, task, ruler), chunk, warn)]
    ended, refused = next((reason for _, reason in parts if reason), ""), ""
    points: list[Point] = []
    for epoch in zip(*(epochs for epochs, _ in parts), strict=False):  # one part may have ended before the others
        if not any(each.moved for each in epoch):  # which a search would like well
            refused = refused or "moves no weight, so it is the same as doing nothing"
            continue
        margins = np.concatenate([each.margins for each in epoch])
        cost = float(np.average([each.cost for each in epoch], weights=[len(each.margins) for each in epoch]))
        if told := ruler.strays(margins):
            refused = told
            continue
        point = ruler.point(epoch[0].number, cost, margins)
        if not points or point.objective < points[-1].objective:
            points.append(point)
    return {"points": points, "reason": ended if points else refused or ended}


def _walked(field: Field, task: Task, ruler: "Ruler", models: Sequence[int]) -> tuple[list[Epoch], str]:
    """Each epoch of a run that a run of so many epochs would end with, and why there are no more of them."""
    if task.method.predict:
        only = predicted(task, models)
        return [Epoch(1, only.costs[-1], only.margins[-1][:, _columns(field.suite, task.forget)])], ""
    ensemble = pretrain(field.suite, len(models), first=models[0], watch=silent)
    before, data = ensemble.state(), _data(field.suite, task.forget)
    limit, named = math.inf if field.limit is None else field.limit, (task.name, task.method, task.config)
    epochs, every, best = list[Epoch](), by_epochs(field.row), (math.inf, 0)
    patience = PATIENCE + int(task.settings.get("ascent_epochs", 0))
    try:
        for step in run_method(
            *named, ensemble, field.suite, task.forget, task.seed, limit=limit, timeout=field.timeout
        ):
            values = measure(step.ensemble, data)[0]
            if not values.isfinite().all():
                raise MethodFailed(f"diverged: margins are not finite after epoch {step.epoch}")
            after = step.ensemble.state()
            moved = before.keys() != after.keys() or any(not torch.equal(after[key], before[key]) for key in before)
            epochs = [*(epochs if every else []), Epoch(step.epoch, step.cost, values.numpy(), moved)]
            best = min(best, (ruler.point(step.epoch, step.cost, values.numpy()).objective, step.epoch))
            if every and step.epoch - best[1] >= patience:
                return epochs, f"came no nearer for {patience} epochs"
    except MethodFailed as error:
        return (epochs if every else []), str(error)
    return epochs, "" if epochs else "yielded no ensemble"


@dataclass(frozen=True)
class Ruler:
    """What the trials of a field are held against: oracles, and what the untouched models get."""

    oracle: ndarray  # (oracles, examples looked at)
    columns: dict[str, ndarray]  # of each split
    usual: list[int]  # outliers among the untouched models, of each split
    models: int

    @classmethod
    def of(cls, field: Field) -> "Ruler":
        suite, forget, picked = field.suite, field.forget, _columns(field.suite, field.forget)
        oracle = read_margins(Plan(suite, "oracle", forget), 0, field.oracles).values[:, picked]
        columns = {
            split: np.searchsorted(picked, suite.columns_of(some)) for split, some in _looked_at(suite, forget).items()
        }
        pretrained = read_margins(Plan(suite, "pretrained"), field.models.start, len(field.models)).values[:, picked]
        usual = [int(each.sum()) for each in outliers_of_parts(pretrained, oracle, list(columns.values()))]
        return cls(oracle, columns, usual, len(field.models))

    def point(self, epoch: int, cost: float, margins: ndarray) -> Point:
        """The distance of these margins on each split; digits beyond the fourth are chance."""
        found = wasserstein(margins, self.oracle)
        means = {split: round(float(found[some].mean()), 4) for split, some in self.columns.items()}
        return Point(epoch, round(cost, 6), **means)

    def strays(self, margins: ndarray) -> str:
        """A line where more of the models are outliers than of the untouched ones; else ""."""
        found = outliers_of_parts(margins, self.oracle, list(self.columns.values()))
        for split, each, usual in zip(self.columns, found, self.usual, strict=True):
            if each.sum() > usual:
                return f"makes outliers of {each.sum()} of {self.models} models on {split}"
        return ""


def untouched(field: Field) -> Point:
    """What the pretrained models get, nothing done."""
    picked = _columns(field.suite, field.forget)
    margins = read_margins(Plan(field.suite, "pretrained"), field.models.start, len(field.models)).values[:, picked]
    return Ruler.of(field).point(0, 0.0, margins)


def _looked_at(suite: Suite, forget: ForgetSet) -> dict[str, ndarray]:
    """The examples of each split that trials are scored on: of more than MOST, as many, evenly spaced.

    Of what is retained those are left out that a scored forget set holds.
    """
    parts = dict(suite.parts(forget))
    scored = np.concatenate([each.indices for each in suite.forget_sets.values()])
    parts["retain"] = np.setdiff1d(parts["retain"], scored)
    return {split: examples[spaced(len(examples), MOST)] for split, examples in parts.items()}


def _picked(suite: Suite, forget: ForgetSet) -> ndarray:
    """The same examples, of all splits."""
    return np.sort(np.concatenate(list(_looked_at(suite, forget).values())))


def _columns(suite: Suite, forget: ForgetSet) -> ndarray:
    """The columns of margins of the same examples."""
    return suite.columns_of(_picked(suite, forget))


def _data(suite: Suite, forget: ForgetSet) -> Data:
    """The same examples themselves."""
    train, (data, picked) = suite.data.sizes[0], (suite.data, _picked(suite, forget))
    return data.with_examples(data.train.take(picked[picked < train]), data.test.take(picked[picked >= train] - train))


def _key(field: Field, task: Task) -> str:
    """Where a trial is kept: it changes with all that changes the result."""
    facts: list[object] = [task.key(field.models), field.oracles, field.limit, code_digest(__name__)]
    facts += [field.timeout] if field.timeout is not None else []
    return f"{field.suite.digest}/tuning/{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}"

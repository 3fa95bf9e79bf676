"""The trials of a search as jobs: one for each trial and tuning set, each kept in the store when it is finished."""

import hashlib
import json
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy import ndarray

from expunge.bench.alignment import spaced
from expunge.bench.rebuild import own_plans
from expunge.engine import Job, Watch, Workers, run_jobs, silent, warn
from expunge.ensembles.builds import build_all, build_some
from expunge.ensembles.device import in_halves
from expunge.ensembles.plan import Plan
from expunge.ensembles.pretraining import pretrain
from expunge.ensembles.stored_margins import read_margins
from expunge.ensembles.train import measure
from expunge.errors import BadSetting, CannotRead, DamagedArtefact, MethodFailed, StoreError
from expunge.fingerprint import code_digest
from expunge.methods import configure, find_method, run_method
from expunge.methods.method import require_needs
from expunge.methods.needs import ORACLES
from expunge.methods.task import Task, predicted
from expunge.methods.tuned import Trial
from expunge.metrics.klom import klom
from expunge.metrics.outliers import outliers_of_parts
from expunge.store import user_store
from expunge.suites import Data, ForgetSet, Suite
from expunge.tuning.samplers import Settings

MOST = 2000  # examples of each split that trials are scored on

Klom = dict[str, float]  # P95 of each split


@dataclass(frozen=True)
class Field:
    """What all trials of a search have in common."""

    suite: Suite
    sets: tuple[ForgetSet, ...]
    method: str
    models: range  # pretrained, which no bench scores
    oracles: int  # of each tuning set, from number 0
    limit: float | None
    seed: int


def objective(values: Sequence[Klom]) -> float:
    """Mean over splits, then over tuning sets.

    >>> objective([{"forget": 3.0, "retain": 1.0, "test": 2.0}, {"forget": 5.0, "retain": 1.0, "test": 0.0}])
    2.0
    """
    return float(np.mean([np.mean(list(each.values())) for each in values]))


def build_all_needed(field: Field, workers: Workers, watch: Watch) -> None:
    """Have the pretrained models, the oracles of the tuning sets, and what the method takes out of a store."""
    suite, method = field.suite, find_method(field.method)
    require_needs(field.method, method, suite, field.sets)
    pretrain(suite, len(field.models), first=field.models.start, workers=workers, watch=watch)
    # a method that is given oracles takes others than those it is compared with
    count = suite.models if ORACLES in method.needs else field.oracles
    build_all([(Plan(suite, "oracle", forget), count) for forget in field.sets], workers=workers, watch=watch)
    _build_own(field, [{}], workers, watch)
    for forget in field.sets:
        _task(field, forget, {})


def _build_own(field: Field, proposed: Sequence[Settings], workers: Workers, watch: Watch) -> None:
    """Have what a method with these settings needs of its own, such as models trained on shards."""
    method, plans = find_method(field.method), {}
    for settings in proposed if method.prepare and method.prepare.plan else ():
        try:
            found = own_plans(field.suite, field.sets, [field.method], {field.method: settings})
        except BadSetting:
            if not settings:
                raise
            continue  # the trial will say so
        plans.update({plan.key: plan for plan in found})
    build_some(list(plans.values()), field.models, workers=workers, watch=watch)


def run_trials(field: Field, first: int, proposed: Sequence[Settings], workers: Workers, watch: Watch) -> list[Trial]:
    """The trials of these settings, numbered from ``first``; a job is a trial on one tuning set."""
    _build_own(field, proposed, workers, watch)
    jobs: dict[int, tuple[int, str]] = {}
    found: dict[int, dict[str, dict[str, Any]]] = {number: {} for number in range(len(proposed))}
    wanted = []
    for number, settings in enumerate(proposed):
        try:
            tasks = [_task(field, forget, settings) for forget in field.sets]
        except (DamagedArtefact, CannotRead):
            raise
        except (BadSetting, StoreError) as error:  # settings that do not go together, or need what nobody has made
            found[number]["refused"] = {"reason": str(error)}
            continue
        for task in tasks:
            kept = user_store().read(_key(field, task))
            if kept:
                found[number][task.forget.name] = kept.meta
                continue
            label = f"trial {first + number} of {field.method} on {task.forget.name}"
            job = Job(label, try_settings, (field, task), shared=(field.suite,))
            jobs[id(job)] = (number, task.forget.name)
            wanted.append(job)
    for job, meta in run_jobs(wanted, workers, watch):
        number, name = jobs[id(job)]
        found[number][name] = meta
    return [_trial(field, first + number, settings, found[number]) for number, settings in enumerate(proposed)]


def _task(field: Field, forget: ForgetSet, settings: Settings) -> Task:
    """A trial on a tuning set, for which the store has all that it takes out of it."""
    config = configure(field.method, find_method(field.method), settings)
    task = Task(field.suite, forget, field.method, config, field.seed)
    task.require(field.models)
    return task


def _trial(field: Field, number: int, settings: Settings, found: dict[str, dict[str, Any]]) -> Trial:
    names = [each.name for each in field.sets if each.name in found]
    reasons = [(name, found[name]["reason"]) for name in (*names, "refused") if found.get(name, {}).get("reason")]
    if reasons:
        name, reason = reasons[0]
        told = reason if name == "refused" else f"{name}: {reason}"
        return Trial(number=number, settings=settings, status="failed", reason=told)
    values = {name: found[name]["klom"] for name in names}
    return Trial(
        number=number,
        settings=settings,
        status="ok",
        objective=objective(list(values.values())),
        klom=values,
        cost=max(found[name]["cost"] for name in names),
        seconds=float(np.mean([found[name]["seconds"] for name in names])),
    )


def try_settings(field: Field, task: Task) -> dict[str, Any]:
    """Run one trial on one tuning set and keep what came of it in the store: numbers, or the reason for none."""
    key = _key(field, task)  # before the method runs: it may change the current folder
    try:
        meta = _measured(field, task)
    except MethodFailed as error:
        meta = {"reason": str(error)}
    user_store().write(key, {}, meta)
    return meta


def _measured(field: Field, task: Task) -> dict[str, Any]:
    chunks = [field.models[at : at + field.suite.chunk] for at in range(0, len(field.models), field.suite.chunk)]
    parts = [part for chunk in chunks for part in in_halves(partial(_unlearned, field, task), chunk, warn)]
    margins = np.concatenate([part[0] for part in parts])
    cost, seconds = np.average([part[1:] for part in parts], axis=0, weights=[len(part[0]) for part in parts])
    found, strays = _near(field, task.forget, margins)
    _, usual = untouched(field, task.forget)
    for split, count in strays.items():
        if count > usual[split]:  # they stretch KLoM's bins and hide what the other models do
            raise MethodFailed(f"makes outliers of {count} of {len(margins)} models on {split}")
    return {"klom": found, "cost": float(cost), "seconds": float(seconds)}


def _unlearned(field: Field, task: Task, models: Sequence[int]) -> tuple[ndarray, float, float]:
    """Margins, cost and seconds after the last epoch; a method that costs too much is stopped."""
    if task.method.predict:
        only = predicted(task, models)
        return only.margins[-1][:, _columns(field.suite, task.forget)], only.costs[-1], only.seconds[-1]
    ensemble = pretrain(field.suite, len(models), first=models[0], watch=silent)
    limit, named = math.inf if field.limit is None else field.limit, (task.name, task.method, task.config)
    steps = run_method(*named, ensemble, field.suite, task.forget, task.seed, limit=limit)
    last = next(iter(deque(steps, maxlen=1)), None)
    if last is None:
        raise MethodFailed("yielded no ensemble")
    before, after = ensemble.state(), last.ensemble.state()
    if before.keys() == after.keys() and all(torch.equal(after[key], before[key]) for key in before):
        raise MethodFailed("moves no weight, so it is the same as doing nothing")  # which a search would like well
    values = measure(last.ensemble, _data(field.suite, task.forget))[0]
    if not values.isfinite().all():
        raise MethodFailed("diverged: margins are not finite")
    return values.numpy(), last.cost, last.seconds


def untouched(field: Field, forget: ForgetSet) -> tuple[Klom, dict[str, int]]:
    """What the pretrained models get, nothing done."""
    pretrained = read_margins(Plan(field.suite, "pretrained"), field.models.start, len(field.models)).values
    return _near(field, forget, pretrained[:, _columns(field.suite, forget)])


def _near(field: Field, forget: ForgetSet, margins: ndarray) -> tuple[Klom, dict[str, int]]:
    """P95 of KLoM, and the number of outliers among the models, of each split; ``margins`` of the picked examples."""
    suite, picked = field.suite, _columns(field.suite, forget)
    oracle = read_margins(Plan(suite, "oracle", forget), 0, field.oracles).values[:, picked]
    columns = {
        split: np.searchsorted(picked, suite.columns_of(some)) for split, some in _looked_at(suite, forget).items()
    }
    values, far = klom(margins, oracle), outliers_of_parts(margins, oracle, list(columns.values()))
    return (
        {split: float(np.percentile(values[some], 95)) for split, some in columns.items()},
        {split: int(each.sum()) for split, each in zip(columns, far, strict=True)},
    )


def _looked_at(suite: Suite, forget: ForgetSet) -> dict[str, ndarray]:
    """The examples of each split that trials are scored on: of more than MOST, as many, evenly spaced."""
    return {split: examples[spaced(len(examples), MOST)] for split, examples in suite.parts(forget).items()}


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
    """Where a trial on a tuning set is kept: it changes with all that changes the result."""
    facts = [task.key(field.models), field.oracles, field.limit, code_digest(__name__)]
    return f"{field.suite.digest}/tuning/{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}"

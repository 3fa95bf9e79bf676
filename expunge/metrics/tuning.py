"""Tuning: which settings of a method come nearest to the oracles, on models and examples that are never scored."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from expunge.engine import Job, Watch, Workers, run_jobs, silent, warn
from expunge.ensembles.build import build_all
from expunge.ensembles.device import in_halves
from expunge.ensembles.measured import read_measured
from expunge.ensembles.plan import Plan
from expunge.ensembles.train import measure
from expunge.ensembles.weights import pretrain
from expunge.errors import BadSetting, MethodFailed, StoreError
from expunge.methods import Method, configure, find_method, run_method
from expunge.methods.recipes import Chosen, Search, Trial
from expunge.methods.search import OneOf, Space
from expunge.methods.task import Task
from expunge.metrics.klom import klom
from expunge.metrics.outliers import outliers_of_parts
from expunge.metrics.trials import Settings, make_sampler
from expunge.metrics.tuning_sets import tuning_sets
from expunge.records import hardware, versions
from expunge.store import user_store
from expunge.suites import ForgetSet, Suite, load_suite

OBJECTIVE = "P95 of KLoM in nats, mean over forget, retain and test, then over the tuning sets; lower is better"
MODELS = 20
LIMIT = 0.15  # share of one retraining that a method may cost

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


def tune(
    method: str,
    suite: Suite | str = "digits",
    *,
    budget: int = 24,
    sampler: str = "random",
    seed: int = 0,
    models: int | None = None,
    oracles: int | None = None,
    limit: float = LIMIT,
    workers: Workers = 1,
    watch: Watch = silent,
) -> Search:
    """Search the settings of ``method`` with the least objective on the tuning sets of ``suite``.

    Trial 0 is the defaults. ``models`` pretrained models (default: 20) from the suite's second half are unlearned and
    compared with ``oracles`` oracles of each tuning set (default: half the suite's number), built on first use: few
    oracles raise the floor, and all methods share them. A trial that fails, costs more than ``limit`` of a retraining
    or makes outliers of models is listed and never chosen. Every finished trial is kept in the store: the same search
    goes on where it was interrupted.
    """
    row = find_method(method)
    _require_tunable(method, row, budget, limit)
    chance = make_sampler(sampler, row.search, seed, method)
    suite = load_suite(suite) if isinstance(suite, str) else suite
    cap = None if row.from_scratch else limit
    counted = _tuning_models(suite, models), _tuning_oracles(suite, oracles)
    field = Field(suite, tuple(tuning_sets(suite)), method, *counted, cap, seed)
    _build(field, workers, watch)
    trials: list[Trial] = []
    proposed: list[Settings] = [{}, *chance.ask(budget - 1)]
    while proposed:
        done = _run(field, len(trials), proposed, workers, watch)
        trials += done
        chance.tell([each.objective for each in done if each.number])
        proposed = chance.ask(budget - len(trials))
    return Search(
        method=method,
        suite=suite.name,
        suite_digest=suite.digest,
        objective=OBJECTIVE,
        sampler=sampler,
        seed=seed,
        budget=budget,
        limit=cap,
        pretrained=[field.models[0], field.models[-1]],
        oracles=[0, field.oracles - 1],
        space={key: described(space) for key, space in row.search.items()},
        sets=[{"name": each.name, "size": len(each), "digest": each.digest, "made": each.made} for each in field.sets],
        untouched=objective([_untouched(field, forget)[0] for forget in field.sets]),
        trials=trials,
        chosen=choose(method, row, trials),
        hardware=hardware(),
        versions=versions(),
    )


def objective(values: Sequence[Klom]) -> float:
    """Mean over splits, then over tuning sets.

    >>> objective([{"forget": 3.0, "retain": 1.0, "test": 2.0}, {"forget": 5.0, "retain": 1.0, "test": 0.0}])
    2.0
    """
    return float(np.mean([np.mean(list(each.values())) for each in values]))


def choose(name: str, method: Method, trials: Sequence[Trial]) -> Chosen | None:
    """The trial with the least objective, the first of equals, with all its settings; None where every one failed."""
    found = [(each.objective, each.number, each.settings) for each in trials if each.objective is not None]
    if not found:
        return None
    value, number, settings = min(found, key=lambda each: each[:2])
    return Chosen(trial=number, objective=value, settings=asdict(configure(name, method, settings)))


def described(space: Space) -> dict[str, Any]:
    """A space as JSON has it."""
    return {"values": list(space.values)} if isinstance(space, OneOf) else asdict(space)


def _require_tunable(name: str, method: Method, budget: int, limit: float) -> None:
    if method.anchor:
        raise BadSetting(f"{name!r} is an anchor: its row is made of margins, there is nothing to tune")
    if not method.search:
        own = "a method of your own states no settings" if ":" in name else "it has no settings that are searched"
        raise BadSetting(f"{name!r}: nothing to tune, {own}")
    if budget < 1:
        raise BadSetting(f"expected a budget of at least 1 trial, got {budget}")
    if not 0 < limit < float("inf"):
        raise BadSetting(f"expected a limit above 0, as a share of one retraining, got {limit}")


def _tuning_models(suite: Suite, models: int | None) -> range:
    """The first of the pretrained models that serve tuning: the second half of the suite's."""
    half = suite.models // 2
    count = min(MODELS, half) if models is None else models
    if not 2 <= count <= half:
        raise BadSetting(
            f"expected 2 to {half} models, half of the {suite.models} that suite {suite.name!r} has (the other half "
            f"is scored), got {count}"
        )
    return range(half, half + count)


def _tuning_oracles(suite: Suite, oracles: int | None) -> int:
    half = suite.models // 2
    if oracles is not None and not 2 <= oracles <= half:
        raise BadSetting(f"expected 2 to {half} oracles, half of the {suite.models} of a forget set, got {oracles}")
    return half if oracles is None else oracles


def _build(field: Field, workers: Workers, watch: Watch) -> None:
    """Have the pretrained models, the oracles of the tuning sets, and what the method takes out of a store."""
    suite, method = field.suite, find_method(field.method)
    pretrain(suite, len(field.models), first=field.models.start, workers=workers, watch=watch)
    # a method that is given oracles takes others than those it is compared with
    count = suite.models if "oracles" in method.needs else field.oracles
    build_all([(Plan(suite, "oracle", forget), count) for forget in field.sets], workers=workers, watch=watch)
    if method.prepare:
        config = configure(field.method, method, {})
        if method.prepare.plan:
            plans = [method.prepare.plan(suite, forget, config) for forget in field.sets]
            build_all([(plan, suite.models) for plan in plans], workers=workers, watch=watch)
        for forget in field.sets:
            method.prepare.require(suite, forget, config)


def _run(field: Field, first: int, proposed: Sequence[Settings], workers: Workers, watch: Watch) -> list[Trial]:
    """The trials of these settings, numbered from ``first``; a job is a trial on one tuning set."""
    jobs: dict[int, tuple[int, str]] = {}
    found: dict[int, dict[str, dict[str, Any]]] = {number: {} for number in range(len(proposed))}
    wanted = []
    for number, settings in enumerate(proposed):
        try:
            tasks = [_task(field, forget, settings) for forget in field.sets]
        except (BadSetting, StoreError) as error:  # settings that do not go together, or need what nobody has made
            found[number]["refused"] = {"reason": str(error)}
            continue
        for task in tasks:
            kept = user_store().read(_key(field, task))
            if kept:
                found[number][task.forget.name] = kept.meta
                continue
            label = f"trial {first + number} of {field.method} on {task.forget.name}"
            job = Job(label, run_trial, (field, task), shared=(field.suite,))
            jobs[id(job)] = (number, task.forget.name)
            wanted.append(job)
    for job, meta in run_jobs(wanted, workers, watch):
        number, name = jobs[id(job)]
        found[number][name] = meta
    return [_trial(field, first + number, settings, found[number]) for number, settings in enumerate(proposed)]


def _task(field: Field, forget: ForgetSet, settings: Settings) -> Task:
    method = find_method(field.method)
    config = configure(field.method, method, settings)
    if method.prepare:
        method.prepare.require(field.suite, forget, config)
    return Task(field.suite, forget, field.method, config, field.seed)


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


def run_trial(field: Field, task: Task) -> dict[str, Any]:
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
    _, usual = _untouched(field, task.forget)
    for split, count in strays.items():
        if count > usual[split]:  # they stretch KLoM's bins and hide what the other models do
            raise MethodFailed(f"makes outliers of {count} of {len(margins)} models on {split}")
    return {"klom": found, "cost": float(cost), "seconds": float(seconds)}


def _unlearned(field: Field, task: Task, models: Sequence[int]) -> tuple[ndarray, float, float]:
    """Margins, cost and seconds after the last epoch; a method that costs too much is stopped."""
    ensemble = pretrain(field.suite, len(models), first=models[0])
    last = None
    for last in run_method(task.name, task.method, task.config, ensemble, field.suite, task.forget, task.seed):
        if field.limit is not None and last.cost > field.limit:
            raise MethodFailed(
                f"costs too much: {last.cost:.1%} of a retraining after epoch {last.epoch}, limit {field.limit:.1%}"
            )
    if last is None:
        raise MethodFailed("yielded no ensemble")
    values = measure(last.ensemble, field.suite.data)[0]
    if not values.isfinite().all():
        raise MethodFailed("diverged: margins are not finite")
    return values.numpy(), last.cost, last.seconds


def _untouched(field: Field, forget: ForgetSet) -> tuple[Klom, dict[str, int]]:
    """What the pretrained models get, nothing done."""
    models = field.models
    return _near(field, forget, read_measured(Plan(field.suite, "pretrained"), models.start, len(models)).margins)


def _near(field: Field, forget: ForgetSet, margins: ndarray) -> tuple[Klom, dict[str, int]]:
    """P95 of KLoM, and the number of outliers among the models, of each split."""
    oracle = read_measured(Plan(field.suite, "oracle", forget), 0, field.oracles).margins
    columns, values = field.suite.columns(forget), klom(margins, oracle)
    far = outliers_of_parts(margins, oracle, list(columns.values()))
    return (
        {split: float(np.percentile(values[some], 95)) for split, some in columns.items()},
        {split: int(each.sum()) for split, each in zip(columns, far, strict=True)},
    )


def _key(field: Field, task: Task) -> str:
    """Where a trial on a tuning set is kept: it changes with all that changes the result."""
    facts = [task.key(field.models), field.oracles, field.limit, _source_digest()]
    return f"{field.suite.digest}/tuning/{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}"


@cache
def _source_digest() -> str:
    """Hash of the code that turns unlearned models into a trial."""
    names = ("tuning.py", "klom.py", "_kernels.py", "outliers.py")
    return hashlib.sha256(b"".join((Path(__file__).parent / name).read_bytes() for name in names)).hexdigest()

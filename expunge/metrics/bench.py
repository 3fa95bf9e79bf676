"""The main job: run methods on pretrained ensembles, chunk by chunk, score them against the oracles, write it down."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import torch

from expunge.engine import Job, Watch, Workers, default_workers, one_thread, run_jobs, silent, warn
from expunge.ensembles.measured import Measured, read_measured, require_dense
from expunge.ensembles.plan import Plan
from expunge.ensembles.train import cross_entropy
from expunge.ensembles.weights import pretrain
from expunge.errors import BadMargins, BadSetting
from expunge.methods import METHODS, configure, find_method
from expunge.methods.recipes import recipes_for
from expunge.methods.task import Outcome, Task, unlearn_chunk
from expunge.metrics.broken import is_broken
from expunge.metrics.classic_scores import Truth, classic_scores, truth_of
from expunge.metrics.evaluate import (
    accuracy_scores,
    distinguishable_scores,
    failed_scores,
    held_out,
    klom_scores,
    outlier_scores,
    require_independent,
)
from expunge.metrics.klom import klom
from expunge.metrics.output import arrays_file, prepare, write_arrays, write_records, write_reference
from expunge.metrics.ranking import rank
from expunge.metrics.row import Row
from expunge.records import Score, Split
from expunge.store import user_store
from expunge.suites import ForgetSet, Suite, load_suite

ALL = "all"  # names every method that has what it needs
ANCHORS = tuple(name for name, method in METHODS.items() if method.anchor)


def bench(
    suite: Suite | str,
    methods: Sequence[str] | None = None,
    forget_sets: Sequence[str] | None = None,
    *,
    models: int = 100,
    settings: Mapping[str, Mapping[str, object]] | None = None,
    recipe: str = "tuned",
    seed: int = 0,
    out: Path | str = "out",
    workers: Workers = 1,
    watch: Watch = silent,
    command: str = "",
) -> list[Score]:
    """Score ``methods`` on ``forget_sets`` (default of both: all) and write records and arrays to ``out``.

    By default, or where one of ``methods`` is "all", methods that are not named are left out for which the store lacks
    what they take out of it, and that is said.

    ``recipe`` is "tuned" for the settings that were found for the suite, where there are some, or "default"; those in
    ``settings`` go on top. The anchors ``identity`` and ``oracle`` are in every bench. A method that raises or diverges
    becomes rows of status "failed"; the others finish. What was computed before, by whatever run, is taken from the
    store.

    Files: ``scores.jsonl`` (last epoch), ``curve.jsonl`` (every epoch), ``run.json``, and for every forget set
    ``arrays/SET/METHOD.npz`` with margins, KLoM and what is distinguishable, ``arrays/SET/reference.npz``.
    """
    started = time.perf_counter()
    suite = load_suite(suite) if isinstance(suite, str) else suite
    tasks = plan_tasks(suite, methods, forget_sets, models=models, settings=settings, recipe=recipe, seed=seed)
    _require_ensembles(tasks, models)
    folder = prepare(Path(out))
    if _wants_all(methods):
        _tell_left_out(tasks)
    scores: list[Score] = []
    curve: list[Score] = []
    truths: dict[str, Truth] = {}
    for task, outcomes in _run(tasks, models, workers, watch):
        oracle = read_measured(Plan(suite, "oracle", task.forget), 0, models)
        if task.forget.name not in truths:
            identity = Row(suite, task.forget, "identity", read_measured(Plan(suite, "pretrained"), 0, models))
            truths[task.forget.name] = truth_of(held_out(identity), oracle)
        last, points = _score(folder, task, outcomes, oracle, truths[task.forget.name])
        scores += last
        curve += points
    for forget in {task.forget.name: task.forget for task in tasks}.values():
        write_reference(folder, suite, forget, models)
        scores += _ranks(folder, suite, forget, scores)
    write_records(folder, scores, curve, suite, command, time.perf_counter() - started)
    return scores


def plan_tasks(
    suite: Suite,
    methods: Sequence[str] | None,
    forget_sets: Sequence[str] | None,
    *,
    models: int,
    settings: Mapping[str, Mapping[str, object]] | None = None,
    recipe: str = "tuned",
    seed: int = 0,
) -> list[Task]:
    """Every row of the bench, checked before any work: names, settings, number of models.

    Without ``methods``, or with "all", those that are not named are left out for which the store lacks what they take
    out of it, or which need convolutions where the network has none.
    """
    if not 2 <= models <= suite.models // 2:
        raise BadSetting(
            f"expected 2 to {suite.models // 2} models, half of the {suite.models} that suite {suite.name!r} has "
            f"(the other half of the oracles is the floor), got {models}"
        )
    named = [name for name in methods or () if name != ALL]
    names = list(dict.fromkeys([*ANCHORS, *(METHODS if _wants_all(methods) else ()), *named]))
    settings = dict(settings or {})
    for name in settings:
        if name not in names:
            raise BadSetting(
                f"a setting is given for {name!r}, which is not benched; the methods are {', '.join(names)}"
            )
    used = recipes_for(suite, names, settings, recipe)
    configs = {name: configure(name, find_method(name), used[name].settings) for name in names}
    chosen = [suite.forget_sets[name] for name in dict.fromkeys(forget_sets or suite.forget_sets)]
    for name in named:
        prepare = find_method(name).prepare
        if prepare and prepare.plan:
            require_dense(suite, name)  # which nothing that is built can mend
    tasks = [
        Task(suite, forget, name, configs[name], seed, used[name].label) for forget, name in product(chosen, names)
    ]
    if not _wants_all(methods):
        return tasks
    return [task for task in tasks if task.name in named or (task.fits and not task.lacks(range(models)))]


def _wants_all(methods: Sequence[str] | None) -> bool:
    return methods is None or ALL in methods


def _require_ensembles(tasks: Sequence[Task], models: int) -> None:
    """Read all that rows are compared with, so that what is missing or damaged is known before any work."""
    suite = tasks[0].suite
    read_measured(Plan(suite, "pretrained"), 0, models)
    for forget in {task.forget.name: task.forget for task in tasks}.values():
        for first in (0, suite.models // 2):
            read_measured(Plan(suite, "oracle", forget), first, models)
    for task in tasks:
        task.require(range(models))


def _tell_left_out(tasks: Sequence[Task]) -> None:
    for forget in {task.forget.name: task.forget for task in tasks}.values():
        left = METHODS.keys() - {task.name for task in tasks if task.forget is forget}
        if left:
            warn(
                f"{forget.name}: left out are {', '.join(sorted(left))}, for which more must be built, or a network "
                "with convolutions; name one to see"
            )


def _run(tasks: Sequence[Task], models: int, workers: Workers, watch: Watch) -> Iterator[tuple[Task, list[Outcome]]]:
    """Each task with its outcomes, in the order of ``tasks``; jobs run side by side and finish in any order."""
    outcomes: dict[int, list[Outcome]] = {number: [] for number in range(len(tasks))}
    jobs, owner = [], {}
    for number, task in enumerate(tasks):
        for part in () if task.method.anchor else _chunks(models, task.suite.chunk):
            done = user_store().read(task.key(part))
            if done:
                outcomes[number].append(Outcome(part, done))
                continue
            job = Job(f"{task.name} on {task.forget.name}", unlearn_chunk, (task, part), shared=(task.suite,))
            jobs.append(job)
            owner[id(job)] = number
    for job, outcome in run_jobs(jobs, workers, watch):
        outcomes[owner[id(job)]].append(outcome)
    for number, task in enumerate(tasks):
        yield task, sorted(outcomes[number], key=lambda outcome: outcome.models.start)


def _chunks(models: int, size: int) -> list[range]:
    return [range(first, min(first + size, models)) for first in range(0, models, size)]


def _score(
    folder: Path, task: Task, outcomes: Sequence[Outcome], oracle: Measured, truth: Truth
) -> tuple[list[Score], list[Score]]:
    """The scores of the last epoch and of every epoch of a task; the arrays of the last go to ``folder``."""
    reasons = [
        f"models {each.models.start} to {each.models.stop - 1}: {each.reason}" for each in outcomes if each.reason
    ]
    models = len(oracle.margins)
    if reasons:
        empty = Row(task.suite, task.forget, task.name, oracle, task.settings, seed=task.seed, recipe=task.recipe)
        arrays_file(folder, task.forget, task.name).unlink(missing_ok=True)
        return failed_scores(empty, models, models, reasons[0]), []
    rows = _rows(task, outcomes, models)
    try:
        require_independent(rows[-1], oracle)
    except BadMargins as error:
        return failed_scores(rows[-1], models, models, str(error)), []
    epochs = [[*klom_scores(row, oracle), *accuracy_scores(row, models)] for row in rows]
    told, flags = distinguishable_scores(rows[-1], oracle)
    others = [*told, *outlier_scores(rows[-1], oracle), *classic_scores(rows[-1], truth)]
    margins = rows[-1].measured.margins
    arrays = {"margins": margins, "klom": klom(margins, oracle.margins)}
    if flags is not None:
        arrays["distinguishable"] = flags
    write_arrays(arrays_file(folder, task.forget, task.name), arrays)
    return [*epochs[-1], *others], [score for epoch in epochs for score in epoch]


def _ranks(folder: Path, suite: Suite, forget: ForgetSet, scores: Sequence[Score]) -> list[Score]:
    """The rank of every method on a forget set, with the places that the data leave open.

    Upper bounds have none, nor do methods that break the model: a broken method must not win. Where an anchor failed,
    nothing says who breaks it, and none has a rank.
    """
    here = [score for score in scores if score.forget_set == forget.name and score.status == "ok"]
    found = {name: _Found([score for score in here if score.method == name]) for name in {each.method for each in here}}
    if not found.keys() >= set(ANCHORS):
        return []
    anchors = found["oracle"], found["identity"]
    broken = {name for name, each in found.items() if name != "oracle" and is_broken(each, *anchors)}
    headlines = {
        score.method: score
        for score in here
        if (score.split, score.metric, score.aggregate) == ("forget", "klom", "p95")
        and score.method not in broken
        and find_method(score.method).ranked
    }
    with np.load(arrays_file(folder, forget, "reference")) as arrays:
        oracle = arrays["oracle"]
    margins = {}
    for name in headlines:
        with np.load(arrays_file(folder, forget, name)) as arrays:
            margins[name] = arrays["margins"]
    return [
        replace(headlines[name], metric="rank", value=place.best, low=place.best, high=place.worst)
        for name, place in rank(margins, oracle, list(suite.columns(forget).values())).items()
    ]


@dataclass(frozen=True)
class _Found:
    """The scores of one row on one forget set, as far as they say whether it breaks the model."""

    scores: Sequence[Score]

    def klom(self, split: Split) -> Score | None:
        return self._one(split, "klom", "p95")

    def strays(self, split: Split) -> float:
        share = self._one(split, "outliers", "share")
        return (share.value or 0.0) if share else 0.0

    def _one(self, *wanted: str) -> Score | None:
        return next((each for each in self.scores if (each.split, each.metric, each.aggregate) == wanted), None)


def _rows(task: Task, outcomes: Sequence[Outcome], models: int) -> list[Row]:
    """One row per epoch; an anchor has one."""
    suite, forget = task.suite, task.forget
    pretrained = read_measured(Plan(suite, "pretrained"), 0, models)
    identity = Row(suite, forget, "identity", pretrained, cost=0.0, seconds=0.0, seed=task.seed)
    if task.name == "identity":
        return [identity]
    if task.name == "oracle":
        return [held_out(identity)]
    artefacts = [outcome.artefact for outcome in outcomes if outcome.artefact]
    margins = np.concatenate([each.array("margins") for each in artefacts], axis=1)
    correct: Sequence[np.ndarray | None] = [None] * len(margins)
    if not task.method.predict:
        packed = np.concatenate([each.array("correct") for each in artefacts], axis=1)
        correct = list(np.unpackbits(packed, axis=2, count=margins.shape[2]).astype(bool))
    shares = [outcome.models.stop - outcome.models.start for outcome in outcomes]
    costs, seconds = (
        np.average([each.meta[name] for each in artefacts], axis=0, weights=shares).tolist()
        for name in ("costs", "seconds")
    )
    origin = pretrained.origin
    return [
        Row(
            suite,
            forget,
            task.name,
            Measured(margins[epoch], correct[epoch], origin),
            task.settings,
            epoch=epoch + 1,
            cost=costs[epoch],
            seconds=seconds[epoch],
            seed=task.seed,
            recipe=task.recipe,
            run_times=tuple(each.meta["seconds"][epoch] for each in artefacts),
        )
        for epoch in range(len(margins))
    ]


def estimate_seconds(tasks: Sequence[Task], models: int, workers: Workers) -> float | None:
    """How long the bench will take, from a short burst of training; None where a method of the user's own is in it."""
    _require_ensembles(tasks, models)  # or models would be trained for the sake of an estimate
    if any(":" in task.name for task in tasks):
        return None
    side = default_workers() if isinstance(workers, str) else min(workers, default_workers())
    work = sum(_units(task) for task in tasks if not task.method.anchor and not _stored(task, models))
    return 4.0 + work * models * _seconds_per_unit(tasks[0].suite) / side


def _stored(task: Task, models: int) -> bool:
    return all(user_store().read(task.key(part)) for part in _chunks(models, task.suite.chunk))


def _units(task: Task) -> float:
    """Forward and backward passes of one example through one model that a task takes, its measurements included."""
    split = task.suite.split(task.forget)
    examples = len(split.forget) + (len(split.retain) if "retain data" in task.method.needs else 0)
    once = task.suite.recipe.passes if task.method.from_scratch else 1
    return float(getattr(task.config, "epochs", once) * (1.2 * examples + task.suite.data.examples / 3))


@cache
def _seconds_per_unit(suite: Suite) -> float:
    """Time of one example's forward and backward pass through one model, measured on a few batches of a few models."""
    ensemble = pretrain(suite, 8).train()
    batch = suite.data.train.take(np.arange(suite.recipe.batch_size))
    rows = torch.arange(len(batch)).expand(len(ensemble), -1)
    best = np.inf
    with one_thread():
        for _ in range(4):  # the first one warms up
            started = time.perf_counter()
            cross_entropy(ensemble(batch.x[rows]), batch.y[rows]).sum().backward()
            best = min(best, time.perf_counter() - started)
    return best / rows.numel()

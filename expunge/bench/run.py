"""The main job: a planned bench is run, chunk by chunk; a forget set is scored and written while others still run."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from numpy import ndarray

from expunge.bench.contents import Place, contents_of, in_order, require_room
from expunge.bench.folder import prepare
from expunge.bench.joining import Addition, NewRow, join
from expunge.bench.plan import BenchPlan
from expunge.bench.ranks import compare, rankable, with_causes
from expunge.bench.retraining_time import retraining_seconds
from expunge.bench.rows import empty_row, rows_of
from expunge.bench.score import ScoredRow, failed_scores, reference_of, score_row
from expunge.bench.work import comparing, scoring, unlearning
from expunge.engine import Watch, Workers, run_jobs, warn
from expunge.ensembles.pretraining import watching
from expunge.errors import MethodFailed
from expunge.files import unchanging
from expunge.jobs import Job
from expunge.methods.task import Outcome, Task, finished, unlearn_chunk
from expunge.metrics import METRICS
from expunge.names import require_name
from expunge.records import Score
from expunge.suites import ForgetSet, Suite
from expunge.timing import Work

Sizes = tuple[int, int]  # of models that are unlearned, and of oracles they are compared with


def run_bench(
    plan: BenchPlan,
    out: Path | str = "out",
    *,
    workers: Workers = 1,
    watch: Watch | None = None,
    command: str = "",
) -> list[Score]:
    """Score the rows of ``plan`` against the oracles, and write records and arrays to ``out``.

    A method that raises or diverges becomes rows of status "failed", and the others finish. Whatever an earlier run
    computed is taken from the store. The workers that unlearn also score. Once all rows of a forget set are scored,
    their records are added to those in ``out``: the same row is replaced, others stay, and ranks are computed among all
    of them. A folder of another suite or number of models is refused before any work. The records of the rows of
    ``plan`` are returned. Progress goes to standard error, or, job by job, to ``watch``.

    Files: ``scores.jsonl`` (last epoch), ``curve.jsonl`` (every epoch), ``run.json``, and for every forget set
    ``arrays/SET/METHOD.npz`` with margins, KLoM and what is distinguishable, ``arrays/SET/reference.npz``.
    """
    plan.require()
    require_place(plan, Path(out))
    bench = _Bench(plan, prepare(Path(out)), command)
    for forget, names in plan.left_out.items():
        warn(
            f"{forget}: left out are {', '.join(names)}, for which more must be built, or another network; name one to "
            "see"
        )
    first = bench.first_jobs()
    with watching("bench", watch) as watch:
        for job, result in run_jobs(first, workers, watch, then=bench.follow, to_come=bench.to_come(first)):
            bench.keep(job, result)
    return bench.scores


def require_place(plan: BenchPlan, folder: Path) -> None:
    """Refuse names that cannot stand in records, and a folder in which the rows of ``plan`` cannot stand."""
    require_name("suite", plan.suite.name)
    places = {}
    for forget in plan.forget_sets:
        methods = frozenset(require_name("method", task.name) for task in plan.of(forget))
        places[forget.name] = Place(forget.sha256, methods, plan.models, plan.oracles)
    with unchanging(folder):
        require_room(folder, contents_of(folder), (plan.suite.name, plan.suite.digest), places)


@dataclass(frozen=True, eq=False)
class Unlearn(Job):
    """Runs a task on some models."""

    task: Task = field(kw_only=True)


def unlearn_job(task: Task, part: range, keep_weights: bool) -> Unlearn:
    """The job that unlearns the models ``part``, and keeps what comes of it in the store."""
    label, arguments = f"{task.name} on {task.forget.name}", (task, part, keep_weights)
    return Unlearn(label, unlearn_chunk, arguments, (task.suite,), unlearning(task, part), task=task)


@dataclass(frozen=True, eq=False)
class _Score(Job):
    """Scores the row of a task."""

    task: Task = field(kw_only=True)


@dataclass(frozen=True, eq=False)
class _Compare(Job):
    """Ranks the rows of a forget set."""

    forget: ForgetSet = field(kw_only=True)


class _Bench:
    """What is known of a bench while it runs."""

    def __init__(self, plan: BenchPlan, folder: Path, command: str) -> None:
        self.plan, self.folder, self.command = plan, folder, command
        self._sizes: Sizes = plan.models, plan.oracles
        self._started = time.perf_counter()
        self._outcomes: dict[int, dict[int, Outcome]] = {id(task): {} for task in plan.tasks}
        self._rows: dict[int, ScoredRow] = {}
        self._joined: dict[str, list[Score]] = {}  # by forget set, what was written of it

    @property
    def scores(self) -> list[Score]:
        """The records so far, in the order in which the folder has them: of forget sets that are finished."""
        sets = list(self.plan.suite.forget_sets)
        return [score for name in sorted(self._joined, key=sets.index) for score in self._joined[name]]

    def first_jobs(self) -> list[Job]:
        """What can be done at once: unlearning that is not in the store, and scoring of what is."""
        jobs: list[Job] = []
        for task in self.plan.tasks:
            parts = [] if task.method.anchor else task.chunks(range(self.plan.models))
            missing = []
            for part in parts:
                kept = finished(task, part, with_weights=self.plan.keep_weights)
                if kept:
                    self._outcomes[id(task)][part.start] = kept
                else:
                    missing.append(part)
            jobs += [unlearn_job(task, part, self.plan.keep_weights) for part in missing]
            if not missing:
                jobs.append(self._score_job(task))
        return jobs

    def to_come(self, first: Sequence[Job]) -> list[Work]:
        """The jobs that will follow."""
        begun = {id(job.task) for job in first if isinstance(job, _Score)}
        scored = [
            scoring(task, self.plan.models, self.plan.metrics) for task in self.plan.tasks if id(task) not in begun
        ]
        return [*scored, *(comparing(self.plan.of(each), self.plan.models) for each in self.plan.forget_sets)]

    def follow(self, job: Job, result: object) -> Iterable[Job]:
        """What a finished job makes possible."""
        if isinstance(job, Unlearn) and isinstance(result, Outcome):
            found = self._outcomes[id(job.task)]
            found[result.models.start] = result
            if len(found) == len(job.task.chunks(range(self.plan.models))):
                yield self._score_job(job.task)
        elif isinstance(job, _Score) and isinstance(result, ScoredRow):
            self._rows[id(job.task)] = result
            tasks = self.plan.of(job.task.forget)
            if all(id(task) in self._rows for task in tasks):
                yield self._compare_job(job.task.forget, tasks)

    def keep(self, job: Job, result: object) -> None:
        """Write what a job brought to the folder: arrays and records of a forget set change together."""
        if not (isinstance(job, _Compare) and isinstance(result, list)):
            return
        self._joined[job.forget.name] = join(
            self.folder,
            Addition(
                self.plan.suite,
                job.forget,
                self._new_rows(job.forget),
                models=self.plan.models,
                oracles=self.plan.oracles,
                ranks=result,
                command=self.command,
                seconds=time.perf_counter() - self._started,
                coming={(task.forget.name, task.name) for task in self.plan.tasks},
            ),
        )

    def _new_rows(self, forget: ForgetSet) -> dict[str, NewRow]:
        """The rows of a forget set; those that break the model say why, as far as is known."""
        rows = {task: self._rows[id(task)] for task in self.plan.of(forget)}
        scores = {task.name: row.scores for task, row in rows.items()}
        told = with_causes(scores, {task.name: row.cause for task, row in rows.items()})
        found = {}
        for task, row in rows.items():
            failed = any(score.status == "failed" for score in row.scores)
            found[task.name] = NewRow(told[task.name], row.curve, None if failed else partial(self._arrays, task))
        return found

    def _arrays(self, task: Task) -> dict[str, ndarray]:
        """The margins of a row after its last epoch, and what is kept beside them."""
        reference = reference_of(self.plan.suite, task.forget, self.plan.models, self.plan.oracles)
        margins = rows_of(task, self._found(task), self.plan.models, reference)[-1].margins.values
        return {"margins": margins, **self._rows[id(task)].arrays}

    def _found(self, task: Task) -> list[Outcome]:
        return [outcome for _, outcome in sorted(self._outcomes[id(task)].items())]

    def _score_job(self, task: Task) -> Job:
        seconds = None
        timed = any("run times" in METRICS[name].reads for name in self.plan.metrics)
        if timed and not task.method.anchor:
            seconds = retraining_seconds(task.suite, task.forget)
        label = f"scores of {task.name} on {task.forget.name}"
        arguments = (task, self._found(task), self._sizes, self.plan.metrics, seconds)
        return _Score(
            label, score_task, arguments, (task.suite,), scoring(task, self.plan.models, self.plan.metrics), task=task
        )

    def _compare_job(self, forget: ForgetSet, tasks: Sequence[Task]) -> Job:
        ranked = _ranked(tasks, {task.name: self._rows[id(task)].scores for task in tasks})
        rows = [(task, self._found(task)) for task in ranked]
        arguments = (rows, self.plan.suite, forget, self._sizes, self.plan.metrics)
        label, work = f"ranks on {forget.name}", comparing(tasks, self.plan.models)
        return _Compare(label, compare_tasks, arguments, (self.plan.suite,), work, forget=forget)


def score_task(
    task: Task, outcomes: Sequence[Outcome], sizes: Sizes, metrics: Sequence[str], seconds: float | None
) -> ScoredRow:
    """Every number of a task's row; a task that failed is a row without numbers. Workers run this."""
    models, oracles = sizes
    reference = reference_of(task.suite, task.forget, models, oracles, seconds)
    reasons = [
        f"models {each.models.start} to {each.models.stop - 1}: {each.reason}" for each in outcomes if each.reason
    ]
    if reasons:
        return ScoredRow(failed_scores(empty_row(task, reference), reference, models, reasons[0]))
    try:
        return score_row(rows_of(task, outcomes, models, reference), reference, metrics)
    except MethodFailed as error:  # a metric asked for models that could not be made again
        return ScoredRow(failed_scores(empty_row(task, reference), reference, models, str(error)))


def compare_tasks(
    found: Sequence[tuple[Task, Sequence[Outcome]]],
    suite: Suite,
    forget: ForgetSet,
    sizes: Sizes,
    metrics: Sequence[str],
) -> list[Score]:
    """The ranks of these rows of a forget set. Workers run this."""
    models, oracles = sizes
    reference = reference_of(suite, forget, models, oracles)
    last = {task.name: rows_of(task, outcomes, models, reference)[-1] for task, outcomes in found}
    return compare({name: last[name] for name in in_order(last)}, reference, metrics)


def _ranked(tasks: Sequence[Task], scores: Mapping[str, Sequence[Score]]) -> list[Task]:
    """The tasks whose rows have a rank."""
    names = rankable(scores)
    return [task for task in tasks if task.name in names]

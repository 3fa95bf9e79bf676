"""The main job: a planned bench is run, chunk by chunk; a forget set is scored and written while others still run."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from expunge.bench.breakage import is_broken
from expunge.bench.folder import (
    arrays_file,
    prepare,
    read_folder,
    remove_arrays,
    rows_replaced,
    write_arrays,
    write_records,
    write_reference,
)
from expunge.bench.plan import ANCHORS, BenchPlan
from expunge.bench.retraining_time import retraining_seconds
from expunge.bench.rows import empty_row, rows_of
from expunge.bench.score import ScoredRow, compare_rows, failed_scores, reference_of, score_row
from expunge.bench.work import comparing, scoring, unlearning
from expunge.engine import Job, Watch, Workers, run_jobs, silent, warn
from expunge.errors import MethodFailed, StoreError
from expunge.methods import find_method
from expunge.methods.task import Outcome, Task, finished, unlearn_chunk
from expunge.metrics import METRICS
from expunge.records import Score, SplitName
from expunge.suites import ForgetSet, Suite
from expunge.timing import Work


def run_bench(
    plan: BenchPlan,
    out: Path | str = "out",
    *,
    workers: Workers = 1,
    watch: Watch = silent,
    command: str = "",
) -> list[Score]:
    """Score the rows of ``plan`` against the oracles, and write records and arrays to ``out``.

    A method that raises or diverges becomes rows of status "failed"; the others finish. What was computed before, by
    whatever run, is taken from the store. Rows are scored by the workers that also unlearn; as soon as all rows of a
    forget set are, its records are written. Other rows that ``out`` has records of are replaced, which is said.

    Files: ``scores.jsonl`` (last epoch), ``curve.jsonl`` (every epoch), ``run.json``, and for every forget set
    ``arrays/SET/METHOD.npz`` with margins, KLoM and what is distinguishable, ``arrays/SET/reference.npz``.
    """
    plan.require()
    bench = _Bench(plan, prepare(Path(out)), command)
    for forget, names in plan.left_out.items():
        warn(
            f"{forget}: left out are {', '.join(names)}, for which more must be built, or another network; name one to "
            "see"
        )
    first = bench.first_jobs()
    for job, result in run_jobs(first, workers, watch, then=bench.follow, to_come=bench.to_come(first)):
        bench.keep(job, result)
    return bench.scores


@dataclass(frozen=True, eq=False)
class _Unlearn(Job):
    """Runs a task on some models."""

    task: Task = field(kw_only=True)


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
        self._started = time.perf_counter()
        self._outcomes: dict[int, dict[int, Outcome]] = {id(task): {} for task in plan.tasks}
        self._rows: dict[int, ScoredRow] = {}
        self._ranks: dict[str, list[Score]] = {}
        self._before = _records_of(plan, folder)
        self._gone = rows_replaced(folder, {(task.forget.name, task.name) for task in plan.tasks})

    @property
    def scores(self) -> list[Score]:
        """The records so far, in the order of the plan: of forget sets that are finished."""
        done = [forget for forget in self.plan.forget_sets if forget.name in self._ranks]
        return [
            score
            for forget in done
            for part in (*(self._rows[id(task)].scores for task in self.plan.of(forget)), self._ranks[forget.name])
            for score in part
        ]

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
            for part in missing:
                label = f"{task.name} on {task.forget.name}"
                arguments = (task, part, self.plan.keep_weights)
                work = unlearning(task, part)
                jobs.append(_Unlearn(label, unlearn_chunk, arguments, (task.suite,), work, task=task))
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
        if isinstance(job, _Unlearn) and isinstance(result, Outcome):
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
        """Write what a job brought to the folder."""
        if not (isinstance(job, _Compare) and isinstance(result, list)):
            return
        self._ranks[job.forget.name] = result
        for task in self.plan.of(job.forget):  # arrays and records of a set change together
            self._keep_row(task, self._rows[id(task)])
        write_reference(self.folder, self.plan.suite, job.forget, self.plan.models)
        waiting = [set_ for set_ in self.plan.forget_sets if set_.name not in self._ranks]
        old = [self._before[set_.name] for set_ in waiting if set_.name in self._before]
        curve = [
            score for task in self.plan.tasks if task.forget.name in self._ranks for score in self._rows[id(task)].curve
        ]
        write_records(
            self.folder,
            [*self.scores, *(score for scores, _ in old for score in scores)],
            [*curve, *(score for _, points in old for score in points)],
            self.plan.suite,
            self.command,
            time.perf_counter() - self._started,
        )
        remove_arrays(self.folder, self._gone, [forget.name for forget in self.plan.forget_sets])
        self._gone = set()

    def _keep_row(self, task: Task, row: ScoredRow) -> None:
        file = arrays_file(self.folder, task.forget, task.name)
        if not row.arrays:
            file.unlink(missing_ok=True)
            return
        reference = reference_of(self.plan.suite, task.forget, self.plan.models, self.plan.models)
        margins = rows_of(task, self._found(task), self.plan.models, reference)[-1].margins.values
        write_arrays(file, {"margins": margins, **row.arrays})

    def _found(self, task: Task) -> list[Outcome]:
        return [outcome for _, outcome in sorted(self._outcomes[id(task)].items())]

    def _score_job(self, task: Task) -> Job:
        seconds = None
        timed = any("run times" in METRICS[name].reads for name in self.plan.metrics)
        if timed and not task.method.anchor:
            seconds = retraining_seconds(task.suite, task.forget)
        label = f"scores of {task.name} on {task.forget.name}"
        arguments = (task, self._found(task), self.plan.models, self.plan.metrics, seconds)
        return _Score(
            label, score_task, arguments, (task.suite,), scoring(task, self.plan.models, self.plan.metrics), task=task
        )

    def _compare_job(self, forget: ForgetSet, tasks: Sequence[Task]) -> Job:
        ranked = _ranked(tasks, {task.name: self._rows[id(task)].scores for task in tasks})
        rows = [(task, self._found(task)) for task in ranked]
        arguments = (rows, self.plan.suite, forget, self.plan.models, self.plan.metrics)
        label, work = f"ranks on {forget.name}", comparing(tasks, self.plan.models)
        return _Compare(label, compare_tasks, arguments, (self.plan.suite,), work, forget=forget)


def score_task(
    task: Task, outcomes: Sequence[Outcome], models: int, metrics: Sequence[str], seconds: float | None
) -> ScoredRow:
    """Every number of a task's row; a task that failed is a row without numbers. Workers run this."""
    reference = reference_of(task.suite, task.forget, models, models, seconds)
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
    models: int,
    metrics: Sequence[str],
) -> list[Score]:
    """The ranks of these rows of a forget set. Workers run this."""
    reference = reference_of(suite, forget, models, models)
    last = {task.name: rows_of(task, outcomes, models, reference)[-1] for task, outcomes in found}
    ranking = "expunge.bench.breakage", "expunge.bench.run"  # which say who is ranked at all
    rows = {name: replace(row, modules=(*row.modules, *ranking)) for name, row in last.items()}
    return compare_rows(rows, reference, metrics)


def _records_of(plan: BenchPlan, folder: Path) -> dict[str, tuple[list[Score], list[Score]]]:
    """Records and curve that ``folder`` has of forget sets of the plan, where they are of the very same rows.

    They stay until their set is finished anew; those of other rows, or that cannot be read, are replaced.
    """
    try:
        old = read_folder(folder)
    except (StoreError, OSError):
        return {}
    kept = {}
    for forget in plan.forget_sets:
        mine = [score for score in old.scores if score.subject.forget_digest == forget.sha256]
        wanted = {
            (plan.suite.digest, task.name, str(task.settings), task.seed, plan.models) for task in plan.of(forget)
        }
        found = {
            (each.subject.suite_digest, each.subject.method, str(each.subject.config), each.subject.seed, each.models)
            for each in mine
        }
        if found == wanted:
            points = [score for score in old.curve if score.subject.forget_digest == forget.sha256]
            kept[forget.name] = (mine, points)
    return kept


def _ranked(tasks: Sequence[Task], scores: Mapping[str, Sequence[Score]]) -> list[Task]:
    """The tasks whose rows have a rank.

    Upper bounds have none, nor do methods that break the model: a broken method must not win. Where an anchor failed,
    nothing says who breaks it, and none has a rank.
    """
    found = {name: _Found(each) for name, each in scores.items() if all(score.status == "ok" for score in each)}
    if not found.keys() >= set(ANCHORS):
        return []
    anchors = found["oracle"], found["identity"]
    broken = {name for name, each in found.items() if name != "oracle" and is_broken(each, *anchors)}
    return [task for task in tasks if task.name in found.keys() - broken and find_method(task.name).ranked]


@dataclass(frozen=True)
class _Found:
    """The scores of one row on one forget set, as far as they say whether it breaks the model."""

    scores: Sequence[Score]

    def klom(self, split: SplitName) -> Score | None:
        return self._one(split, "klom", "p95")

    def strays(self, split: SplitName) -> float:
        share = self._one(split, "outliers", "share")
        return (share.value or 0.0) if share else 0.0

    def _one(self, *wanted: str) -> Score | None:
        return next((each for each in self.scores if (each.split, each.metric, each.aggregate) == wanted), None)

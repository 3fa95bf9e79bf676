"""A bench that adds models in rounds, until it is decided which methods are nearer to the oracles than which."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter

from expunge.bench.plan import BenchPlan
from expunge.bench.ranks import may_be_ranked, sound
from expunge.bench.rows import rows_of
from expunge.bench.run import Sizes, Unlearn, require_place, run_bench, unlearn_job
from expunge.bench.score import reference_of, score_row
from expunge.bench.work import scoring, unlearning
from expunge.engine import Watch, Workers, run_jobs
from expunge.ensembles.pretraining import watching
from expunge.errors import BadSetting, TooFewModels
from expunge.files import write_file
from expunge.jobs import Job
from expunge.methods.task import Outcome, Task, finished
from expunge.metrics.jackknife import LeftOut
from expunge.metrics.racing import Decision, Race
from expunge.metrics.row import LEAST_ORACLES
from expunge.records import Score
from expunge.suites import ForgetSet
from expunge.timing import Work

FIRST = 20  # models of a round at least: with fewer a jackknife knows its own error badly
FILE = "decided.json"
SOUND = ("distance", "outliers")  # what says which rows could have a rank


@dataclass(frozen=True)
class Decisions:
    """What became of the methods on a forget set.

    ``ran`` is how many models of each were unlearned. ``open_`` are the pairs of rows with a rank of which all models
    did not say which is nearer. ``full`` is how many models there were.
    """

    forget_set: str
    decided: tuple[Decision, ...]
    open_: tuple[tuple[str, str], ...]
    ran: dict[str, int]
    full: int


@dataclass(frozen=True)
class Decided:
    """The records of each folder, the main one first, and what was decided on each forget set."""

    tables: dict[Path, list[Score]]
    sets: list[Decisions]

    @property
    def scores(self) -> list[Score]:
        """The records of the main folder, which has all rows."""
        return next(iter(self.tables.values()))

    @property
    def all_scores(self) -> list[Score]:
        """Those of all folders; they say of how many models they are."""
        return [score for scores in self.tables.values() for score in scores]

    @property
    def unlearned(self) -> tuple[int, int]:
        """How many unlearnings of a model were needed, of how many a bench of all models takes."""
        return sum(sum(each.ran.values()) for each in self.sets), sum(len(each.ran) * each.full for each in self.sets)

    @property
    def saved(self) -> float:
        """The share of all unlearnings that was not needed."""
        needed, full = self.unlearned
        return 1 - needed / full if full else 0.0


def run_until_decided(
    plan: BenchPlan,
    out: Path | str = "out",
    *,
    workers: Workers = 1,
    watch: Watch | None = None,
    command: str = "",
) -> Decided:
    """Unlearn models in rounds until every pair of ranked rows is decided, on every forget set, or all models are used.

    In each round so many whole chunks of models are added as make 20 or more; all oracles of ``plan`` are compared with
    from the first on. Rows are compared by :class:`~expunge.metrics.racing.Race`, which names any false winner of a
    forget set with a chance of 5 % at most. A row stops when it is decided against all others, and has failed or breaks
    the model: it has no rank then. What is unlearned is in the store, so an interrupted race goes on.

    All rows of a forget set stand in ``out`` as :func:`~expunge.bench.run.run_bench` writes them, with as many models
    as each of them has; those that ran on stand in ``out/models-N`` once more, among themselves, with the models they
    have. Which row is nearer than which, and how many models said so, is written to ``out/decided.json``.

    Raises:
        TooFewModels: the plan has fewer than 3 models or 3 oracles.
        BadSetting: the folder holds what cannot stand beside any of these tables.
    """
    if min(plan.models, plan.oracles) < LEAST_ORACLES:
        raise TooFewModels(
            f"expected {LEAST_ORACLES} models and {LEAST_ORACLES} oracles or more to decide by, got {plan.models} and "
            f"{plan.oracles}"
        )
    out = Path(out)
    plan.require()
    require_a_place(plan, out)
    races = _Races(plan)
    with watching("race", watch) as shown:
        for _ in run_jobs(races.first_jobs(), workers, shown, then=races.follow, to_come=races.to_come()):
            pass
    tables: dict[Path, list[Score]] = {}
    for folder, each in _tables(plan, out, races):
        scores = run_bench(each, folder, workers=workers, watch=watch, command=command)
        tables.setdefault(folder, []).extend(scores)
    sets = [each.decisions for each in races.sets.values()]
    write_file(out / FILE, _LIST.dump_json([asdict(each) for each in sets], indent=1) + b"\n")
    return Decided(tables, sets)


def rounds(chunk: int, full: int) -> list[int]:
    """How many models there are in each round: whole chunks, 20 models or more at a time, and all at last.

    >>> rounds(25, 100), rounds(10, 50), rounds(3, 6)
    ([25, 50, 75, 100], [20, 40, 50], [6])
    """
    step = chunk * math.ceil(FIRST / chunk)
    return [*range(step, full, step), full]


def require_a_place(plan: BenchPlan, folder: Path) -> None:
    """Refuse a folder in which the rows of ``plan`` cannot stand, after whichever round they stop."""
    for number, models in enumerate(reversed(counts := rounds(plan.suite.chunk, plan.models)), start=1):
        try:
            return require_place(replace(plan, models=models), folder)
        except BadSetting:
            if number == len(counts):
                raise


def _tables(plan: BenchPlan, out: Path, races: "_Races") -> Iterator[tuple[Path, BenchPlan]]:
    """The benches that are written: one of all rows, and one for every number of models that some of them ran on to."""
    tasks: dict[tuple[Path, int], list[Task]] = {}
    for each in races.sets.values():
        counts = sorted(set(each.stopped.values())) or [plan.models]
        for count in counts:
            folder = out if count == counts[0] else out / f"models-{count}"
            tasks.setdefault((folder, count), []).extend(
                task for task in each.tasks if each.stopped.get(task.name, count) >= count
            )
    for (folder, count), some in sorted(tasks.items(), key=lambda item: (item[0][0] != out, item[0][1])):
        sets = {task.forget.name for task in some}
        left = {name: names for name, names in plan.left_out.items() if folder == out and name in sets}
        yield folder, replace(plan, tasks=tuple(some), models=count, left_out=left)


@dataclass(frozen=True, eq=False)
class _Look(Job):
    """Looks how far a row is from the oracles."""

    task: Task = field(kw_only=True)


@dataclass(frozen=True, eq=False)
class Seen:
    """What a look says of a row: whether it has a rank, and how far it is; ``distances`` None where it failed."""

    scores: list[Score]
    distances: LeftOut | None


def look_at(task: Task, outcomes: Sequence[Outcome], sizes: Sizes) -> Seen:
    """How far the row of a task lies from the oracles after its last epoch. Workers run this."""
    if any(each.reason for each in outcomes):
        return Seen([], None)
    models, oracles = sizes
    reference = reference_of(task.suite, task.forget, models, oracles)
    last = rows_of(task, outcomes, models, reference)[-1]
    scores = score_row([last], reference, SOUND).scores
    failed = not scores or any(score.status == "failed" for score in scores)
    return Seen(scores, None if failed else reference.distances(last.margins))


class _SetRace:
    """The race on one forget set: its rows, those that still run, and what was seen of them in this round."""

    def __init__(self, forget: ForgetSet, tasks: list[Task], full: int) -> None:
        self.tasks, self.full = tasks, full
        self.race = Race(tuple(task.name for task in tasks if may_be_ranked(task.name)), full)
        self.running = tasks
        self.stopped: dict[str, int] = {}  # models of each row that makes some
        self.seen: dict[str, Seen] = {}
        self._name, self._ranked = forget.name, set[str]()

    @property
    def all_seen(self) -> bool:
        return len(self.seen) == len(self.running)

    def decide(self, models: int) -> None:
        """Compare the rows that were seen; those that wait for no decision stop."""
        ranked = sound({name: each.scores for name, each in self.seen.items() if each.distances})
        distances = {name: self.seen[name].distances for name in ranked}
        self.race.look({name: each for name, each in distances.items() if each}, models)
        waiting = self.race.waiting(ranked) if models < self.full else set()
        self._ranked = (self._ranked - self.seen.keys()) | set(ranked)
        going_on = [task for task in self.running if task.method.anchor or task.name in waiting]
        for task in self.running:
            if task not in going_on:
                self.stopped[task.name] = models
        self.running = going_on if any(not task.method.anchor for task in going_on) else []
        self.seen = {}

    @property
    def decisions(self) -> Decisions:
        names = [task.name for task in self.tasks]
        pairs = [tuple(name for name in names if name in pair) for pair in self.race.open if pair <= self._ranked]
        return Decisions(
            self._name,
            tuple(self.race.decided.values()),
            tuple((one, other) for one, other in pairs),
            {name: self.stopped[name] for name in names if name in self.stopped},
            self.full,
        )


class _Races:
    """The races on all forget sets, each in a round of its own."""

    def __init__(self, plan: BenchPlan) -> None:
        self.plan = plan
        self.sets = {each.name: _SetRace(each, plan.of(each), plan.models) for each in plan.forget_sets}
        self._rounds = {name: iter(rounds(plan.suite.chunk, plan.models)) for name in self.sets}
        self._models = dict.fromkeys(self.sets, 0)  # of the round that is at work
        self._outcomes: dict[tuple[str, str], dict[range, Outcome]] = {}

    def first_jobs(self) -> list[Job]:
        return [job for name in self.sets for job in self._next_round(name)]

    def to_come(self) -> list[Work]:
        """The jobs that may follow the first ones, if no row stops before all its models are unlearned."""
        counts, works = rounds(self.plan.suite.chunk, self.plan.models), []
        for task in self.plan.tasks:
            looks = counts[1:] if self._missing(task) == [] else counts
            works += [scoring(task, models, SOUND) for models in looks]
            if not task.method.anchor:
                later = [part for part in task.chunks(range(counts[-1])) if part.start >= counts[0]]
                works += [unlearning(task, part) for part in later if not self._kept(task, part)]
        return works

    def follow(self, job: Job, result: object) -> Iterable[Job]:
        """What a finished job makes possible: a look at the row, or the next round."""
        if isinstance(job, Unlearn) and isinstance(result, Outcome):
            self._found(job.task)[result.models] = result
            yield from self._looks(job.task)
        elif isinstance(job, _Look) and isinstance(result, Seen):
            name = job.task.forget.name
            race = self.sets[name]
            race.seen[job.task.name] = result
            if race.all_seen:
                race.decide(self._models[name])
                if race.running:
                    yield from self._next_round(name)

    def _next_round(self, name: str) -> Iterator[Job]:
        self._models[name] = next(self._rounds[name])
        for task in self.sets[name].running:
            missing = self._missing(task)
            yield from (unlearn_job(task, part, self.plan.keep_weights) for part in missing)
            if not missing:
                yield from self._looks(task)

    def _missing(self, task: Task) -> list[range]:
        """The chunks of this round that no run has unlearned; those that are in the store are taken."""
        found = self._found(task)
        for part in self._parts(task):
            if part not in found and (kept := self._kept(task, part)):
                found[part] = kept
        return [part for part in self._parts(task) if part not in found]

    def _kept(self, task: Task, part: range) -> Outcome | None:
        return finished(task, part, with_weights=self.plan.keep_weights)

    def _looks(self, task: Task) -> Iterator[Job]:
        """A look at the row, once all its chunks of this round are there."""
        parts, found = self._parts(task), self._found(task)
        if all(part in found for part in parts):
            sizes: Sizes = self._models[task.forget.name], self.plan.oracles
            arguments = (task, [found[part] for part in parts], sizes)
            label, work = f"look at {task.name} on {task.forget.name}", scoring(task, sizes[0], SOUND)
            yield _Look(label, look_at, arguments, (task.suite,), work, task=task)

    def _parts(self, task: Task) -> list[range]:
        return [] if task.method.anchor else task.chunks(range(self._models[task.forget.name]))

    def _found(self, task: Task) -> dict[range, Outcome]:
        return self._outcomes.setdefault((task.forget.name, task.name), {})


_LIST = TypeAdapter(list[dict[str, object]])

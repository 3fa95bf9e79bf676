"""Which cheats win, by which score? Each stands beside the best honest methods, and before the bench as it judges.

Needs the oracles of `digits`, which are shipped, and unlearns by the honest methods that were best there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy import ndarray

from expunge.bench.folder import arrays_file, mapped
from expunge.bench.plan import plan_bench
from expunge.bench.run import run_bench
from expunge.bench.score import floor_row, identity_row, reference_of, score_row
from expunge.engine import Steps, Watch, default_workers, silent
from expunge.ensembles import EnsembleMargins, Plan, read_margins
from expunge.ensembles.origin import Origin
from expunge.metrics import Reference, Row
from expunge.records import Score
from expunge.reports.boards import Line, boards
from expunge.reports.leaderboard.results import read_results
from expunge.reports.readings import NEARER
from expunge.reports.studies.cheats import CHEATS, Cheat, Material
from expunge.reports.studies.rulers import RULERS
from expunge.reports.summaries import FLOOR, NOTHING
from expunge.suites import ForgetSet, Suite

MODELS = 100
SETS = ("random-50", "class-3", "memorised-50")
OTHER = "random-144"  # the set that was forgotten instead
BEST = 5  # honest methods: those that close the largest shares of the gap
READ = ("distance", "gap-closed", "drift", "klom", "distinguishable", "model-level", "outliers")
FEW = 20  # models of each method that cheats
HOME = Path(__file__).with_name("cheating_methods.py")
METHODS = {  # of that file, and what each does
    "retrains": "trains a network of its own",
    "retrains_early": "the same, for 4 of 15 epochs",
    "retrains_half": "the same, of half of the models",
    "retrains_by_fork": "in a child process",
    "retrains_by_the_library": "by what makes oracles",
    "reads_the_oracles": "from the package's own files",
    "lookup_head": "a table of exceptions around the model",
    "noise_head": "noise on the outputs",
    "refusing_head": "says nothing on the examples to forget",
    "class_bias": "a bias of -29 ± 4 on the class",
    "statistics_alone": "BatchNorm's running statistics of what is kept",
}
CHEATING = "cheating"  # the name that every cheat is judged by


@dataclass(frozen=True)
class Judged:
    """One row on one forget set: a number of each ruler on forget, and what the bench says of it."""

    forget_set: str
    name: str
    honest: bool
    numbers: Mapping[str, float]
    closed: float | None  # share of the gap; None where the row failed
    reading: str
    told: str  # why it failed or is doubted

    @property
    def wins(self) -> bool:
        """Whether it reads better than doing nothing, so that only its share of the gap stands against others."""
        return self.reading in NEARER


@dataclass(frozen=True, eq=False)
class _Court:
    """All that a row of one forget set is judged with."""

    suite: Suite
    forget: ForgetSet
    reference: Reference
    beside: list[Score]  # of the anchors

    def numbers(self, margins: ndarray) -> dict[str, float]:
        columns = self.suite.columns(self.forget)["forget"]
        mine, oracles = (values[:, columns] for values in (margins, self.reference.oracle.values))
        return {name: ruler.function(mine, oracles) for name, ruler in RULERS.items()}

    def judge(self, name: str, margins: ndarray) -> Judged:
        """What the bench says of these margins, as if they were handed in."""
        origin = Origin(self.suite.address, self.suite.digest, "unlearned", self.forget.key, tuple(range(len(margins))))
        row = Row(self.suite, self.forget, CHEATING, EnsembleMargins(margins, None, origin))
        scores = [*self.beside, *score_row([row], self.reference, READ).scores]
        return self.judged(name, margins, _line(scores, CHEATING), honest=False)

    def judged(self, name: str, margins: ndarray, line: Line, *, honest: bool) -> Judged:
        closed = line.row.closed.value if line.row.closed else None
        return Judged(self.forget.name, name, honest, self.numbers(margins), closed, str(line.reading), line.row.reason)


def study_resistance(suite: Suite, watch: Watch = silent) -> list[Judged]:
    """Of each forget set the honest methods, then the cheats; what is not in the store is unlearned."""
    steps, found = Steps(watch, len(SETS) * (1 + len(CHEATS))), list[Judged]()
    for name in SETS:
        court = _court(suite, suite.forget_sets[name])
        found += _honest(court)
        steps.done(f"honest methods, {name}")
        for label, cheat in CHEATS.items():
            found += [court.judge(shown, margins) for shown, margins in _variants(court, label, cheat)]
            steps.done(f"{label}, {name}")
    return found


def study_methods(suite: Suite, watch: Watch = silent) -> list[Judged]:
    """Cheats that are methods of a user's own, each benched on the sets with most to gain."""
    steps, found = Steps(watch, 1), list[Judged]()
    plan = plan_bench(suite, [f"{HOME}:{name}" for name in METHODS], SETS[1:], models=FEW, metrics=[*READ, "rank"])
    with TemporaryDirectory(prefix="expunge-") as folder:
        scores = run_bench(plan, Path(folder), workers=default_workers())
    for board in boards(scores):
        for line in board.lines:
            name = line.row.method.rpartition(":")[2]
            closed, honest = line.row.closed.value if line.row.closed else None, name not in METHODS
            cost = {} if line.row.cost is None else {"cost": line.row.cost}
            found.append(Judged(board.forget_set, name, honest, cost, closed, str(line.reading), line.row.reason))
    steps.done("methods")
    return found


def _court(suite: Suite, forget: ForgetSet) -> _Court:
    reference = reference_of(suite, forget, MODELS, MODELS)
    untouched = read_margins(Plan(suite, "pretrained"), 0, MODELS)
    anchors = [floor_row(reference), identity_row(suite, forget, untouched)]
    return _Court(
        suite, forget, reference, [score for row in anchors for score in score_row([row], reference, READ).scores]
    )


def _honest(court: _Court) -> Iterator[Judged]:
    """The anchors, and the methods that were best on this forget set."""
    names = list(islice(_best(court), BEST))
    with TemporaryDirectory(prefix="expunge-") as folder:
        plan = plan_bench(court.suite, names, [court.forget.name], models=MODELS, metrics=READ)
        scores = run_bench(plan, Path(folder), workers=default_workers())
        for name in (FLOOR, NOTHING, *names):
            margins = np.array(mapped(arrays_file(Path(folder), court.forget.name, name), "margins"))
            yield court.judged(name, margins, _line(scores, name), honest=True)


def _best(court: _Court) -> Iterator[str]:
    """Ranked methods by the share of the gap that they close, as benched; of what a store lacks none are trained."""
    known = [each for each in read_results() if (each.suite, each.forget_set) == (court.suite.name, court.forget.name)]
    ranked = {each.method: each.closed.value for each in known if each.rank and each.closed}
    for name in sorted(ranked, key=lambda each: -ranked[each]):
        plan = plan_bench(court.suite, [name], [court.forget.name], models=MODELS)
        if not any(task.lacking(range(MODELS)) for task in plan.tasks):
            yield name


def _variants(court: _Court, label: str, cheat: Cheat) -> Iterator[tuple[str, ndarray]]:
    """The margins of a cheat: of the examples to forget, all others untouched; and of whole models that were stolen."""
    columns = court.suite.columns(court.forget)["forget"]
    everywhere = np.arange(court.suite.data.width)
    if cheat.whole:
        yield label, _made(court, cheat, everywhere)
    if not cheat.whole or cheat.theft:
        yield f"{label}, on forget alone" if cheat.whole else label, _made(court, cheat, columns)


def _made(court: _Court, cheat: Cheat, columns: ndarray) -> ndarray:
    other = read_margins(Plan(court.suite, "oracle", court.suite.forget_sets[OTHER]), 0, MODELS).values
    untouched, oracle, held_out = _untouched(court), court.reference.oracle.values, court.reference.held_out.values
    material = Material(*(np.array(values[:, columns]) for values in (untouched, oracle, held_out, other)))
    margins = np.array(untouched)
    margins[:, columns] = cheat.make(material, np.random.default_rng(1))
    return margins


def _untouched(court: _Court) -> ndarray:
    return read_margins(Plan(court.suite, "pretrained"), 0, MODELS).values


def _line(scores: list[Score], method: str) -> Line:
    return next(line for line in boards(scores)[0].lines if line.row.method == method)

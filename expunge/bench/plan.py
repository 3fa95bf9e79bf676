"""A bench to be: every row that it will have, checked before any work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from expunge.bench.work import comparing, scoring, unlearning
from expunge.engine import Workers, default_workers
from expunge.ensembles.plan import Plan
from expunge.ensembles.stored_margins import read_margins, require_dense
from expunge.errors import BadSetting, lookup
from expunge.methods import METHODS, configure, find_method
from expunge.methods.addresses import addressed
from expunge.methods.searches import Search
from expunge.methods.task import Task, finished
from expunge.methods.tuned import BUDGET, settings_for
from expunge.metrics import METRICS, default_metrics
from expunge.suites import ForgetSet, Suite, as_suite
from expunge.suites.indices import require_whole
from expunge.timing import crowd, makespan

ALL = "all"  # names every method that has what it needs
SAYS_WHO_IS_RANKED = ("distance", "gap-closed", "outliers")
ANCHORS = tuple(name for name, method in METHODS.items() if method.anchor)
START, START_OF_WORKERS = 1.5, 5.0  # seconds of what every bench does first and last, alone and with workers


@dataclass(frozen=True)
class BenchPlan:
    """Every row of a bench, by forget set; :func:`~expunge.bench.run.run_bench` runs it."""

    suite: Suite
    tasks: tuple[Task, ...]
    models: int
    oracles: int
    metrics: tuple[str, ...]
    keep_weights: bool = False
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of each forget set, what it lacks to run

    @property
    def forget_sets(self) -> list[ForgetSet]:
        return list({task.forget.name: task.forget for task in self.tasks}.values())

    def of(self, forget: ForgetSet) -> list[Task]:
        """The rows of a forget set."""
        return [task for task in self.tasks if task.forget is forget]

    def require(self) -> None:
        """Read all that rows are compared with, so that what is missing or damaged is known before any work."""
        read_margins(Plan(self.suite, "pretrained"), 0, self.models)
        for forget in self.forget_sets:
            read_margins(Plan(self.suite, "oracle", forget), 0, self.oracles)
            read_margins(Plan(self.suite, "oracle", forget), self.suite.models // 2, self.models)
        for task in self.tasks:
            task.require(range(self.models))

    @property
    def untimed(self) -> list[str]:
        """Methods of the user's own that are still to run, of which nobody knows how long they take."""
        own = [task for task in self.tasks if not self._is_done(task) and unlearning(task, ()).seconds is None]
        return list(dict.fromkeys(task.name for task in own))

    def seconds(self, workers: Workers = 1) -> float:
        """How long it will take, by a short burst of training, all that is :attr:`untimed` left out."""
        self.require()  # or models would be trained for the sake of an estimate
        side = default_workers() if isinstance(workers, str) else min(workers, default_workers())
        works = [
            *(unlearning(task, part) for task in self.tasks if not self._is_done(task) for part in self._chunks(task)),
            *(scoring(task, self.models, self.metrics) for task in self.tasks),
            *(comparing(self.of(forget), self.models) for forget in self.forget_sets),
        ]
        expected = [work.seconds for work in works if work.seconds is not None]
        return (START if side == 1 else START_OF_WORKERS) * crowd() + makespan(expected, side)

    def _chunks(self, task: Task) -> list[range]:
        return task.chunks(range(self.models))

    def _is_done(self, task: Task) -> bool:
        if task.method.anchor:
            return True
        return all(finished(task, part, with_weights=self.keep_weights) for part in self._chunks(task))


def plan_bench(
    suite: Suite | str,
    methods: Sequence[str] | None = None,
    forget_sets: Sequence[str] | None = None,
    *,
    models: int = 100,
    oracles: int | None = None,
    settings: Mapping[str, Mapping[str, object]] | None = None,
    searches: Mapping[str, Search] | None = None,
    tuning: str = "tuned",
    budget: float = BUDGET,
    seed: int = 0,
    classic: bool = False,
    metrics: Sequence[str] | None = None,
    keep_weights: bool = False,
    timeout: float | None = None,
) -> BenchPlan:
    """Plan a bench of ``methods`` on ``forget_sets`` (default: all), and check names, settings and numbers.

    Every bench has the anchors ``identity`` and ``oracle``. If no methods are named, or one of them is "all", methods
    are left out that need something which the suite or the store does not have; ``left_out`` of the plan lists them.

    Args:
        suite: the suite, or its name.
        methods: names of METHODS, or ``file.py:function`` for your own.
        forget_sets: names of forget sets of the suite.
        models: number of pretrained models to unlearn, the first ones.
        oracles: number of oracles to compare with, the first ones; default: as many as models.
        settings: settings by method, which override all others.
        searches: records of ``expunge tune`` by method, used in place of the shipped ones.
        tuning: "tuned" for the settings found for the suite and the kind of each forget set, where there are some, or
            "default".
        budget: share of one retraining, in (0, 1], that a method may cost. Tuned settings are those that came nearest
            to the oracles within it, or the cheapest ones if all cost more.
        seed: seed of the methods' randomness.
        classic: also compute the scores that take long, MIA-efficacy and the average gap.
        metrics: names of METRICS to compute in place of the default ones.
        keep_weights: keep the weights of the unlearned models in the store.
        timeout: seconds that a method of your own may take per model; one that takes longer fails.
    """
    suite = as_suite(suite)
    models, oracles = _numbers(suite, models, oracles)
    if timeout is not None and not timeout > 0:
        raise BadSetting(f"expected a timeout of more than 0 seconds for a model, got {timeout}")
    everything = methods is None or ALL in methods
    named = [name for name in methods or () if name != ALL]
    names = list(dict.fromkeys([*ANCHORS, *(METHODS if everything else ()), *named]))
    settings = _of_each(settings or {}, names)
    found = {addressed(name, names): each for name, each in (searches or {}).items()}
    for name in (*settings, *found):
        if name not in names:
            raise BadSetting(
                f"a setting is given for {name!r}, which is not benched; the methods are {', '.join(names)}"
            )
    chosen = [suite.forget_set(name) for name in dict.fromkeys(forget_sets or suite.forget_sets)]
    if not chosen:
        raise BadSetting(
            f"suite {suite.name!r} has no forget set to bench on; give it some: forget_sets=ForgetSets(...)"
        )
    for name in named:
        prepare = find_method(name).prepare
        if prepare and prepare.plan:
            require_dense(suite, name)  # which nothing that is built can mend
    tasks = []
    for forget, name in product(chosen, names):
        used = settings_for(suite, forget, name, settings.get(name, {}), tuning, budget, found.get(name))
        config = configure(name, find_method(name), used.settings)
        tasks.append(Task(suite, forget, name, config, seed, used.label, timeout, used.budget))
    kept = [task for task in tasks if not everything or task.name in named or not task.lacking(range(models))]
    left = {
        forget.name: tuple(sorted({task.name for task in tasks if task.forget is forget and task not in kept}))
        for forget in chosen
    }
    measured = default_metrics(classic=classic) if metrics is None else _checked(metrics)
    keep_weights |= any("weights" in METRICS[name].reads for name in measured)  # or every method ran once more
    left = {name: each for name, each in left.items() if each}
    return BenchPlan(suite, tuple(kept), models, oracles, measured, keep_weights, left)


def _of_each(settings: Mapping[str, Mapping[str, object]], names: Sequence[str]) -> dict[str, Mapping[str, object]]:
    """Settings by the names of methods that are benched, however these are addressed."""
    found: dict[str, Mapping[str, object]] = {}
    for name, each in settings.items():
        method = addressed(name, names)
        found[method] = {**found.get(method, {}), **each}
    return found


def _numbers(suite: Suite, models: int, oracles: int | None) -> tuple[int, int]:
    """How many models are compared with how many oracles."""
    half, models = suite.models // 2, require_whole(models, "the number of models")
    oracles = models if oracles is None else require_whole(oracles, "the number of oracles")
    if not 2 <= models <= half:
        raise BadSetting(
            f"expected 2 to {half} models, half of the {suite.models} that suite {suite.name!r} has "
            f"(the other half of the oracles is the floor), got {models}"
        )
    if not 2 <= oracles <= half:
        raise BadSetting(f"expected 2 to {half} oracles, half of what suite {suite.name!r} has, got {oracles}")
    return models, oracles


def _checked(metrics: Sequence[str]) -> tuple[str, ...]:
    """Metrics of the table, each once; a rank needs what says who has one."""
    for name in metrics:
        lookup("metric", name, METRICS)
    if "rank" in metrics and (lacking := [name for name in SAYS_WHO_IS_RANKED if name not in metrics]):
        raise BadSetting(
            f"metrics: a rank needs {', '.join(lacking)} beside it: only who is nearer than identity and does not "
            "break the model has one"
        )
    return tuple(dict.fromkeys(metrics))

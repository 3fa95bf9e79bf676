"""A bench to be: every row that it will have, checked before any work."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product

import numpy as np
import torch

from expunge.engine import Workers, default_workers, one_thread
from expunge.ensembles.plan import Plan
from expunge.ensembles.pretraining import pretrain
from expunge.ensembles.stored_margins import read_margins, require_dense
from expunge.errors import BadSetting, lookup
from expunge.methods import METHODS, configure, find_method
from expunge.methods.needs import RETAIN_DATA
from expunge.methods.task import Task, finished
from expunge.methods.tuned import settings_for
from expunge.metrics import METRICS, default_metrics
from expunge.suites import ForgetSet, Suite, load_suite

ALL = "all"  # names every method that has what it needs
ANCHORS = tuple(name for name, method in METHODS.items() if method.anchor)
START, SCORING = 4.0, 0.6  # seconds: of what every bench does first, and of scoring a row


@dataclass(frozen=True)
class BenchPlan:
    """Every row of a bench, by forget set; :func:`~expunge.bench.run.run_bench` runs it."""

    suite: Suite
    tasks: tuple[Task, ...]
    models: int
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
            for first in (0, self.suite.models // 2):
                read_margins(Plan(self.suite, "oracle", forget), first, self.models)
        for task in self.tasks:
            task.require(range(self.models))

    def seconds(self, workers: Workers = 1) -> float | None:
        """How long it will take, by a short burst of training; None where a method of the user's own is in it."""
        self.require()  # or models would be trained for the sake of an estimate
        if any(":" in task.name for task in self.tasks):
            return None
        side = default_workers() if isinstance(workers, str) else min(workers, default_workers())
        work = sum(_units(task) for task in self.tasks if not self._is_done(task))
        return START + (SCORING * len(self.tasks) + work * self.models * _seconds_per_unit(self.suite)) / side

    def _is_done(self, task: Task) -> bool:
        if task.method.anchor:
            return True
        return all(finished(task, part, with_weights=self.keep_weights) for part in task.chunks(range(self.models)))


def plan_bench(
    suite: Suite | str,
    methods: Sequence[str] | None = None,
    forget_sets: Sequence[str] | None = None,
    *,
    models: int = 100,
    settings: Mapping[str, Mapping[str, object]] | None = None,
    tuning: str = "tuned",
    seed: int = 0,
    classic: bool = False,
    metrics: Sequence[str] | None = None,
    keep_weights: bool = False,
    timeout: float | None = None,
) -> BenchPlan:
    """Every row of ``methods`` on ``forget_sets`` (default of both: all): names, settings and numbers are checked here.

    The anchors ``identity`` and ``oracle`` are in every bench. By default, or where one of ``methods`` is "all",
    methods that are not named are left out for which the store lacks what they take out of it, or whose needs the
    suite does not meet; ``left_out`` of the plan names them.

    Args:
        suite: the suite, or its name.
        methods: names of METHODS, or ``file.py:function`` of one's own.
        forget_sets: names of the suite's.
        models: the first so many pretrained models are unlearned, against as many oracles.
        settings: on top of the others, by method.
        tuning: "tuned" for the settings that were found for the suite, where there are some, or "default".
        seed: of the methods' own chance.
        classic: also compute the scores that take long, MIA-efficacy and the average gap.
        metrics: names of METRICS, in place of those.
        keep_weights: keep the weights of the unlearned models in the store.
        timeout: seconds that a method of one's own may take for a model; one that takes longer fails.
    """
    suite = load_suite(suite) if isinstance(suite, str) else suite
    if not 2 <= models <= suite.models // 2:
        raise BadSetting(
            f"expected 2 to {suite.models // 2} models, half of the {suite.models} that suite {suite.name!r} has "
            f"(the other half of the oracles is the floor), got {models}"
        )
    if timeout is not None and not timeout > 0:
        raise BadSetting(f"expected a timeout of more than 0 seconds for a model, got {timeout}")
    everything = methods is None or ALL in methods
    named = [name for name in methods or () if name != ALL]
    names = list(dict.fromkeys([*ANCHORS, *(METHODS if everything else ()), *named]))
    settings = dict(settings or {})
    for name in settings:
        if name not in names:
            raise BadSetting(
                f"a setting is given for {name!r}, which is not benched; the methods are {', '.join(names)}"
            )
    used = settings_for(suite, names, settings, tuning)
    configs = {name: configure(name, find_method(name), used[name].settings) for name in names}
    chosen = [suite.forget_sets[name] for name in dict.fromkeys(forget_sets or suite.forget_sets)]
    for name in named:
        prepare = find_method(name).prepare
        if prepare and prepare.plan:
            require_dense(suite, name)  # which nothing that is built can mend
    tasks = [
        Task(suite, forget, name, configs[name], seed, used[name].label, timeout)
        for forget, name in product(chosen, names)
    ]
    kept = [task for task in tasks if not everything or task.name in named or not task.lacking(range(models))]
    left = {
        forget.name: tuple(sorted({task.name for task in tasks if task.forget is forget and task not in kept}))
        for forget in chosen
    }
    measured = default_metrics(classic=classic) if metrics is None else _checked(metrics)
    keep_weights |= any("weights" in METRICS[name].reads for name in measured)  # or every method ran once more
    return BenchPlan(suite, tuple(kept), models, measured, keep_weights, {k: v for k, v in left.items() if v})


def _checked(metrics: Sequence[str]) -> tuple[str, ...]:
    """Metrics of the table, each once; a rank needs what says who breaks the model, for such a one must not win."""
    for name in metrics:
        lookup("metric", name, METRICS)
    if "rank" in metrics and not {"klom", "outliers"} <= set(metrics):
        raise BadSetting("metrics: a rank needs klom and outliers beside it, which say who breaks the model")
    return tuple(dict.fromkeys(metrics))


def _units(task: Task) -> float:
    """Forward and backward passes of one example through one model that a task takes, its measurements included."""
    split = task.suite.split(task.forget)
    examples = len(split.forget) + (len(split.retain) if RETAIN_DATA in task.method.needs else 0)
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
            suite.target.loss(ensemble(batch.x[rows]), batch.y[rows]).sum().backward()
            best = min(best, time.perf_counter() - started)
    return best / rows.numel()

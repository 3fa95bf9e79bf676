"""Requests are served: victims are trained, methods remove what is asked for, and every model is measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from expunge.attacks.controls import RANDOM
from expunge.attacks.injection import Injection
from expunge.bench.rows import empty_row, rows_of
from expunge.bench.score import floor_row, reference_of
from expunge.engine import Watch, Workers, run_jobs, silent
from expunge.ensembles.builds import build_all, build_logs
from expunge.ensembles.plan import Plan
from expunge.ensembles.stored_margins import EnsembleMargins, read_margins
from expunge.jobs import Job
from expunge.methods import configure, find_method
from expunge.methods.method import require_needs
from expunge.methods.task import Outcome, Task, finished, unlearn_chunk
from expunge.methods.tuned import settings_for
from expunge.metrics import Reference, Row
from expunge.suites.suite import ForgetSet, Suite

RETRAINING = "retraining"  # the row of the held-out oracles: exact removal
ATTACK = "attack"  # the name of the attack's own request


@dataclass(frozen=True)
class Attacked:
    """A method that serves requests, with settings on top of those that were found for the suite."""

    method: str
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its name in tables.

        >>> Attacked("amnesiac", {"epochs": 0}).label
        'amnesiac, epochs=0'
        """
        return ", ".join([self.method, *(f"{key}={value}" for key, value in self.settings.items())])


@dataclass(frozen=True, eq=False)
class Removal:
    """A request that a method has served on all victims, or failed to.

    ``before`` and ``after`` are test accuracies of each model, in [0, 1]. ``before`` are those of the models that the
    method starts from: the victims or, for SISA, votes of its own. They are ``paired``: model by model the same ones,
    but for retraining, which begins anew. ``ordinary`` has, beside the attack's own request, test accuracies after the
    removal of each random draw, the first being the control.
    """

    batching: str
    request: str  # "attack", or the name of a control
    label: str
    row: Row
    reference: Reference
    before: Float[ndarray, " models"]
    after: Float[ndarray, " models"] | None
    reason: str = ""
    ordinary: Float[ndarray, "draws models"] | None = None
    met: float = 0.0  # share of the updates of a training that meet such a request

    @property
    def paired(self) -> bool:
        return self.label != RETRAINING


def test_accuracy(margins: EnsembleMargins, suite: Suite) -> Float[ndarray, " models"]:
    """Share of the test examples whose first choice is the label, of each model."""
    assert margins.correct is not None  # of models that were measured here
    return correct_share(margins.correct, suite)


def correct_share(correct: Bool[ndarray, "models columns"], suite: Suite) -> Float[ndarray, " models"]:
    """Of all columns, the share of those of test examples that are correct, of each model."""
    columns = suite.columns_of(np.arange(suite.data.sizes[0], suite.data.examples))
    shares: ndarray = correct[:, columns].mean(axis=1)
    return shares


def accuracies(outcomes: Sequence[Outcome], suite: Suite) -> Float[ndarray, " models"]:
    """Test accuracy of each model after the last epoch of a task, whose chunks all came to something."""
    packed = np.concatenate([outcome.artefact.array("correct")[-1] for outcome in outcomes if outcome.artefact])
    return correct_share(np.unpackbits(packed, axis=1, count=suite.data.width).astype(bool), suite)


def tasks_of(
    injection: Injection, attacked: Sequence[Attacked], requests: Mapping[str, ForgetSet], seed: int
) -> list[tuple[Task, str, str]]:
    """For each method and request the task, the label of the method and the name of the request.

    Settings are those that were found for the suite without the contributions: a provider has no others.
    """
    found = []
    for each in attacked:
        method = find_method(each.method)
        require_needs(each.method, method, injection.suite, requests.values())
        for name, forget in requests.items():
            used = settings_for(injection.honest, forget, each.method, each.settings)
            config = configure(each.method, method, used.settings)
            found.append((Task(injection.suite, forget, each.method, config, seed, used.label), each.label, name))
    return found


def build_victims(
    injections: Sequence[Injection],
    tasks: Sequence[tuple[Task, str, str]],
    models: int,
    *,
    workers: Workers = 1,
    watch: Watch = silent,
) -> None:
    """Train what the store lacks: victims, oracles of each request, and what methods have of their own."""
    wanted: list[tuple[Plan, int]] = []
    for injection in injections:
        wanted.append((Plan(injection.suite, "pretrained"), models))
        wanted += [(Plan(injection.suite, "oracle", forget), 2 * models) for forget in injection.requests.values()]
    build_own([task for task, _, _ in tasks], models, workers=workers, watch=watch)
    build_all(wanted, workers=workers, watch=watch)


def build_own(tasks: Sequence[Task], models: int, *, workers: Workers = 1, watch: Watch = silent) -> None:
    """Train what methods start from, of their own, and the store lacks; logs of one suite in one training."""
    own = {plan.key: plan for task in tasks if (plan := starts_from(task))}
    build_logs([plan for plan in own.values() if plan.kind == "logged"], range(models), workers=workers, watch=watch)
    build_all([(plan, models) for plan in own.values()], workers=workers, watch=watch)


def starts_from(task: Task) -> Plan | None:
    """The ensemble of its own that a method starts from; None where that is the victims."""
    prepare = task.method.prepare
    return prepare.plan(task.suite, task.forget, task.config) if prepare and prepare.plan else None


def serve(
    injections: Sequence[Injection],
    attacked: Sequence[Attacked],
    models: int,
    seed: int = 0,
    *,
    workers: Workers = 1,
    watch: Watch = silent,
) -> list[Removal]:
    """Serve every request of every injection by every method, and by retraining; what fails says why."""
    tasks = [
        (injection, *each)
        for injection in injections
        for each in tasks_of(injection, attacked, {**injection.requests, **_draws(injection)}, seed)
    ]
    build_victims(injections, [each[1:] for each in tasks], models, workers=workers, watch=watch)
    outcomes = run_tasks([task for _, task, _, _ in tasks], models, workers=workers, watch=watch)
    removals = []
    for injection in injections:
        own = {
            (label, name): (task, each)
            for (of, task, label, name), each in zip(tasks, outcomes, strict=True)
            if of is injection
        }
        ordinary = _ordinary(injection, own)
        for name, forget in injection.requests.items():
            reference = reference_of(injection.suite, forget, models, models)
            found = [_retrained(injection, name, reference, models)]
            for (label, request), (task, each) in own.items():
                if request == name:
                    found.append(_removal(injection, task, label, name, each, reference, models))
            removals += [
                replace(each, ordinary=ordinary.get(each.label) if name == ATTACK else None, met=injection.met)
                for each in found
            ]
    return removals


def _draws(injection: Injection) -> dict[str, ForgetSet]:
    return {forget.name: forget for forget in injection.draws}


def _ordinary(
    injection: Injection, own: Mapping[tuple[str, str], tuple[Task, Sequence[Outcome]]]
) -> dict[str, Float[ndarray, "draws models"]]:
    """Of each method the accuracies after each random draw; of one that failed on some, none."""
    found = {}
    for label in dict.fromkeys(label for label, _ in own):
        draws = [own[label, name][1] for name in (RANDOM, *_draws(injection)) if (label, name) in own]
        if all(outcome.artefact for outcomes in draws for outcome in outcomes):
            found[label] = np.stack([accuracies(outcomes, injection.suite) for outcomes in draws])
    return found


def run_tasks(
    tasks: Sequence[Task], models: int, *, workers: Workers = 1, watch: Watch = silent
) -> list[list[Outcome]]:
    """What became of each task on the first ``models`` victims; what is in the store is taken from there."""
    found: list[dict[int, Outcome]] = [{} for _ in tasks]
    jobs, places = [], []
    for number, task in enumerate(tasks):
        for part in task.chunks(range(models)):
            kept = finished(task, part)
            if kept:
                found[number][part.start] = kept
            else:
                label = f"{task.name} on {task.forget.name}"
                jobs.append(Job(label, unlearn_chunk, (task, part), shared=(task.suite,)))
                places.append(number)
    numbers = {id(job): number for job, number in zip(jobs, places, strict=True)}
    for job, outcome in run_jobs(jobs, workers, watch):
        found[numbers[id(job)]][outcome.models.start] = outcome
    return [[parts[start] for start in sorted(parts)] for parts in found]


def _retrained(injection: Injection, name: str, reference: Reference, models: int) -> Removal:
    """Exact removal: the held-out oracles, beside the victims of the same number."""
    row = replace(floor_row(reference), method=RETRAINING)
    before = test_accuracy(read_margins(Plan(injection.suite, "pretrained"), 0, models), injection.suite)
    after = test_accuracy(reference.held_out, injection.suite)
    return Removal(injection.batching, name, RETRAINING, row, reference, before, after)


def _removal(
    injection: Injection,
    task: Task,
    label: str,
    name: str,
    outcomes: Sequence[Outcome],
    reference: Reference,
    models: int,
) -> Removal:
    plan = starts_from(task) or Plan(injection.suite, "pretrained")
    before = test_accuracy(read_margins(plan, 0, models), injection.suite)
    failed = [outcome.reason for outcome in outcomes if outcome.artefact is None]
    if failed:
        row = empty_row(task, reference)
        return Removal(injection.batching, name, label, row, reference, before, None, failed[0])
    row = rows_of(task, outcomes, models, reference)[-1]
    return Removal(injection.batching, name, label, row, reference, before, test_accuracy(row.margins, injection.suite))

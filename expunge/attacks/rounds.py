"""Requests in several rounds: an owner asks for a part at a time, and each removal begins where the last one ended."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.attacks.injection import Injection
from expunge.attacks.kept import kept
from expunge.attacks.removal import (
    RETRAINING,
    Attacked,
    accuracies,
    build_own,
    correct_share,
    run_tasks,
    starts_from,
    tasks_of,
    test_accuracy,
)
from expunge.engine import Watch, Workers, run_jobs, silent
from expunge.ensembles.builds import build_all
from expunge.ensembles.plan import Plan
from expunge.ensembles.pretraining import pretrain
from expunge.ensembles.stored_margins import read_margins
from expunge.ensembles.train import measure
from expunge.errors import BadSetting, MethodFailed
from expunge.jobs import Job
from expunge.methods.running import run_method
from expunge.methods.task import Outcome, Task
from expunge.suites.suite import ForgetSet, Suite

Rounds = Float[ndarray, "rounds models"] | str  # accuracies, or why there are none


def parts_of(request: ForgetSet, labels: ndarray, rounds: int) -> list[ForgetSet]:
    """The request dealt into rounds, every class as evenly as can be."""
    if not 1 <= rounds <= len(request):
        raise BadSetting(f"expected 1 to {len(request)} rounds, a record in each, got {rounds}")
    by_class = request.indices[np.argsort(labels[request.indices], kind="stable")]
    return [
        ForgetSet(f"{request.name}.part-{number + 1}-of-{rounds}", np.sort(by_class[number::rounds]), request.made)
        for number in range(rounds)
    ]


def joined(request: ForgetSet, parts: Sequence[ForgetSet]) -> ForgetSet:
    """Several parts as one set, under a name of its own."""
    indices = np.sort(np.concatenate([part.indices for part in parts]))
    return ForgetSet(f"{request.name}.first-{len(indices)}", indices, request.made)


def accuracy_by_round(
    injection: Injection,
    attacked: Sequence[Attacked],
    request: ForgetSet,
    rounds: int,
    models: int,
    seed: int = 0,
    *,
    workers: Workers = 1,
    watch: Watch = silent,
) -> dict[str, Rounds]:
    """Test accuracy of each model after each round, by method; in its place the reason where a method failed.

    A method goes on from the models of the round before, and sees no more what was removed then. Those that begin with
    models of their own (amnesiac, SISA) take back each logged batch, and train each shard, once: for them a round is
    the removal of all that was asked for until then. So it is for retraining.
    """
    suite = injection.suite
    parts = parts_of(request, suite.data.train.y.numpy(), rounds)
    unions = [joined(request, parts[: number + 1]) for number in range(rounds)]
    tasks = tasks_of(injection, attacked, {str(number): union for number, union in enumerate(unions)}, seed)
    whole = [(task, label) for task, label, _ in tasks if starts_from(task)]
    oracles = [Plan(suite, "oracle", union) for union in unions]
    build_own([task for task, _ in whole], models, workers=workers, watch=watch)
    build_all([(plan, models) for plan in oracles], workers=workers, watch=watch)
    found: dict[str, Rounds] = {
        RETRAINING: np.stack([test_accuracy(read_margins(plan, 0, models), suite) for plan in oracles])
    }
    outcomes = run_tasks([task for task, _ in whole], models, workers=workers, watch=watch)
    for label in dict.fromkeys(label for _, label in whole):
        own = [each for (_, other), each in zip(whole, outcomes, strict=True) if other == label]
        found[label] = _stacked(own, suite)
    chained = {label: task for task, label, name in tasks if name == "0" and not starts_from(task)}
    return found | _chained(chained, parts, models, workers, watch)


def _stacked(rounds: Sequence[Sequence[Outcome]], suite: Suite) -> Rounds:
    """Accuracies after each round of a method that removes all that was asked for until then."""
    reasons = [outcome.reason for outcomes in rounds for outcome in outcomes if outcome.artefact is None]
    return reasons[0] if reasons else np.stack([accuracies(outcomes, suite) for outcomes in rounds])


def _chained(
    tasks: Mapping[str, Task], parts: Sequence[ForgetSet], models: int, workers: Workers, watch: Watch
) -> dict[str, Rounds]:
    """Accuracies after each round of methods that go on from the round before."""
    jobs, labels = [], []
    for label, task in tasks.items():
        for chunk in task.chunks(range(models)):
            jobs.append(
                Job(f"{task.name} in {len(parts)} rounds", remove_in_rounds, (task, parts, chunk), (task.suite,))
            )
            labels.append((label, chunk.start))
    places = {id(job): place for job, place in zip(jobs, labels, strict=True)}
    found: dict[str, dict[int, Rounds]] = {label: {} for label in tasks}
    for job, result in run_jobs(jobs, workers, watch):
        label, start = places[id(job)]
        found[label][start] = result
    return {label: _joined_chunks([each[start] for start in sorted(each)]) for label, each in found.items()}


def _joined_chunks(chunks: Sequence[Rounds]) -> Rounds:
    reasons = [each for each in chunks if isinstance(each, str)]
    return reasons[0] if reasons else np.concatenate([np.asarray(each) for each in chunks], axis=1)


def remove_in_rounds(task: Task, parts: Sequence[ForgetSet], models: range) -> Rounds:
    """Run a method on these victims, part after part, and measure them after each; the reason where it fails.

    What was computed before is taken from the store.
    """
    facts = [task.key(models), [part.digest for part in parts]]
    try:
        found = kept(task.suite, "rounds", facts, [__name__], lambda: {"accuracy": _in_rounds(task, parts, models)})
    except MethodFailed as error:
        return str(error)
    return found["accuracy"]


def _in_rounds(task: Task, parts: Sequence[ForgetSet], models: range) -> Float[ndarray, "rounds models"]:
    ensemble = pretrain(task.suite, len(models), first=models.start, watch=silent)
    gone, after = np.arange(0), []
    for part in parts:
        steps = run_method(task.name, task.method, task.config, ensemble, task.suite, part, task.seed, gone=gone)
        for step in steps:
            ensemble = step.ensemble
        gone = np.concatenate([gone, part.indices])
        _, correct = measure(ensemble, task.suite.data)
        after.append(correct_share(correct.numpy(), task.suite))
    return np.stack(after)

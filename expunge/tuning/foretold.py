"""What a search will do, and about how long that takes, in a line, before it begins."""

from collections.abc import Sequence

from expunge.bench.work import seconds_per_pass, unlearning
from expunge.engine import Workers, default_workers
from expunge.ensembles.builds import lacking
from expunge.ensembles.plan import Plan
from expunge.ensembles.stored_margins import find_ensemble
from expunge.methods import configure
from expunge.methods.searches import Settings
from expunge.methods.task import Task
from expunge.terminal import duration
from expunge.timing import makespan
from expunge.tuning.trials import Field


def foretold(field: Field, first: Sequence[Settings], trials: int, workers: Workers) -> str:
    """Which oracles are trained first, how many trials follow on which models, and how long each of the two takes."""
    missing = lacking(Plan(field.suite, "oracle", field.forget), field.oracles_needed)
    side = default_workers() if isinstance(workers, str) else min(workers, default_workers())
    paced = find_ensemble(Plan(field.suite, "pretrained"), min(8, field.suite.models)) is not None
    parts = []
    if missing:
        training = _training(field, missing, side) if paced else None
        parts = [f"{missing} oracles of {field.forget.name} are trained, once for all methods, {_about(training)}"]
    trying = _trying(field, first, trials, side) if paced else None
    told = f"{trials} trials of {field.method} on {len(field.models)} models, {_about(trying)}"
    parts.append(told + (", less those that the store has" if trying is not None else ""))
    return "; then ".join(parts)


def _about(seconds: float | None) -> str:
    return "whose duration is not known before the first is done" if seconds is None else f"about {duration(seconds)}"


def _training(field: Field, missing: int, side: int) -> float:
    """Seconds of training so many oracles, in whole chunks."""
    suite = field.suite
    passes = suite.recipe.passes * len(suite.split(field.forget).retain) + suite.data.examples / 3
    return makespan([passes * suite.chunk * seconds_per_pass(suite)] * (missing // suite.chunk), side)


def _trying(field: Field, first: Sequence[Settings], trials: int, side: int) -> float | None:
    """Seconds of so many trials, each as long as the first; None of a method of the user's own."""
    config = configure(field.method, field.row, first[0] if first else {})
    each = unlearning(Task(field.suite, field.forget, field.method, config, field.seed), field.models).seconds
    return None if each is None else makespan([each] * trials, side)

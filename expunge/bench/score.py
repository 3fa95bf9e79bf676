"""The one scorer: a row beside its reference, every metric of the table that it can be read by."""

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from numpy import ndarray

from expunge.bench.alarms import alarms_of
from expunge.bench.causes import likely_cause
from expunge.bench.independence import require_independent
from expunge.engine import Watch
from expunge.ensembles.device import device_name
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.expected import require_ensemble
from expunge.ensembles.margins import check_margins
from expunge.ensembles.plan import Plan
from expunge.ensembles.pretraining import watching
from expunge.ensembles.stored_margins import EnsembleMargins, read_margins
from expunge.ensembles.train import measure
from expunge.errors import BadMargins, BadMetric, BadSetting, MetricFailed, MismatchedEnsembles, StoreError
from expunge.jobs import one_thread
from expunge.methods.task import alarms_of_cost, modules_of, own_code_of
from expunge.metrics import METRICS, Reference, Row, default_metrics
from expunge.metrics.calibration import Estimate
from expunge.records import SPLITS, Score, why_untrue
from expunge.suites import ForgetSet, Suite, find_suite


@dataclass(frozen=True, eq=False)
class ScoredRow:
    """The records of a row's last epoch, those of all epochs, and what is kept of the last for each column."""

    scores: list[Score]
    curve: list[Score] = field(default_factory=list)
    arrays: Mapping[str, ndarray] = field(default_factory=dict)
    cause: str = ""  # why it breaks the model, if it does


def score_row(
    epochs: Sequence[Row],
    reference: Reference,
    metrics: Sequence[str],
    finished: Callable[[str], None] = lambda _: None,
) -> ScoredRow:
    """All numbers of one method on one forget set; ``epochs`` is its row after each epoch.

    ``finished`` is told the name of each metric that was computed. A row whose models are the oracles in disguise
    fails, and so does one that a metric has no finite number for. What speaks against reading it as forgetting stands
    in the records of its last epoch; what likely broke its models, if they are broken, beside them.
    """
    last = epochs[-1]
    try:
        require_independent(last, reference)
        last = replace(last, alarms=(*last.alarms, *alarms_of(last, reference)))
        found = _numbers([*epochs[:-1], last], reference, metrics, finished)
        return replace(found, cause=likely_cause([*epochs[:-1], last], reference))
    except (BadMargins, MetricFailed) as error:
        return ScoredRow(failed_scores(last, reference, len(last.margins.values), str(error)))


def _numbers(
    epochs: Sequence[Row], reference: Reference, metrics: Sequence[str], finished: Callable[[str], None]
) -> ScoredRow:
    last, scores, curve, arrays = epochs[-1], [], [], {}
    for name in metrics:
        metric = METRICS[name]
        if metric.scores is None:
            continue
        for row in epochs if metric.every_epoch else [last]:
            if not metric.can_read(row):
                continue
            found = metric.scores(row, reference)
            require_sound(name, found.scores)
            curve += found.scores if metric.every_epoch else []
            if row is last:
                scores += found.scores
                if metric.kept_as and found.columns is not None:
                    arrays[metric.kept_as] = found.columns
        finished(name)
    return ScoredRow(scores, curve, arrays)


def compare_rows(rows: Mapping[str, Row], reference: Reference, metrics: Sequence[str]) -> list[Score]:
    """The numbers that say how the rows of a forget set stand to each other."""
    found = []
    for name in metrics:
        if (compares := METRICS[name].compares) is not None:
            scores = compares(rows, reference)
            require_sound(name, scores)
            found += scores
    return found


def require_sound(name: str, scores: Sequence[Score]) -> None:
    """Hold the records of the metric ``name`` to its row in METRICS.

    Raises:
        BadMetric: a record has another metric's name, or an aggregate that the row lacks.
        MetricFailed: a number is NaN or infinite, which JSON has not, outside of its interval or of the metric's range.
    """
    aggregates = METRICS[name].aggregates
    for score in scores:
        if score.metric != name or score.aggregate not in aggregates:
            raise BadMetric(
                f"metric {name!r}: expected records named {name!r} with an aggregate of its row, "
                f"{' or '.join(map(repr, aggregates))}, got {score.metric!r} with {score.aggregate!r}"
            )
        numbers = {"value": score.value, "low": score.low, "high": score.high, "oracle": score.oracle}
        bad = [f"{key} {each}" for key, each in numbers.items() if each is not None and not math.isfinite(each)]
        if bad:
            raise MetricFailed(
                f"metric {name!r} gave {score.subject.method!r} no finite number on split {score.split!r}: "
                f"{', '.join(bad)}; what cannot be told must be left out"
            )
        if doubt := why_impossible(score, ("value", "low", "high")):
            raise MetricFailed(f"metric {name!r} gave {score.subject.method!r} what cannot be: {doubt}")


def why_impossible(score: Score, names: Sequence[str] = ("value",)) -> str:
    """Why a record cannot be true, its ``names`` by the row of its metric too; "" where it can."""
    return why_untrue(score) or out_of_range(score, names)


def out_of_range(score: Score, names: Sequence[str] = ("value",)) -> str:
    """Which of the ``names`` of a record its metric cannot give; "" where it can give all.

    Intervals of older records were not all cut at the ends of a metric's range.
    """
    metric = METRICS.get(score.metric)
    if metric is None:
        return ""
    least, most = metric.bounds(score.aggregate)
    numbers = {name: number for name in names if (number := getattr(score, name)) is not None}
    outside = [name for name, each in numbers.items() if not least <= each <= most]
    return f"{outside[0]}: {numbers[outside[0]]} is no {metric.unit}" if outside else ""


def failed_scores(row: Row, reference: Reference, models: int, reason: str) -> list[Score]:
    """The records of a row that failed: no numbers, and the reason."""
    named = [
        (name, aggregate) for name, metric in METRICS.items() if metric.every_split for aggregate in metric.aggregates
    ]
    nothing, told = Estimate(0.0, 0.0, 0.0), reason.encode(errors="replace").decode()  # half a character is no JSON
    return [
        replace(
            row.score(split, *name, nothing, reference, module=METRICS[name[0]].function.__module__),
            value=None,
            low=None,
            high=None,
            status="failed",
            reason=told,
            models=models,
        )
        for split in SPLITS
        for name in named
    ]


def reference_of(
    suite: Suite, forget: ForgetSet, models: int, oracles: int, retraining_seconds: float | None = None
) -> Reference:
    """What rows of so many models are compared with: the first ``oracles``, and as many held-out ones as models."""
    return Reference(
        suite,
        forget,
        read_margins(Plan(suite, "oracle", forget), 0, oracles),
        held_out(suite, forget, models, range(oracles)),
        retraining_seconds,
        untouched(suite, models),
    )


def untouched(suite: Suite, models: int) -> EnsembleMargins | None:
    """The first pretrained models, as many as a row has; None where no store has them."""
    with contextlib.suppress(StoreError):
        return read_margins(Plan(suite, "pretrained"), 0, models)
    return None


def held_out(suite: Suite, forget: ForgetSet, models: int, used: Sequence[int] = ()) -> EnsembleMargins:
    """As many oracles as ``models`` that nothing is compared with: from the second half of the suite's."""
    first = suite.models // 2
    if first + models > suite.models or set(used) & set(range(first, first + models)):
        raise BadSetting(
            f"the floor needs {models} held-out oracles from number {first} on, which suite {suite.name!r} "
            f"with {suite.models} oracles lacks or the reference already uses; give fewer models"
        )
    return read_margins(Plan(suite, "oracle", forget), first, models)


def floor_row(reference: Reference, seed: int = 0) -> Row:
    """The row ``oracle``: held-out oracles, what a perfect method gets."""
    return Row(reference.suite, reference.forget, "oracle", reference.held_out, cost=1.0, seed=seed)


def identity_row(
    suite: Suite,
    forget: ForgetSet,
    pretrained: EnsembleMargins,
    seed: int = 0,
    weights: Callable[[], Ensemble] | None = None,
) -> Row:
    """The row ``identity``: the pretrained models, nothing done."""
    return Row(suite, forget, "identity", pretrained, cost=0.0, seconds=0.0, seed=seed, weights=weights)


def evaluate(
    after: Ensemble | EnsembleMargins,
    oracle: Ensemble | EnsembleMargins,
    *,
    suite: Suite | None = None,
    forget: ForgetSet | Any | None = None,
    classic: bool = False,
    watch: Watch | None = None,
) -> list[Score]:
    """Score ``after`` against ``oracle``, with the row ``oracle`` of held-out oracles, the floor, beside it.

    The oracles know their suite and forget set; give both if they are not in the tables. The floor is computed from as
    many held-out oracles as ``after`` has models, out of the second half of the suite's. ``classic`` adds MIA-efficacy
    and the scores that are made of it, which take some seconds. Progress goes to standard error, or, metric by metric,
    to ``watch``.
    """
    with watching("evaluate", watch, at_once=True) as seen:
        row, reference = compared(after, oracle, suite, forget, "evaluate")
        require_independent(row, reference)
        rows, metrics = (floor_row(reference), row), default_metrics(classic=classic)
        done, total = count(1), len(rows) * sum(METRICS[each].scores is not None for each in metrics)

        def finished(metric: str) -> None:
            seen(next(done), total, metric)

        return [score for each in rows for score in score_row([each], reference, metrics, finished).scores]


def compared(
    after: Ensemble | EnsembleMargins,
    oracle: Ensemble | EnsembleMargins,
    suite: Suite | None,
    forget: ForgetSet | Any | None,
    verb: str,
) -> tuple[Row, Reference]:
    """The row of unlearned models and what it is compared with, of ensembles that were handed to the function ``verb``.

    Suite and forget set are found by the oracles' origin where they are not given.
    """
    for given, what in ((after, f"{verb}, the unlearned models"), (oracle, f"{verb}, the oracles")):
        require_ensemble(given, what, EnsembleMargins)
    against, unlearned = oracle.origin, after.origin
    unlearned.require_same_suite(against)
    if against.kind != "oracle" or unlearned.kind == "oracle":
        raise MismatchedEnsembles(f"expected unlearned models, then oracles, got {unlearned.kind}, {against.kind}")
    suite = find_suite(against.suite, against.digest, suite)
    forget = _forget_set(suite, against.forget_set) if forget is None else suite.forget_set(forget)
    truth, margins = _margins_of(oracle, suite), _margins_of(after, suite)
    row = identity_row(suite, forget, margins, weights=(lambda: after) if isinstance(after, Ensemble) else None)
    if made := after.origin.made:
        row = replace(
            row,
            method=made.method,
            config=made.settings,
            seed=made.seed,
            epoch=made.epoch,
            cost=made.cost,
            seconds=made.seconds,
            modules=modules_of(made.method, made.settings),
            own_code=own_code_of(made.method),
            alarms=(*alarms_of_cost(made.method, made.cost), *made.alarms),
        )
    floor = held_out(suite, forget, len(margins.values), oracle.origin.models)
    return row, Reference(suite, forget, truth, floor, untouched=untouched(suite, len(margins.values)))


def _margins_of(given: Ensemble | EnsembleMargins, suite: Suite) -> EnsembleMargins:
    if isinstance(given, EnsembleMargins):
        return given
    with one_thread():
        values, correct = measure(given, suite.data)
    check_margins(values.numpy(), suite.data.width, f"{given.origin.kind} ensemble")
    return EnsembleMargins(values.numpy(), correct.numpy(), given.origin, device_name(given.device))


def _forget_set(suite: Suite, name: str | None) -> ForgetSet:
    for forget in suite.forget_sets.values():
        if name == forget.key:
            return forget
    raise MismatchedEnsembles(f"suite {suite.name!r} has no forget set {name!r}; give it as `forget`")

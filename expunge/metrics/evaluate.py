"""From margins to scores: every metric on every split, with its interval, beside the oracles."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from expunge.engine import one_thread
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.margins import check_margins
from expunge.ensembles.measured import Measured, read_measured
from expunge.ensembles.plan import Plan
from expunge.ensembles.train import measure
from expunge.errors import BadMargins, BadSetting, MismatchedEnsembles, TooFewModels
from expunge.metrics.accuracy import accuracy
from expunge.metrics.calibration import Estimate, estimate_by_dealing
from expunge.metrics.classic_scores import Truth, classic_scores, truth_of
from expunge.metrics.copies import ALIKE, copies, likeness
from expunge.metrics.distinguishable import distinguishable_share
from expunge.metrics.klom import klom, require_comparable
from expunge.metrics.outliers import outliers_of_parts
from expunge.metrics.over_models import mean_over_models, share_of_models
from expunge.metrics.row import Row
from expunge.metrics.statistic import ByExample
from expunge.records import SPLITS, Score
from expunge.suites import ForgetSet, Suite, find_suite

KLOM_AGGREGATES = ("p95", "mean")


def klom_scores(row: Row, oracle: Measured) -> list[Score]:
    """KLoM of each split: its 95th percentile over examples, the headline, and its mean; nats, lower is better."""
    columns, margins = row.columns, (row.measured.margins, oracle.margins)
    require_comparable(*margins)

    def summary(values: ndarray) -> ndarray:
        parts = [values[columns[split]] for split in SPLITS]
        return np.array([number for part in parts for number in (np.percentile(part, 95), part.mean())])

    estimates = iter(estimate_by_dealing(ByExample(klom, summary), *margins, bounds=(0.0, np.inf)))
    return [
        row.score(split, "klom", aggregate, next(estimates), len(oracle.margins))
        for split in SPLITS
        for aggregate in KLOM_AGGREGATES
    ]


def require_independent(row: Row, oracle: Measured) -> None:
    """Raise :class:`BadMargins` where models are the oracles they are compared with: a KLoM of 0 that nobody earned."""
    for split, columns in row.columns.items():
        found = copies(row.measured.margins, oracle.margins, columns)
        if found.any():
            number = row.measured.origin.models[int(np.argmax(found))]
            raise BadMargins(
                f"model {number} has the {split} margins of a reference oracle; a method must not be given the "
                "oracles that it is compared with"
            )
    some = np.linspace(0, row.suite.data.examples - 1, min(row.suite.data.examples, 2000)).round().astype(int)
    alike = likeness(row.measured.margins[:, some], oracle.margins[:, some]).max(axis=1)
    if len(oracle.margins) > 2 and alike.max() > ALIKE:
        number = row.measured.origin.models[int(alike.argmax())]
        raise BadMargins(
            f"model {number} differs from the other models as one of the reference oracles does (r = {alike.max():.3f} "
            "over examples, 1 for a copy in disguise); a method must not be given the oracles that it is compared with"
        )


def accuracy_scores(row: Row, oracles: int) -> list[Score]:
    """Share of examples whose first choice is the label, mean over models; none where only margins are known."""
    if row.measured.correct is None:
        return []
    columns = row.columns
    return [
        row.score(
            split,
            "accuracy",
            "mean",
            mean_over_models(accuracy(row.measured.correct[:, columns[split]]), bounds=(0.0, 1.0)),
            oracles,
        )
        for split in SPLITS
    ]


def distinguishable_scores(row: Row, oracle: Measured) -> tuple[list[Score], Bool[ndarray, " examples"] | None]:
    """Share of examples told apart from the oracles, of each split, and which; nothing where models are too few."""
    columns = row.columns
    try:
        told, estimates = distinguishable_share(row.measured.margins, oracle.margins, [columns[s] for s in SPLITS])
    except TooFewModels:
        return [], None
    scores = [
        row.score(split, "distinguishable", "share", each, len(oracle.margins))
        for split, each in zip(SPLITS, estimates, strict=True)
    ]
    return scores, told


def outlier_scores(row: Row, oracle: Measured) -> list[Score]:
    """Share of models that lie far outside their ensemble, of each split; the oracles have none."""
    columns = row.columns
    told = outliers_of_parts(row.measured.margins, oracle.margins, list(columns.values()))
    found = dict(zip(columns, told, strict=True))
    return [
        row.score(split, "outliers", "share", share_of_models(found[split]), len(oracle.margins)) for split in SPLITS
    ]


def score_row(row: Row, oracle: Measured, truth: Truth) -> list[Score]:
    """All scores of one row; ``truth`` is what :func:`truth_of` finds of ``oracle``, the same for many rows."""
    return [
        *klom_scores(row, oracle),
        *distinguishable_scores(row, oracle)[0],
        *outlier_scores(row, oracle),
        *accuracy_scores(row, len(oracle.margins)),
        *classic_scores(row, truth),
    ]


def failed_scores(row: Row, oracles: int, models: int, reason: str) -> list[Score]:
    """The records of a row that failed: no numbers, and the reason."""
    names = [("klom", aggregate) for aggregate in KLOM_AGGREGATES]
    names += [("distinguishable", "share"), ("outliers", "share"), ("accuracy", "mean")]
    nothing = Estimate(0.0, 0.0, 0.0)
    return [
        replace(
            row.score(split, *name, nothing, oracles),
            value=None,
            low=None,
            high=None,
            status="failed",
            reason=reason,
            models=models,
        )
        for split in SPLITS
        for name in names
    ]


def evaluate(
    after: Ensemble | Measured,
    oracle: Ensemble | Measured,
    *,
    suite: Suite | None = None,
    forget: ForgetSet | None = None,
) -> list[Score]:
    """Score ``after`` against ``oracle``, with the row ``oracle`` of held-out oracles, the floor, beside it.

    The suite and the forget set are those of the oracles' origin; give them where they are not in the tables. The
    floor has as many held-out oracles as ``after`` has models: the second half of the suite's oracles.
    """
    reference, unlearned = oracle.origin, after.origin
    unlearned.require_same_suite(reference)
    if reference.kind != "oracle" or unlearned.kind == "oracle":
        raise MismatchedEnsembles(f"expected unlearned models, then oracles, got {unlearned.kind}, {reference.kind}")
    suite = find_suite(reference.suite, reference.digest, suite)
    forget = forget or _forget_set(suite, reference.forget_set)
    truth = _measured(oracle, suite)
    row = Row(suite, forget, "identity", _measured(after, suite), cost=0.0, seconds=0.0)
    if made := unlearned.made:
        row = replace(
            row,
            method=made.method,
            config=made.settings,
            seed=made.seed,
            epoch=made.epoch,
            cost=made.cost,
            seconds=made.seconds,
        )
    require_independent(row, truth)
    floor = held_out(row, reference.models)
    known = truth_of(floor, truth)
    return [score for each in (floor, row) for score in score_row(each, truth, known)]


def held_out(row: Row, used: tuple[int, ...] = ()) -> Row:
    """The row ``oracle`` that stands beside ``row``: as many oracles that nothing is compared with."""
    first, models = row.suite.models // 2, len(row.measured.margins)
    if first + models > row.suite.models or set(used) & set(range(first, first + models)):
        raise BadSetting(
            f"the floor needs {models} held-out oracles from number {first} on, which suite {row.suite.name!r} "
            f"with {row.suite.models} oracles lacks or the reference already uses; give fewer models"
        )
    measured = read_measured(Plan(row.suite, "oracle", row.forget), first, models)
    return Row(row.suite, row.forget, "oracle", measured, cost=1.0)


def _measured(given: Ensemble | Measured, suite: Suite) -> Measured:
    if isinstance(given, Measured):
        return given
    with one_thread():
        values, correct = measure(given, suite.data)
    check_margins(values.numpy(), suite.data.examples, f"{given.origin.kind} ensemble")
    return Measured(values.numpy(), correct.numpy(), given.origin)


def _forget_set(suite: Suite, name: str | None) -> ForgetSet:
    for forget in suite.forget_sets.values():
        if name == forget.key:
            return forget
    raise MismatchedEnsembles(f"suite {suite.name!r} has no forget set {name!r}; give it as `forget`")

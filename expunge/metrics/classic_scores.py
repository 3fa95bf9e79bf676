"""The classic scores of a row, each with its interval, its gap to the oracles, and what the oracles get beside it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.ensembles.measured import Measured
from expunge.ensembles.seeds import seed_of
from expunge.metrics.average_gap import average_gap
from expunge.metrics.classic import ra, ta, ua
from expunge.metrics.mia_efficacy import MOST_PUBLISHED, mia_efficacy, mia_efficacy_published
from expunge.metrics.over_models import distance, gap, mean_over_models
from expunge.metrics.row import Row
from expunge.metrics.run_time import retraining_seconds, run_time
from expunge.metrics.tow import tow
from expunge.records import Score, Split
from expunge.suites import ForgetSet, Suite

ACCURACIES = ("ua", "ra", "ta")
AVERAGED = ("ua", "mia-efficacy", "ra", "ta")
PLACES: dict[str, Split] = {  # which examples are looked at
    "ua": "forget",
    "ra": "retain",
    "ta": "test",
    "mia-efficacy": "forget",
    "mia-efficacy-published": "forget",
}

PerModel = Mapping[str, Float[ndarray, " models"]]


@dataclass(frozen=True)
class Truth:
    """The scores of the oracles: of those that rows are compared with, and of held-out ones, which are such a row."""

    reference: PerModel
    held_out: Mapping[str, Float[ndarray, " held_out"]]

    @property
    def models(self) -> int:
        """How many oracles rows are compared with."""
        return len(next(iter(self.reference.values())))


def truth_of(held_out: Row, oracle: Measured) -> Truth:
    """What rows with as many models as the row ``held_out`` are compared with, and what that row gets."""
    suite, forget = held_out.suite, held_out.forget
    return Truth(per_model(suite, forget, oracle), per_model(suite, forget, held_out.measured))


def per_model(suite: Suite, forget: ForgetSet, measured: Measured) -> PerModel:
    """The classic scores of each model, by name, each 0 to 1; those that cannot be had are absent.

    Accuracies need more than margins, and the attack as published is too slow where test examples are many.
    """
    columns = suite.columns(forget)
    retain, test, chosen = (columns[split] for split in ("retain", "test", "forget"))
    kind = "oracle" if measured.origin.kind == "oracle" else "pretrained"  # of what the models were before, too
    seeds = [seed_of(suite.digest, "mia-efficacy", forget.digest, kind, model) for model in measured.origin.models]
    found = {"mia-efficacy": mia_efficacy(measured.margins, retain, test, chosen, seeds)}
    if len(test) <= min(MOST_PUBLISHED, len(retain)):
        found["mia-efficacy-published"] = mia_efficacy_published(measured.margins, retain, test, chosen)
    if measured.correct is not None:
        for name, function in (("ua", ua), ("ra", ra), ("ta", ta)):
            found[name] = function(measured.correct[:, columns[PLACES[name]]])
    return {name: found[name] for name in PLACES if name in found}


def classic_scores(row: Row, truth: Truth) -> list[Score]:
    """The records: of each score its mean and its gap to the oracles, signed and absolute; then what sums them up.

    Beside each stands what oracles get: a mean's is the reference oracles', a gap's, and what is made of gaps, that of
    as many held-out oracles, since by chance alone it is not perfect. What concerns several splits stands under
    "forget", as a rank does.
    """
    mine, best = per_model(row.suite, row.forget, row.measured), truth.held_out
    shared = [name for name in mine if name in truth.reference and name in best]
    scores = [score for name in shared for score in _scores_of(row, name, mine[name], truth)]
    for name, parts, function in (("tow", ACCURACIES, tow), ("average-gap", AVERAGED, average_gap)):
        if set(parts) <= set(shared):
            found, floor = (
                function([each[part] for part in parts], [truth.reference[part] for part in parts])
                for each in (mine, best)
            )
            scores.append(row.score("forget", name, "mean", found, truth.models, oracle=floor.value))
    return [*scores, *_run_time(row, truth.models)]


def _run_time(row: Row, oracles: int) -> list[Score]:
    """Nothing where less than two chunks were timed, which leaves no interval."""
    if len(row.run_times) < 2:
        return []
    oracle = retraining_seconds(row.suite, row.forget)
    return [row.score("forget", "run-time", "mean", run_time(row.run_times), oracles, oracle=oracle)]


def _scores_of(row: Row, name: str, mine: ndarray, truth: Truth) -> list[Score]:
    oracle = truth.reference[name]
    signed, floor = gap(mine, oracle), gap(truth.held_out[name], oracle)
    return [
        row.score(PLACES[name], name, aggregate, estimate, truth.models, oracle=best)
        for aggregate, estimate, best in (
            ("mean", mean_over_models(mine, bounds=(0.0, 1.0)), float(np.mean(oracle))),
            ("gap", signed, floor.value),
            ("absolute-gap", distance(signed), distance(floor).value),
        )
    ]

"""Which rows of a forget set have a rank, and the ranks of all that a folder has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from numpy import ndarray

from expunge.bench.breakage import is_broken
from expunge.bench.plan import ANCHORS
from expunge.bench.score import compare_rows
from expunge.ensembles.origin import Origin
from expunge.ensembles.stored_margins import EnsembleMargins
from expunge.methods import METHODS
from expunge.metrics import METRICS, Reference, Row
from expunge.records import SPLITS, Score, SplitName
from expunge.suites import ForgetSet, Suite

MODULES = ("expunge.bench.breakage", __name__)  # which say who is ranked at all


def is_comparison(score: Score) -> bool:
    """Whether the number says how a row stands to others."""
    metric = METRICS.get(score.metric)
    return metric is not None and metric.compares is not None


def rankable(scores: Mapping[str, Sequence[Score]]) -> list[str]:
    """The methods whose rows have a rank: the sound ones that surely close some of the gap on forget.

    `identity` does not; where a set has no headroom, none does.
    """
    return [name for name in sound(scores) if _Found(scores[name]).is_nearer]


def sound(scores: Mapping[str, Sequence[Score]]) -> list[str]:
    """The methods whose rows could have a rank.

    Upper bounds cannot, nor can margins made elsewhere, whose models are paired with no others, nor methods that break
    the model: a broken method must not win, nor one that is doubted. Where an anchor failed, nothing says who breaks
    the model, and none can; nor can a row without a distance.
    """
    found = {name: _Found(each) for name, each in scores.items() if all(score.status == "ok" for score in each)}
    if not found.keys() >= set(ANCHORS):
        return []
    anchors = found["oracle"], found["identity"]
    broken = {name for name, each in found.items() if name != "oracle" and is_broken(each, *anchors)}
    told = {name for name, each in found.items() if all(map(each.distance, SPLITS)) and not each.doubted}
    return [name for name in scores if name in told - broken and may_be_ranked(name)]


def with_causes(scores: Mapping[str, list[Score]], causes: Mapping[str, str]) -> dict[str, list[Score]]:
    """The same scores, where a row breaks the model with its likely cause after what it is doubted for."""
    found = {name: _Found(each) for name, each in scores.items() if all(score.status == "ok" for score in each)}
    if not found.keys() >= set(ANCHORS):
        return dict(scores)
    anchors = found["oracle"], found["identity"]
    broken = [name for name, each in found.items() if name not in ANCHORS and is_broken(each, *anchors)]
    told = {name: causes[name] for name in broken if causes.get(name)}
    return {
        name: [replace(score, reason="; ".join(filter(None, [score.reason, told[name]]))) for score in each]
        if name in told
        else each
        for name, each in scores.items()
    }


def may_be_ranked(name: str) -> bool:
    """Whether a method has a rank, if its row is sound: upper bounds have none, nor have margins made elsewhere."""
    return METHODS[name].ranked if name in METHODS else ":" in name


@dataclass(frozen=True)
class _Found:
    """The scores of one row on one forget set, as far as they say whether it breaks the model."""

    scores: Sequence[Score]

    @property
    def doubted(self) -> bool:
        return any(score.reason for score in self.scores)

    @property
    def is_nearer(self) -> bool:
        """Whether it is surely nearer to the oracles on forget than the untouched models are."""
        closed = self._one("forget", "gap-closed", "mean")
        return closed is not None and closed.low is not None and closed.low > 0

    def distance(self, split: SplitName) -> Score | None:
        return self._one(split, "distance", "mean")

    def strays(self, split: SplitName) -> float:
        share = self._one(split, "outliers", "share")
        return (share.value or 0.0) if share else 0.0

    def scattered(self, split: SplitName) -> float:
        share = self._one(split, "outliers", "cells")
        return (share.value or 0.0) if share else 0.0

    def _one(self, *wanted: str) -> Score | None:
        return next((each for each in self.scores if (each.split, each.metric, each.aggregate) == wanted), None)


def compare(rows: Mapping[str, Row], reference: Reference, metrics: Sequence[str]) -> list[Score]:
    """The ranks of these rows of a forget set, whose records name the code that says who is ranked."""
    return compare_rows(
        {name: replace(row, modules=(*row.modules, *MODULES)) for name, row in rows.items()}, reference, metrics
    )


def kept_row(suite: Suite, forget: ForgetSet, scores: Sequence[Score], margins: ndarray) -> Row:
    """The row that a folder has records and margins of; what it says of its code is joined to that of comparing."""
    first, subject = scores[0], scores[0].subject
    origin = Origin(suite.address, suite.digest, "unlearned", forget.key, tuple(range(len(margins))))
    return Row(
        suite,
        forget,
        subject.method,
        EnsembleMargins(margins, None, origin, subject.device),
        subject.config,
        epoch=first.epoch,
        cost=first.cost,
        seconds=first.seconds,
        seed=subject.seed,
        tuning=subject.tuning,
        budget=subject.budget,
        modules=(),
        own_code=subject.code,
    )

"""The one word said of a method, and the rule behind it."""

from typing import Literal

from expunge.bench.breakage import BREAKS, is_above, is_broken
from expunge.metrics.klom import SATURATED
from expunge.records import SPLITS
from expunge.reports.summaries import FLOOR, NOTHING, Interval, Summary

Reading = Literal[
    "floor",
    "forgets",
    "forgets, drifts",
    "partly forgets",
    "does nothing",
    "moves away",
    "breaks the model",
    "cannot tell",
    "doubted",
    "failed",
]

FEW = 25  # models: with so few a perfect method has a P95 of 4 nats or more (simulation); 1.7 with 50, 0.65 with 100

ALIKE = 0.02  # p-value of the model-level test at or below which a row is not at the floor: so often is a perfect one

MATTERS = 0.05  # of the gap: to close less, however surely, is to do nothing

RULES: dict[Reading, str] = {
    "floor": "held-out oracles against the reference oracles: what a perfect method gets",
    "forgets": "reaches the floor on forget, retain and test",
    "forgets, drifts": "reaches the floor on forget; retain or test lies above its own floor",
    "partly forgets": f"surely closes more than {100 * MATTERS:g} % of the gap on forget, and is not at the floor",
    "does nothing": f"not surely nearer to the oracles on forget than identity, nor farther, by {100 * MATTERS:g} % of "
    "the gap",
    "moves away": f"surely farther from the oracles on forget than identity, by more than {100 * MATTERS:g} % of "
    "the gap",
    "breaks the model": f"retain or test lies more than {BREAKS:g} sd of the oracles above both the floor and "
    "identity, or more models lie far outside the others than of the oracles and of identity",
    "cannot tell": "an interval is missing; or the forget set has no headroom: doing nothing is not far enough from "
    "the floor for so many models; or the row reaches the floor and is not surely nearer than identity",
    "doubted": "there is reason to think that the models are not what they should be; it is given",
    "failed": "the method raised or diverged, or a metric has no finite number for it; the reason is given",
}

NEARER: tuple[Reading, ...] = ("forgets", "forgets, drifts", "partly forgets")  # than doing nothing

MARKS: dict[Reading, str] = {  # read without colour
    "floor": "▬",
    "forgets": "●",
    "forgets, drifts": "◕",
    "partly forgets": "◐",
    "does nothing": "○",
    "moves away": "↗",
    "breaks the model": "✕",
    "cannot tell": "?",
    "doubted": "⊘",
    "failed": "!",
}

COLUMNS = {  # of the tables of the terminal, in full
    "#": "place by the distance, mean over forget, retain and test, in paired differences over the same models "
    "(Holm-corrected); methods that share one cannot be told from the nearest of them. Two "
    "of different places may still not be told from each other: `expunge compare` says",
    "gap closed": "share of the way on forget from identity, 0 %, to the floor, 100 %; the floor is the row oracle: "
    "held-out oracles, what a perfect method gets",
    "±": "half the 95 % interval for fresh models of the same number",
    "distance": "Wasserstein-1 between the margins of unlearned models and of oracles, in standard deviations of the "
    "oracles, mean over the examples; lower is better",
    "drift": "the distance on retain or test, less that of the floor: what the method did to what should have stayed",
    "KLoM": f"the nats that 95 % of the forget examples stay under; * from {SATURATED:.1f} on it is saturated: it "
    "says how wide models spread, not how far they are",
    "differ": "share of the forget examples whose margins differ from the oracles', false discoveries held at 5 %",
    "acc %": "mean accuracy on forget/retain/test",
    "cost": "share of one retraining; below it the seconds for one model, after >15% where it is above that budget",
}

LEGEND = (
    "Readings follow from 95 % intervals: of the share of the gap, which is over the same models as identity's, so "
    "that it is known better than the two distances it is made of; and of the distances beside those of the row oracle "
    "(the floor), where intervals that overlap count as equal. On forget a "
    f"row reaches the floor if its share may be {100 - 100 * MATTERS:g} % or more, its KLoM P95 reaches the floor, "
    "no example surely differs from the oracles', and its models, taken whole, may be oracles. The first rule that "
    "holds decides, in the order failed, breaks the "
    "model, doubted, cannot tell, forgets, partly forgets, moves away, does nothing."
)


def reading(row: Summary, floor: Summary | None, identity: Summary | None) -> Reading:
    """What ``row`` shows, in a word; ``floor`` and ``identity`` are the anchor rows of the same forget set.

    All comparisons are of 95 % intervals of the distance. In this order:

    1. *failed*: the row failed. *floor*: the row is the oracle row.
    2. *breaks the model*: see :func:`~expunge.bench.breakage.is_broken`.
    3. *doubted*: the records say why; see :mod:`expunge.bench.alarms`.
    4. *cannot tell*: an interval is missing; or the set has no headroom, so that no row has a share of the gap, and
       the row is not farther than identity; or forget reaches the floor and is not surely nearer than identity.
       ``identity`` itself is still said to do nothing.
    5. *forgets*: forget, retain and test all reach the floor; *forgets, drifts*: only forget does. On forget that takes
       a share of the gap that may be 1, and KLoM's P95 and the share of examples told apart from the oracles, which see
       what the distance does not: a constant at the oracles' mode is near them, and is not like them; and that models,
       taken whole, may be oracles: nine of ten can be, and the tenth untouched.
    6. *partly forgets*: the share of the gap closed is surely above ``MATTERS``: over the same models a thousandth can
       be sure, and is nothing to speak of. *moves away*: surely below its negative. Else *does nothing*.
    """
    if row.failed:
        return "failed"
    if row.method == FLOOR:
        return "floor"
    if floor is None:
        return "cannot tell"
    if is_broken(row, floor, identity):
        return "breaks the model"
    if row.method == NOTHING:
        return "does nothing"
    if row.doubts:
        return "doubted"
    if identity is None or not all(_complete(each.distance(split)) for each in (row, floor) for split in SPLITS):
        return "cannot tell"
    return _progress(row, floor, identity)


def _progress(row: Summary, floor: Summary, identity: Summary) -> Reading:
    closed = row.closed
    if closed is None or closed.low is None or closed.high is None:
        return "moves away" if is_above(row.distance("forget"), identity.distance("forget")) else "cannot tell"
    if _reaches(row, floor, closed.high):
        if closed.low <= 0:
            return "cannot tell"
        drifts = any(is_above(row.distance(split), floor.distance(split)) for split in SPLITS[1:])
        return "forgets, drifts" if drifts else "forgets"
    if closed.low > MATTERS:
        return "partly forgets"
    return "moves away" if closed.high < -MATTERS else "does nothing"


def _reaches(row: Summary, floor: Summary, closed: float) -> bool:
    """Whether the row is at the floor on forget, by all that the bench measures there.

    The share of the gap says it more sharply than two distances: the oracles' spread, their unit, cancels.
    """
    klom = is_above(row.klom("forget"), floor.klom("forget"))
    return closed >= 1 - MATTERS and not klom and not _told_apart(row) and not _some_are_others(row)


def _some_are_others(row: Summary) -> bool:
    """Whether some of its models, taken whole, are no oracles."""
    p = row.model_level("forget")
    return p is not None and p.value <= ALIKE


def _told_apart(row: Summary) -> bool:
    """Whether some forget examples surely differ from the oracles': the share's interval lies above 0."""
    share = row.distinguishable("forget")
    return share is not None and share.low is not None and share.low > 0


def _complete(interval: Interval | None) -> bool:
    return interval is not None and interval.low is not None and interval.high is not None

"""The one word said of a method, and the rule behind it."""

from typing import Literal

from expunge.bench.breakage import BREAKS, is_above, is_broken
from expunge.metrics.klom import CEILING
from expunge.records import SPLITS, SplitName
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
    "failed",
]

FEW = 25  # models: with so few a perfect method has a P95 of 4 nats or more (simulation); 1.7 with 50, 0.65 with 100

RULES: dict[Reading, str] = {
    "floor": "held-out oracles against the reference oracles: the score of a perfect method",
    "forgets": "reaches the floor on forget, retain and test",
    "forgets, drifts": "reaches the floor on forget; retain or test lies above its own floor",
    "partly forgets": "forget lies below identity, above the floor",
    "does nothing": "forget overlaps identity, not the floor",
    "moves away": "forget lies above identity: further from the oracles than before",
    "breaks the model": f"retain or test lies above {BREAKS:g} x its floor and {BREAKS:g} x identity (a rule of "
    "thumb), or more models lie far outside the others than of the oracles and of identity, which hides the rest from "
    "KLoM",
    "cannot tell": "the intervals do not decide: one is absent, forget overlaps both the floor and identity, or it "
    f"reaches a floor so high (too few models) that {BREAKS:g} x the floor is beyond KLoM's ceiling, with retain or "
    "test not shown to be as the oracles'",
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
    "failed": "!",
}

LEGEND = (
    "Readings compare the 95 % intervals of KLoM P95, split by split, with those of the rows oracle (the floor) and "
    "identity (do nothing); two intervals that overlap count as equal. A row whose forget examples surely differ "
    "from the oracles' does not reach the floor. The first rule that holds decides, in the order failed, breaks the "
    "model, cannot tell, forgets, partly forgets, moves away, does nothing."
)


def reading(row: Summary, floor: Summary | None, identity: Summary | None) -> Reading:
    """What ``row`` shows, in a word; ``floor`` and ``identity`` are the anchor rows of the same forget set.

    All comparisons are of 95 % intervals of KLoM P95; to reach the floor on forget, the share of forget examples that
    are told apart from the oracles must not lie above 0 either. In this order:

    1. *failed*: the row failed. *floor*: the row is the oracle row.
    2. *breaks the model*: see :func:`~expunge.bench.breakage.is_broken`.
    3. *cannot tell*: an interval is missing; or forget reaches both the floor and identity (a set nobody memorised); or
       it reaches the floor, but with so few models that a broken one may hide: see :func:`_hides`. ``identity`` itself
       is then still said to do nothing.
    4. *forgets*: forget, retain and test all reach the floor's interval; *forgets, drifts*: only forget does.
    5. *partly forgets*: forget lies wholly below identity. *moves away*: wholly above. Else *does nothing*.
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
    if not all(_complete(anchor.klom(split)) for anchor in (row, floor) for split in SPLITS):
        return "cannot tell"
    return _progress(row, floor, identity)


def _progress(row: Summary, floor: Summary, identity: Summary | None) -> Reading:
    nothing = identity.klom("forget") if identity else None
    if not _complete(nothing):
        return "cannot tell"
    near = not is_above(row.klom("forget"), floor.klom("forget"))
    reaches_floor = near and not _told_apart(row)
    above, below = is_above(row.klom("forget"), nothing), is_above(nothing, row.klom("forget"))
    if (reaches_floor and not below) or (near and below and _hides(row, floor)):
        return "cannot tell"
    if reaches_floor:
        drifts = any(is_above(row.klom(split), floor.klom(split)) for split in SPLITS[1:])
        return "forgets, drifts" if drifts else "forgets"
    if below:
        return "partly forgets"
    return "moves away" if above else "does nothing"


def _hides(row: Summary, floor: Summary) -> bool:
    """Whether a broken model may hide on retain or test: no KLoM lies above twice such a floor.

    It does not where the examples of the split were tested one by one, and none is told apart from the oracles'.
    """
    return any(
        (cell := floor.klom(split)) is not None
        and cell.high is not None
        and BREAKS * cell.high >= CEILING
        and not _as_the_oracles(row, split)
        for split in SPLITS[1:]
    )


def _as_the_oracles(row: Summary, split: SplitName) -> bool:
    share = row.distinguishable(split)
    return share is not None and share.value == 0


def _told_apart(row: Summary) -> bool:
    """Whether some forget examples surely differ from the oracles': the share's interval lies above 0."""
    share = row.distinguishable("forget")
    return share is not None and share.low is not None and share.low > 0


def _complete(interval: Interval | None) -> bool:
    return interval is not None and interval.low is not None and interval.high is not None

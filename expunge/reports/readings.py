"""The one word said of a method, and the rule behind it."""

from typing import Literal

from expunge.bench.breakage import BREAKS, is_above, is_broken
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
    "failed",
]

DIM = 4.0  # nats of the floor above which nothing can be told; the ceiling of KLoM is 11.5
FEW = 25  # models: with so few the floor lies near DIM; on digits it is 2 nats with 50 models, 0.7 with 100

RULES: dict[Reading, str] = {
    "floor": "held-out oracles against the reference oracles: the score of a perfect method",
    "forgets": "reaches the floor on forget, retain and test",
    "forgets, drifts": "reaches the floor on forget; retain or test lies above its own floor",
    "partly forgets": "forget lies below identity, above the floor",
    "does nothing": "forget overlaps identity, not the floor",
    "moves away": "forget lies above identity: further from the oracles than before",
    "breaks the model": f"retain or test lies above {BREAKS:g} x its floor and {BREAKS:g} x identity, or more models "
    "lie far outside the others than of the oracles and of identity, which hides the rest from KLoM",
    "cannot tell": f"an interval is absent, the floor lies above {DIM:g} nats (too few models), or forget overlaps "
    "both the floor and identity",
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
    3. *cannot tell*: an interval is missing; or the floor of some split lies above ``DIM`` nats, as with 20 models and
       fewer, where KLoM is near its ceiling for everybody; or forget reaches both the floor and identity (a set nobody
       memorised). ``identity`` itself is then still said to do nothing.
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
    if not all(_complete(anchor.klom(split)) for anchor in (row, floor) for split in SPLITS) or _dim(floor):
        return "cannot tell"
    return _progress(row, floor, identity)


def _progress(row: Summary, floor: Summary, identity: Summary | None) -> Reading:
    nothing = identity.klom("forget") if identity else None
    if not _complete(nothing):
        return "cannot tell"
    reaches_floor = not is_above(row.klom("forget"), floor.klom("forget")) and not _told_apart(row)
    above, below = is_above(row.klom("forget"), nothing), is_above(nothing, row.klom("forget"))
    if reaches_floor and not below:
        return "cannot tell"
    if reaches_floor:
        drifts = any(is_above(row.klom(split), floor.klom(split)) for split in SPLITS[1:])
        return "forgets, drifts" if drifts else "forgets"
    if below:
        return "partly forgets"
    return "moves away" if above else "does nothing"


def _dim(floor: Summary) -> bool:
    """Whether the floor is so high that a broken model may hide under it."""
    return any(cell.value > DIM for cell in map(floor.klom, SPLITS) if cell)


def _told_apart(row: Summary) -> bool:
    """Whether some forget examples surely differ from the oracles': the share's interval lies above 0."""
    share = row.distinguishable("forget")
    return share is not None and share.low is not None and share.low > 0


def _complete(interval: Interval | None) -> bool:
    return interval is not None and interval.low is not None and interval.high is not None

"""The one word said of a method, and the rule behind it."""

from typing import Literal

from expunge.records import SPLITS, Split
from expunge.reports.rows import FLOOR, NOTHING, Interval, Row

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

BREAKS = 2.0  # times the floor (or identity, if that is higher) at which retain or test counts as broken

DIM = 4.0  # nats of the floor above which nothing can be told; the ceiling of KLoM is 11.5

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
    "failed": "the method raised or diverged; the reason is given",
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


def reading(row: Row, floor: Row | None, identity: Row | None) -> Reading:
    """What ``row`` shows, in a word; ``floor`` and ``identity`` are the anchor rows of the same forget set.

    All comparisons are of 95 % intervals of KLoM P95; to reach the floor on forget, the share of forget examples that
    are told apart from the oracles must not lie above 0 either. In this order:

    1. *failed*: the row failed. *floor*: the row is the oracle row.
    2. *breaks the model*: more models are outliers than of the oracles and of identity, which stretch KLoM's bins so
       that its numbers say too little; or on retain or test the interval lies wholly above ``BREAKS`` times the floor's
       and identity's upper ends. Identity counts because on a class forget set the test split holds the class, and a
       model that merely still knows it is far from the oracles there without being broken.
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
    strays = any(_strays(split, row, floor, identity) for split in SPLITS)
    if strays or any(_breaks(split, row, floor, identity) for split in SPLITS[1:]):
        return "breaks the model"
    if row.method == NOTHING:
        return "does nothing"
    if not all(_complete(anchor.klom(split)) for anchor in (row, floor) for split in SPLITS) or _dim(floor):
        return "cannot tell"
    return _progress(row, floor, identity)


def _progress(row: Row, floor: Row, identity: Row | None) -> Reading:
    nothing = identity.klom("forget") if identity else None
    if not _complete(nothing):
        return "cannot tell"
    reaches_floor = not _above(row.klom("forget"), floor.klom("forget")) and not _told_apart(row)
    above, below = _above(row.klom("forget"), nothing), _above(nothing, row.klom("forget"))
    if reaches_floor and not below:
        return "cannot tell"
    if reaches_floor:
        drifts = any(_above(row.klom(split), floor.klom(split)) for split in SPLITS[1:])
        return "forgets, drifts" if drifts else "forgets"
    if below:
        return "partly forgets"
    return "moves away" if above else "does nothing"


def _dim(floor: Row) -> bool:
    """Whether the floor is so high that a broken model may hide under it."""
    return any(cell.value > DIM for cell in map(floor.klom, SPLITS) if cell)


def _told_apart(row: Row) -> bool:
    """Whether some forget examples surely differ from the oracles': the share's interval lies above 0."""
    share = row.distinguishable("forget")
    return share is not None and share.low is not None and share.low > 0


def _complete(interval: Interval | None) -> bool:
    return interval is not None and interval.low is not None and interval.high is not None


def _above(one: Interval | None, other: Interval | None, times: float = 1.0) -> bool:
    """Whether ``one`` lies wholly above ``times`` x the upper end of ``other``; never so where one is unknown."""
    if one is None or other is None or one.low is None or other.high is None:
        return False
    return one.low > times * other.high


def _strays(split: Split, row: Row, floor: Row, identity: Row | None) -> bool:
    """Whether more of its models are outliers than of the anchors': a handful of models has some by chance."""
    anchors = [each.strays(split) for each in (floor, identity) if each and each is not row]
    return row.strays(split) > max(anchors)


def _breaks(split: Split, row: Row, floor: Row, identity: Row | None) -> bool:
    one, nothing = row.klom(split), identity.klom(split) if identity else None
    return _above(one, floor.klom(split), BREAKS) and (nothing is None or _above(one, nothing, BREAKS))

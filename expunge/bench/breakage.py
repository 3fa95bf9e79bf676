"""Which methods break the model: what such a row says of forgetting is not to be read, and it has no rank."""

from typing import Protocol, runtime_checkable

from expunge.records import SPLITS, SplitName

SCATTERED = 0.005  # of single margins far outside, beyond the anchors' share: honest rows have 0, or 2 % and more
BREAKS = 1.0  # sd of the oracles beyond the floor and identity, on retain or test, that count as broken


@runtime_checkable
class Ends(Protocol):
    """A 95 % interval; an end is None where it is not known."""

    @property
    def low(self) -> float | None: ...

    @property
    def high(self) -> float | None: ...


@runtime_checkable
class Numbers(Protocol):
    """What one row measured on each split: the mean distance, and the shares of models and margins far outside."""

    def distance(self, split: SplitName) -> Ends | None: ...

    def strays(self, split: SplitName) -> float: ...

    def scattered(self, split: SplitName) -> float: ...


def is_broken(row: Numbers, floor: Numbers, identity: Numbers | None) -> bool:
    """Whether more models are outliers than of the anchors, or retain or test lies far above both anchors.

    Far: the interval of the distance lies wholly more than ``BREAKS`` beyond the upper ends of the floor and of
    identity: models have moved on what they should keep by more than oracles of other seeds lie apart. Identity counts
    because on a class forget set the test split holds the class, and a model that merely still knows it is far from
    the oracles there without being broken.
    """
    return has_strays(row, floor, identity) or any(_far(split, row, floor, identity) for split in SPLITS[1:])


def has_strays(row: Numbers, floor: Numbers, identity: Numbers | None) -> bool:
    """Whether on some split more of its models, or of its single margins, lie far outside than of the anchors'.

    They stretch KLoM's bins. A handful of models has some by chance.
    """
    anchors = [each for each in (floor, identity) if each and each is not row]
    return any(
        row.strays(split) > max(each.strays(split) for each in anchors)
        or row.scattered(split) > max(each.scattered(split) for each in anchors) + SCATTERED
        for split in SPLITS
    )


def is_above(one: Ends | None, other: Ends | None, by: float = 0.0) -> bool:
    """Whether ``one`` lies wholly more than ``by`` above the upper end of ``other``; never so where one is unknown."""
    if one is None or other is None or one.low is None or other.high is None:
        return False
    return one.low > other.high + by


def _far(split: SplitName, row: Numbers, floor: Numbers, identity: Numbers | None) -> bool:
    one, nothing = row.distance(split), identity.distance(split) if identity else None
    return is_above(one, floor.distance(split), BREAKS) and (nothing is None or is_above(one, nothing, BREAKS))

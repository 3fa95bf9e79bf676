"""Which methods break the model: what such a row says of forgetting is not to be read, and it has no rank."""

from typing import Protocol, runtime_checkable

from expunge.records import SPLITS, SplitName

BREAKS = (
    2.0  # times the floor (or identity, if that is higher) at which retain or test counts as broken: a rule of thumb
)


@runtime_checkable
class Ends(Protocol):
    """A 95 % interval; an end is None where it is not known."""

    @property
    def low(self) -> float | None: ...

    @property
    def high(self) -> float | None: ...


@runtime_checkable
class Numbers(Protocol):
    """What one row measured on each split: the P95 of KLoM, and the share of models that are outliers."""

    def klom(self, split: SplitName) -> Ends | None: ...

    def strays(self, split: SplitName) -> float: ...


def is_broken(row: Numbers, floor: Numbers, identity: Numbers | None) -> bool:
    """Whether more models are outliers than of the anchors, or retain or test lies far above both anchors.

    Far: the interval of the P95 lies wholly above ``BREAKS`` times the upper ends of the floor and of identity.
    Identity counts because on a class forget set the test split holds the class, and a model that merely still knows it
    is far from the oracles there without being broken.
    """
    return has_strays(row, floor, identity) or any(_far(split, row, floor, identity) for split in SPLITS[1:])


def has_strays(row: Numbers, floor: Numbers, identity: Numbers | None) -> bool:
    """Whether on some split more of its models are outliers than of the anchors': they stretch KLoM's bins.

    A handful of models has some by chance.
    """
    anchors = [each for each in (floor, identity) if each and each is not row]
    return any(row.strays(split) > max(each.strays(split) for each in anchors) for split in SPLITS)


def is_above(one: Ends | None, other: Ends | None, times: float = 1.0) -> bool:
    """Whether ``one`` lies wholly above ``times`` x the upper end of ``other``; never so where one is unknown."""
    if one is None or other is None or one.low is None or other.high is None:
        return False
    return one.low > times * other.high


def _far(split: SplitName, row: Numbers, floor: Numbers, identity: Numbers | None) -> bool:
    one, nothing = row.klom(split), identity.klom(split) if identity else None
    return is_above(one, floor.klom(split), BREAKS) and (nothing is None or is_above(one, nothing, BREAKS))

"""What one check of a proof found."""

from collections.abc import Iterable
from dataclasses import dataclass

from numpy import ndarray

from expunge.verdicts import Outcome


@dataclass(frozen=True)
class Finding:
    """The outcome of one check, in words."""

    check: str
    outcome: Outcome
    reason: str


def worst(findings: Iterable[Finding]) -> Outcome:
    """One that fails decides; else one that nobody can tell."""
    outcomes = {each.outcome for each in findings}
    return "FAIL" if "FAIL" in outcomes else "INCONCLUSIVE" if "INCONCLUSIVE" in outcomes else "PASS"


def counted(count: int, noun: str) -> str:
    """So many of them.

    >>> counted(1, "segment"), counted(1400, "step")
    ('1 segment', '1,400 steps')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"


def named_as(noun: str, numbers: Iterable[int] | ndarray) -> str:
    """The numbers behind what they are of.

    >>> named_as("step", [3]), named_as("step", [3, 5])
    ('step 3', 'steps 3, 5')
    """
    listed = [int(each) for each in numbers]
    return f"{noun}{'s' * (len(listed) != 1)} {named(listed)}"


def named(numbers: Iterable[int] | ndarray, most: int = 10) -> str:
    """The first of them, and how many more there are.

    >>> named([3, 5, 8], most=2)
    '3, 5 and 1 more'
    """
    listed = [int(each) for each in numbers]
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(map(str, listed[:most])) + more

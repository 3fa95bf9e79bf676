"""What is decided, not measured: a Verdict, which says what it does not show, and a Bound, which is one-sided."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from expunge.files import write_file
from expunge.records import Setting, Subject

SCHEMA = 1
Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]
Side = Literal["lower", "upper"]
Standing = Literal["assumed", "estimated", "proven"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What an audit decided of a subject. A PASS is no proof of more than it shows: ``shows_not`` says what it leaves.

    ``numbers`` are those that it rests on, by name; one that was not measured is absent, never 0. ``reasons`` say in
    words what decided, the weightiest first; a verdict without a reason is none.
    """

    audit: str  # a key of AUDITS
    subject: Subject
    outcome: Outcome
    reasons: tuple[str, ...]
    shows: str
    shows_not: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Setting] = field(default_factory=dict)
    schema: int = field(default=SCHEMA, compare=False)

    def __post_init__(self) -> None:
        if not self.reasons or not self.shows_not:
            raise ValueError("a verdict has a reason, and says what it does not show")


@dataclass(frozen=True, kw_only=True)
class Assumption:
    """What a bound rests on: a constant with its value, and whether it was assumed, estimated or proven."""

    name: str
    value: float | None
    standing: Standing
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One side of a quantity: ``lower`` was measured by an attack, ``upper`` proved from its assumptions.

    ``value`` is absent where there is no bound, and ``reasons`` say why; a finite number never stands for none.
    """

    audit: str
    subject: Subject
    quantity: str  # "epsilon", ...
    side: Side
    value: float | None
    level: float | None  # confidence of a measured one
    assumptions: tuple[Assumption, ...] = ()
    reasons: tuple[str, ...] = ()
    facts: Mapping[str, Setting] = field(default_factory=dict)
    schema: int = field(default=SCHEMA, compare=False)


def as_json(record: Verdict | Bound) -> dict[str, Any]:
    """The record as plain values, with its kind."""
    return {"record": type(record).__name__.lower(), **asdict(record)}


def write_verdicts(file: Path, records: list[Verdict | Bound]) -> None:
    """One JSON record a line, whole or not at all."""
    write_file(file, "".join(json.dumps(as_json(each), allow_nan=False) + "\n" for each in records))

"""Rows in the order in which they are read: the floor, then the methods by their place, then what has none, by distance
on forget, then what failed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from expunge.errors import UserError
from expunge.methods import METHODS
from expunge.records import Score
from expunge.reports.readings import Reading, reading
from expunge.reports.summaries import FLOOR, NOTHING, Summary, summaries

UNVERIFIED = "UNVERIFIED: margins that were handed in; no rank"


@dataclass(frozen=True)
class Line:
    """A row and what it shows."""

    row: Summary
    reading: Reading

    @property
    def cause(self) -> str:
        """The likely cause, where it breaks the model; else ""."""
        return self.row.cause if self.reading == "breaks the model" else ""

    @property
    def note(self) -> str:
        """What is to be known beside the numbers: why it failed, broke or is doubted, or that nobody saw the models."""
        handed_in = self.row.method not in METHODS and ":" not in self.row.method
        what = self.reading if self.reading in ("failed", "doubted") else "would also be doubted"
        told = [f"{what}: {self.row.doubts}"] if self.row.doubts else []
        if self.cause:
            told = [f"{self.reading}, {self.cause}", *told]
        return "; ".join([*told, *([UNVERIFIED] if handed_in else [])])


@dataclass(frozen=True)
class Board:
    """All rows of one forget set, the floor first if it was measured."""

    forget_set: str
    lines: tuple[Line, ...]

    @property
    def kind(self) -> str:
        """The kind of the forget set; "" where its records do not say."""
        return next((line.row.kind for line in self.lines), "")

    def has(self, classic: str) -> bool:
        """Whether some row has this classic score."""
        return any(line.row.classic(classic) for line in self.lines)

    @property
    def floor(self) -> Summary | None:
        return self._anchor(FLOOR)

    @property
    def identity(self) -> Summary | None:
        return self._anchor(NOTHING)

    @property
    def no_headroom(self) -> bool:
        """Whether both anchors were measured and no row has a share of the gap between them."""
        anchors = [each and each.distance("forget") for each in (self.floor, self.identity)]
        return all(anchors) and not any(line.row.closed for line in self.lines)

    def _anchor(self, name: str) -> Summary | None:
        return next((line.row for line in self.lines if line.row.method == name and not line.row.failed), None)


def boards(scores: Sequence[Score]) -> list[Board]:
    """One board per forget set, in the order in which the sets first appear."""
    digests = {(score.subject.suite, score.subject.suite_digest) for score in scores}
    if len(digests) != 1:
        found = ", ".join(sorted(f"{suite} {digest[:12]}" for suite, digest in digests)) or "no score at all"
        raise UserError(f"expected scores of one suite, got {found}; report each suite by itself")
    grouped: dict[str, list[Summary]] = {}
    for row in summaries(scores):
        grouped.setdefault(row.forget_set, []).append(row)
    return [_board(name, group) for name, group in grouped.items()]


def _board(name: str, group: list[Summary]) -> Board:
    anchors = {row.method: row for row in group if row.method in (FLOOR, NOTHING) and not row.failed}
    lines = [Line(row, reading(row, anchors.get(FLOOR), anchors.get(NOTHING))) for row in group]
    return Board(name, tuple(sorted(lines, key=_place)))


def _place(line: Line) -> tuple[bool, bool, float, float, float, str]:
    row, forget = line.row, line.row.distance("forget")
    rank = row.rank.value if row.rank else math.inf
    return (
        line.reading != "floor",
        row.failed,
        row.group or math.inf,
        rank,
        forget.value if forget else math.inf,
        row.method,
    )

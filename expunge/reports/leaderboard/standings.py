"""Who stands where over all forget sets of a suite."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from expunge.errors import UserError
from expunge.methods import METHODS
from expunge.records import SPLITS
from expunge.reports.boards import Board, Line
from expunge.reports.readings import MARKS, NEARER, Reading
from expunge.reports.summaries import FLOOR
from expunge.reports.tables import formats

BOUND = "uses retraining"
SPOILT: tuple[Reading, ...] = ("breaks the model", "doubted")


@dataclass(frozen=True)
class Standing:
    """One method over all forget sets of a suite."""

    method: str
    closed: float | None  # mean share of the gap closed, of the forget sets with headroom; None where a row is missing
    drift: float | None  # mean of the drifts on retain and test, in sd of the oracles
    nearer: int  # forget sets on which it reads better than doing nothing
    note: str  # why it stands below others: the marks of the leaderboard, and on how many sets

    @property
    def place(self) -> tuple[bool, float, str]:
        return bool(self.note), math.inf if self.closed is None else -self.closed, self.method


def standings(found: Sequence[Board]) -> list[Standing]:
    """All methods of a suite by their mean gap closed, last those that broke, failed or cost more than the budget.

    Oracles are none.
    """
    for board in found:
        require_one_bench(board)
    lines = [{line.row.method: line for line in board.lines} for board in found]
    names = dict.fromkeys(name for some in lines for name in some if name != FLOOR)
    rows = {name: [(some.get(name), board) for some, board in zip(lines, found, strict=True)] for name in names}
    return sorted((_standing(name, each) for name, each in rows.items()), key=lambda each: each.place)


def _standing(name: str, places: Sequence[tuple[Line | None, Board]]) -> Standing:
    scored = [line for line, _ in places if line and not line.row.failed]
    nearer = sum(line.reading in NEARER for line in scored)
    if len(scored) < len(places):
        return Standing(name, None, None, nearer, f"scored on {len(scored)} of {len(places)} forget sets")
    closed = [line.row.closed.value for line in scored if line.row.closed]
    drifts = [each.value for line in scored for split in SPLITS[1:] if (each := line.row.drift(split))]
    counts = {MARKS[why]: sum(line.reading == why for line in scored) for why in SPOILT}
    counts[formats.DEAR] = sum(line.row.dear for line in scored)
    spoilt = ", ".join(f"{mark} on {count}" for mark, count in counts.items() if count)
    note = BOUND if is_bound(name) else spoilt and f"{spoilt} of {len(places)}"
    return Standing(name, mean_of(closed), mean_of(drifts), nearer, note)


def mean_of(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def is_bound(name: str) -> bool:
    """Whether it is shown for comparison, without a rank, for it uses retrained models."""
    return name in METHODS and not METHODS[name].ranked


def require_one_bench(board: Board) -> None:
    """Ranks of different benches count different methods, and must not stand in one table."""
    ranks = [line.row.rank for line in board.lines if line.row.rank]
    worst = max((rank.high or 0 for rank in ranks), default=0)
    if worst != len(ranks):
        raise UserError(
            f"forget set {board.forget_set}: {len(ranks)} rows have ranks that go to {worst:.0f}, so they are of "
            "different benches; bench all methods together, and remove the files of others"
        )

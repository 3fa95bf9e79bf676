"""The block of a README: which method forgets what, at which price."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from expunge.errors import UserError
from expunge.methods import METHODS
from expunge.methods.certified import CERTIFIED
from expunge.outside import read_text
from expunge.reports.boards import Board, boards
from expunge.reports.leaderboard.notes import predicted, uncertified, unpriced
from expunge.reports.leaderboard.records import read_records
from expunge.reports.leaderboard.standings import SPOILT, is_bound, mean_of, require_one_bench
from expunge.reports.readings import MARKS, RULES, Reading
from expunge.reports.studies.markdown import code, grid
from expunge.reports.summaries import FLOOR, NOTHING
from expunge.reports.tables import formats
from expunge.suites.forget_set import FORGET_KINDS

FRONT = "digits"  # the suite that a README shows, where it has results; else the first
TOP, COLUMNS = 10, 4  # rows and kinds that it shows
WORST_FIRST: tuple[Reading, ...] = (
    *SPOILT, "failed", "cannot tell", "moves away", "does nothing", "partly forgets", "forgets, drifts", "forgets",
    "floor",
)  # fmt: skip
BEGIN, END = "<!-- leaderboard: made by `expunge leaderboard`, not by hand -->", "<!-- end of leaderboard -->"
_BLOCK = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)


def front_block(results: Path) -> str:
    """What a README shows: the methods that forget most over the first four kinds of forget sets, and at which cost."""
    records = read_records(results)
    suite = FRONT if FRONT in records else next(iter(records))
    found = boards(records[suite])
    for board in found:
        require_one_bench(board)
    kinds = dict(list(by_kind(found).items())[:COLUMNS])
    names = dict.fromkeys(line.row.method for board in found for line in board.lines)
    ranked = [name for name in names if name not in (FLOOR, NOTHING) and not is_bound(name)]
    cells = {name: {kind: _cell(name, some) for kind, some in kinds.items()} for name in ranked}
    order = sorted(ranked, key=lambda name: (-sum(each.worth for each in cells[name].values()), name))
    lines = [[code(name), *(each.text for each in cells[name].values())] for name in order[:TOP]]
    first = found[0].lines[0].row
    most = formats.at_most(line.row.budget for board in found for line in board.lines)
    settings = f", settings for {most}" if most else ""
    title = (
        f"{code(suite)}, {first.models} models against {first.oracle_models} oracles{settings}: the first "
        f"{len(lines)} of {len(ranked)} methods by the sum of their shares. Which share of the way from doing nothing "
        "(0 %) to a model that never saw the data (100 %) each goes on the examples to be forgotten, and at which "
        "share of a retraining:"
    )
    seen = {cell.mark for name in order[:TOP] for cell in cells[name].values()}
    legend = ", ".join(f"{MARKS[reading]} {reading}" for reading in RULES if MARKS[reading] in seen)
    none = [kind for kind in kinds if not any(cells[name][kind].forgets for name in ranked)]
    kinds_left = "any of these kinds" if len(none) == len(kinds) else f"these kinds: {', '.join(none)}"
    whole = f"At this price no method wholly forgets (●) {kinds_left}." if none else ""
    parts = [title, grid(["method", *kinds], lines), f"{legend}.", whole, _unranked(names)]
    top = order[:TOP]
    return "\n\n".join(filter(None, [*parts, *unpriced(top), *predicted(top), *uncertified(suite, top)]))


def _unranked(names: Iterable[str]) -> str:
    """Why fewer methods are ranked than there are: some are for comparison, some were not benched."""
    every = [name for name, row in METHODS.items() if not row.anchor]
    bounds = [code(name) for name in every if name in names and is_bound(name)]
    absent = [name for name in every if name not in names]
    why = [f"{' and '.join(bounds)} {'are' if bounds[1:] else 'is'} for comparison only"] if bounds else []
    if absent:
        kind = "certified methods" if set(absent) <= set(CERTIFIED) else "methods"
        why.append(f"{len(absent)} {kind} were not benched")
    others = len(bounds) + len(absent)
    return f"The other {others} of {len(every)} methods are not ranked: {', and '.join(why)}." if why else ""


@dataclass(frozen=True)
class Cell:
    """One method on all forget sets of a kind: its usual mark, or that it is spoilt on one, and its mean share."""

    mark: str
    text: str
    worth: float  # the share, at most 1; -1 where it breaks a model, is doubted, dear, failed or was not scored

    @property
    def forgets(self) -> bool:
        """Whether it forgets wholly, at a cost within the budget."""
        return self.mark == MARKS["forgets"] and self.worth > 0


def by_kind(found: Sequence[Board]) -> dict[str, list[Board]]:
    """The forget sets by their kind, in the order of FORGET_KINDS; each by itself where one names no kind."""
    if not all(board.kind for board in found):
        return {board.forget_set: [board] for board in found}
    return {kind: some for kind in FORGET_KINDS if (some := [board for board in found if board.kind == kind])}


def _cell(method: str, found: Sequence[Board]) -> Cell:
    lines = [line for board in found for line in board.lines if line.row.method == method]
    if len(lines) < len(found):
        return Cell("", "", -1.0)
    if any(line.row.failed for line in lines):
        return Cell("", "failed", -1.0)
    readings = [line.reading for line in lines]
    usual = min(readings, key=lambda each: (each not in SPOILT, -readings.count(each), WORST_FIRST.index(each)))
    closed = mean_of([line.row.closed.value for line in lines if line.row.closed])
    costs = [line.row.cost for line in lines if line.row.cost is not None]
    dear = any(line.row.dear for line in lines)
    price = f" at {formats.compute(max(costs))}{f' {formats.DEAR}' if dear else ''}" if costs else ""
    share = formats.ABSENT if closed is None else formats.whole_percent(closed)
    worth = -1.0 if usual in SPOILT or dear or closed is None else min(closed, 1.0)
    return Cell(MARKS[usual], f"{MARKS[usual]} {share}{price}", worth)


def read_page(file: Path) -> str:
    """The text of a page that has the two markers, once."""
    text = read_text(file, UserError)
    if len(_BLOCK.findall(text)) != 1:
        raise UserError(
            f"{file}: expected the markers {BEGIN!r} and {END!r} once, in this order, to write between them"
        )
    return text


def with_block(text: str, block: str) -> str:
    """``text`` with ``block`` between its two markers."""
    return _BLOCK.sub(lambda _: f"{BEGIN}\n\n{block}\n\n{END}", text)

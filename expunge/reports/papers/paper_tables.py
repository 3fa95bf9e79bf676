"""The table of a forget set as it stands in a paper: rows, columns, who is best, and the caption that proves it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from expunge.bench.run_info import RunInfo
from expunge.methods.tuned import NOTHING_CHEAP
from expunge.records import Score
from expunge.reports.boards import Board, Line, boards
from expunge.reports.papers.labels import Called, as_recorded
from expunge.reports.readings import MARKS
from expunge.reports.summaries import Interval, Summary
from expunge.reports.tables import formats

Find = Callable[[Summary], Interval | None]
Write = Callable[[Interval | None], str]


@dataclass(frozen=True)
class Column:
    """A number of a row, how it is written, and how half of its interval is; "" where it has none."""

    heading: str
    value: Callable[[Summary], str]
    half: Callable[[Summary], str] | None = None


def _column(heading: str, find: Find, value: Callable[[float | None], str], half: Write) -> Column:
    return Column(heading, lambda row: value(formats.value(find(row))), lambda row: half(find(row)))


COLUMNS = (
    _column("gap closed", lambda row: row.closed, formats.whole_percent, formats.half_percent),
    _column("distance forget", lambda row: row.distance("forget"), formats.nats, formats.half),
    _column("drift retain", lambda row: row.drift("retain"), formats.nats, formats.half),
    _column("drift test", lambda row: row.drift("test"), formats.nats, formats.half),
    _column("KLoM P95", lambda row: row.klom("forget"), formats.klom, formats.half),
    _column("accuracy forget", lambda row: row.accuracy("forget"), formats.percent, formats.half_share),
    _column("accuracy retain", lambda row: row.accuracy("retain"), formats.percent, formats.half_share),
    _column("accuracy test", lambda row: row.accuracy("test"), formats.percent, formats.half_share),
    Column("compute", lambda row: formats.compute(row.cost) + formats.DEAR * row.dear),
)
UNITS = (
    "Distance and drift in standard deviations of the oracles, KLoM in nats (*: saturated), accuracy in "
    "per cent; ±: half of the 95 % interval over models."
)
BEST, LIKE_BEST = "best", "like the best"


@dataclass(frozen=True)
class PaperLine:
    """A row: its cells with what is to be known of their intervals, in the order of COLUMNS."""

    method: str
    standing: str  # BEST, LIKE_BEST or ""
    mark: str
    reading: str
    cells: tuple[tuple[str, str], ...]  # the number, and half its interval


@dataclass(frozen=True)
class PaperTable:
    """A forget set: its rows, the caption, and the notes below it, each a sentence."""

    forget_set: str
    lines: tuple[PaperLine, ...]
    caption: str
    notes: tuple[str, ...]


def paper_tables(scores: Sequence[Score], run: RunInfo, called: Called = as_recorded) -> list[PaperTable]:
    """One table for each forget set, whose rows are ``called`` so."""
    grouped: dict[str, list[Score]] = {}
    for score in scores:
        grouped.setdefault(score.subject.forget_set, []).append(score)
    return [_table(board, grouped[board.forget_set], run, called) for board in boards(scores)]


def _table(board: Board, scores: Sequence[Score], run: RunInfo, called: Called) -> PaperTable:
    standings = _standings(board)
    lines = tuple(_line(line, standings.get(line.row.method, ""), called) for line in board.lines)
    notes = [f"{called(line.row.method)}: {line.note}." for line in board.lines if line.note]
    return PaperTable(board.forget_set, lines, _caption(board, scores, run, bool(standings), called), tuple(notes))


def _standings(board: Board) -> dict[str, str]:
    """Who is nearest of the ranked, and who cannot be told from that one: the first group of the ranks."""
    first = [line.row for line in board.lines if line.row.group == 1]
    best = min(first, key=_mean_distance, default=None)
    return {row.method: BEST if row is best else LIKE_BEST for row in first}


def _mean_distance(row: Summary) -> float:
    found = [each.value for split in ("forget", "retain", "test") if (each := row.distance(split))]
    return sum(found) / len(found) if found else float("inf")


def _line(line: Line, standing: str, called: Called) -> PaperLine:
    cells = tuple((each.value(line.row), each.half(line.row) if each.half else "") for each in COLUMNS)
    return PaperLine(called(line.row.method), standing, MARKS[line.reading], line.reading, cells)


def _caption(board: Board, scores: Sequence[Score], run: RunInfo, ranked: bool, called: Called) -> str:
    subject, info = scores[0].subject, run.forget_sets.get(board.forget_set)
    size = f" ({info.size} examples)" if info and info.size else ""
    models, oracles = (_span({getattr(each, name) for each in scores}) for name in ("models", "oracle_models"))
    marked = (
        "Bold: the nearest to the oracles, mean distance over forget, retain and test; †: not told apart from it "
        "(paired over the same models, Holm-corrected, 5 %)."
        if ranked
        else "No row has a rank, so none is marked as best."
    )
    version = subject.versions.get("expunge", "")
    most = formats.at_most(line.row.budget for line in board.lines)
    return (
        f"{subject.suite}, forget set {board.forget_set}{size}: {models} models against {oracles} oracles, "
        f"settings tuned for {most or 'no budget'}.{_otherwise(scores, called)} {UNITS}{_dear(board)} {marked} "
        f"Suite {subject.suite_digest[:16]}"
        f"{f', expunge {version}' if version else ''}."
    )


def _otherwise(scores: Sequence[Score], called: Called) -> str:
    """The rows whose settings are no tuned ones within the budget, or were set on top of them, and what they are."""
    found: dict[str, list[str]] = {}
    for name, how in {score.subject.method: score.subject.tuning for score in scores}.items():
        if how and (not how.startswith("tuned") or "; set: " in how or NOTHING_CHEAP in how):
            found.setdefault(how, []).append(called(name))
    told = "; ".join(f"{' and '.join(names)}: {how}" for how, names in found.items())
    return f" Other settings: {told}." if told else ""


def _dear(board: Board) -> str:
    """What the mark behind a cost says, where one stands."""
    return f" {formats.DEAR}: costs more than the budget." if any(line.row.dear for line in board.lines) else ""


def _span(numbers: set[int]) -> str:
    """
    >>> _span({20}), _span({15, 50})
    ('20', '15 to 50')
    """
    least, most = min(numbers), max(numbers)
    return f"{least}" if least == most else f"{least} to {most}"

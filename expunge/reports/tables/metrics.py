"""Any metrics of the table by name, one line a number: what the other tables have no column for."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from expunge.records import Score
from expunge.reports.boards import Board, boards
from expunge.reports.tables import formats

NARROW = 11  # columns that names are folded to, so that 60 hold a row


def render_metrics(scores: Sequence[Score], names: Sequence[str]) -> list[Table]:
    """One table per forget set with the numbers of the metrics ``names``, in the order of the rows of the main table.

    What was not told is absent; a row that failed has a line that says so.
    """
    return [_table(board, [each for each in scores if each.metric in names]) for board in boards(scores)]


def _table(board: Board, wanted: Sequence[Score]) -> Table:
    mine = [each for each in wanted if each.subject.forget_set == board.forget_set and each.value is not None]
    oracles = any(each.oracle is not None for each in mine)
    table = Table(
        title=Text(f"{board.forget_set}: {'metrics' if mine else 'nothing told by these metrics'}", style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for name in ("method", "metric"):
        table.add_column(name, overflow="fold", min_width=NARROW)
    table.add_column("split")
    for name in ("value,\n95 % interval", *(["oracles"] if oracles else [])):
        table.add_column(name, justify="right", no_wrap=True)
    for line in board.lines:
        if line.row.failed:
            table.add_row(line.row.method, "failed")
        for score in mine:
            if score.subject.method == line.row.method:
                table.add_row(*_cells(score, oracles))
    return table


def _cells(score: Score, oracles: bool) -> list[str]:
    return [
        score.subject.method,
        f"{score.metric}\n{score.aggregate}",
        score.split,
        f"{_number(score.value)}\n[{_number(score.low)}, {_number(score.high)}]",
        *([_number(score.oracle)] if oracles else []),
    ]


def _number(value: float | None) -> str:
    """
    >>> _number(0.123456), _number(None)
    ('0.1235', '–')
    """
    return formats.ABSENT if value is None else f"{value:.4g}"

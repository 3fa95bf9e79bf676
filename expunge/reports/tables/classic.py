"""The classic scores: the table of most papers, here with intervals, gaps, and the oracles' value beside each."""

from collections.abc import Callable, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from expunge.records import Score
from expunge.reports.boards import Board, Line, boards
from expunge.reports.summaries import FLOOR, Interval, Summary
from expunge.reports.tables import formats

PERCENT = {  # metric -> heading
    "ua": "UA, %",
    "ra": "RA, %",
    "ta": "TA, %",
    "mia-efficacy": "MIA-efficacy, %",
    "mia-efficacy-published": "MIA-efficacy as published, %",
}
LEGEND = (
    "UA: 1 − accuracy on forget; RA, TA: accuracy on retain and test; MIA-efficacy: share of the forget examples that "
    "an attack on each model calls non-members; average gap: mean of the four absolute gaps to the oracles; ToW, tug "
    "of war: product of 1 − absolute gap of the three accuracies. All should be what the oracles get, not high or low."
)
ASKED = "MIA-efficacy and average gap are computed when they are asked for: --classic."

CELLS = (
    "Each cell: the models / the oracles, in per cent; below, the gap ± the half width of its 95 % interval, or the "
    "interval. Average gap and ToW of oracles are those of held-out ones. "
)


def classic_table(board: Board) -> dict[str, Any] | None:
    """What the page shows of a forget set; ``None`` where no row has classic scores."""
    names = list(filter(board.has, PERCENT))
    if not names:
        return None
    return {
        "columns": [PERCENT[name] for name in names],
        "lines": [_line(line.row, names) for line in board.lines],
        "averaged": (averaged := board.has("average-gap")),
        "timed": board.has("run-time"),
        "legend": LEGEND if averaged else f"{LEGEND} {ASKED}",
    }


def _line(row: Summary, names: Sequence[str]) -> dict[str, Any]:
    time, tow, average = (row.classic(name) for name in ("run-time", "tow", "average-gap"))
    return {
        "name": row.method,
        "anchor": "held-out oracles" if row.method == FLOOR else "",
        "floor": row.method == FLOOR,
        "scores": [_score(row, name) for name in names],
        "average": _cell(
            formats.percent(formats.value(average)),
            formats.percent_between(average),
            formats.percent(_oracle(average)),
            average,
        ),
        "tow": _cell(formats.nats(formats.value(tow)), formats.between(tow), formats.nats(_oracle(tow)), tow),
        "time": _cell(
            formats.seconds(formats.value(time)), formats.seconds_between(time), formats.seconds(_oracle(time)), time
        ),
    }


def _score(row: Summary, name: str) -> dict[str, str]:
    cell, gap = row.classic(name), row.classic(name, "gap")
    shown = _cell(
        formats.percent(formats.value(cell)), formats.percent_between(cell), formats.percent(_oracle(cell)), cell
    )
    return shown | {
        "heading": PERCENT[name],
        "gap": formats.signed(formats.value(gap)),
        "within": formats.signed_between(gap),
    }


def _cell(value: str, between: str, oracle: str, cell: Interval | None) -> dict[str, str]:
    return {"value": value, "between": between, "oracle": oracle if cell else ""}


def _oracle(cell: Interval | None) -> float | None:
    return cell.oracle if cell else None


def render_classic(scores: Sequence[Score]) -> list[Table]:
    """One table of classic scores per forget set and, last, what they mean; made for 80 columns and more."""
    found = [_terminal_table(board) for board in boards(scores)]
    legend = Table(box=None, show_header=False, caption_justify="left", caption=Text(CELLS + LEGEND, style="default"))
    legend.add_column()
    return [*found, legend]


def _terminal_table(board: Board) -> Table:
    first = board.lines[0].row
    title = f"{board.forget_set}: classic scores, {first.models} models against {first.oracle_models} oracles"
    table = Table(
        title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False
    )
    table.add_column("method\n", overflow="fold", min_width=15)
    for name in ("UA %", "RA %", "TA %", "MIA %"):
        table.add_column(f"{name}\ngap", justify="right", no_wrap=True)
    table.add_column("avg. gap\n", justify="right", no_wrap=True)
    table.add_column("ToW\n", justify="right", no_wrap=True)
    for line in board.lines:
        table.add_row(*_terminal_cells(line), end_section=line.reading == "floor")
    return table


def _terminal_cells(line: Line) -> list[Text]:
    row = line.row
    average, tow = row.classic("average-gap"), row.classic("tow")
    cells = [
        (row.method, "failed" if row.failed else ""),
        *(_terminal_score(row, name) for name in ("ua", "ra", "ta", "mia-efficacy")),
        (_with_oracle(average, formats.percent), _short_between(average)),
        (_with_oracle(tow, formats.nats), formats.between(tow).replace(" ", "")),
    ]
    return [Text.assemble(upper, "\n", lower) for upper, lower in cells]


def _terminal_score(row: Summary, name: str) -> tuple[str, str]:
    """The value and the oracles', then the gap and its half width: symmetric unless one end is cut."""
    cell, gap = row.classic(name), row.classic(name, "gap")
    if cell is None or gap is None or gap.high is None:
        return formats.ABSENT, ""
    half = max(gap.high - gap.value, gap.value - (gap.value if gap.low is None else gap.low))  # one end may be cut
    if max(abs(gap.value), half) >= 0.1:
        return f"{_short(cell.value)}/{_short(cell.oracle)}", f"{100 * gap.value:+.0f}±{100 * half:.0f}".replace(
            "-", "−"
        )
    return f"{_short(cell.value)}/{_short(cell.oracle)}", f"{formats.signed(gap.value)}±{formats.percent(half)}"


def _with_oracle(cell: Interval | None, written: Callable[[float | None], str]) -> str:
    return f"{written(cell.value)}/{written(cell.oracle)}" if cell else formats.ABSENT


def _short_between(cell: Interval | None) -> str:
    if cell is None or cell.low is None or cell.high is None or cell.high < 0.1:
        return formats.percent_between(cell).replace(" ", "")
    return f"[{100 * cell.low:.0f},{100 * cell.high:.0f}]"


def _short(value: float | None) -> str:
    return formats.percent(value).replace("100.0", "100")

"""The tables of the terminal: one per forget set, then the legend. Words carry the meaning, colour none of it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rich import box
from rich.table import Table
from rich.text import Text

from expunge.records import SPLITS, Score, SplitName
from expunge.reports.boards import Board, Line, boards
from expunge.reports.readings import MARKS
from expunge.reports.summaries import Summary
from expunge.reports.tables import formats

Sizes = Mapping[str, Mapping[SplitName, int]]  # examples of the splits of forget sets

LEGEND = {
    "gap closed": "0 %: does nothing, as identity; 100 %: the floor, oracle; ±: 95 %",
    "distance": "to the oracles' margins, in their sd; drift: beyond the floor's",
    "KLoM": "95th percentile on forget, * saturated; differ: forget told apart",
    "cost": "share of one retraining; >15%: above that budget; seconds a model",
    "#": "not told apart from the nearest of that #; all: expunge info readings",
}

HEADS = (
    "gap\nclosed", "forget\ndistance", "retain\ndrift", "test\ndrift", "KLoM\ndiffer", "acc %\nf/r/t", "cost\nsec."
)  # fmt: skip
SPARE = HEADS[5], HEADS[4]  # what a narrow terminal can do without, the first of them first
NO_HEADROOM = (
    "no headroom: with so many models identity is too near to the floor for shares of the gap between them; take more "
    "models, or examples that models know better for having seen them"
)
FEW = 20  # examples below which 95 % of them are all but the largest, or all


def render_tables(scores: Sequence[Score], sizes: Sizes = MappingProxyType({})) -> list[Table]:
    """One table per forget set and, last, a legend of five lines; made for 80 columns and more.

    A row takes two lines: the numbers above, their 95 % intervals, the rank and the reading below. ``sizes`` says of
    forget sets how many examples their splits have, where that is known.
    """
    found = boards(scores)
    known = {board.forget_set: sizes[board.forget_set] for board in found if board.forget_set in sizes}
    return [*(_table(board) for board in found), _legend(few_in_words(known))]


def few_in_words(sizes: Sizes) -> str:
    """Of which splits the P95 is all but the maximum, in a line; "" where of none.

    >>> few_in_words({"few": {"forget": 12, "test": 500}})
    'P95 over fewer than 20 examples is (nearly) the maximum: forget of few (12).'
    """
    few = [f"{split} of {name} ({size})" for name, each in sizes.items() for split, size in each.items() if size < FEW]
    return f"P95 over fewer than {FEW} examples is (nearly) the maximum: {', '.join(few)}." if few else ""


def _table(board: Board) -> Table:
    first = board.lines[0].row
    title = f"{board.forget_set}: {first.models} models against {first.oracle_models} oracles"
    table = Table(
        title=Text(title, style="bold"),
        title_justify="left",
        caption=_caption(board),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
        show_edge=False,
    )
    table.add_column("method\ngroup, reading", overflow="fold", min_width=18)
    for name in HEADS:
        table.add_column(name, justify="right", no_wrap=True)
    for line in board.lines:
        table.add_row(*_cells(line), end_section=line.reading == "floor")
    return table


def _cells(line: Line) -> list[Text]:
    row, differ, klom = line.row, line.row.distinguishable("forget"), line.row.klom("forget")
    accuracies = [row.accuracy(split) for split in SPLITS]
    cells = [
        (row.method, (f"#{row.group} " if row.group else "") + f"{MARKS[line.reading]} {line.reading}"),
        (formats.whole_percent(formats.value(row.closed)), formats.half_percent(row.closed)),
        *(
            (formats.nats(formats.value(each)), formats.half(each))
            for each in (row.distance("forget"), row.drift("retain"), row.drift("test"))
        ),
        (formats.klom(formats.value(klom)), f"{100 * differ.value:.0f} %" if differ else formats.ABSENT),
        ("/".join(f"{100 * cell.value:.0f}" if cell else formats.ABSENT for cell in accuracies), ""),
        (*_cost(row),),
    ]
    return [Text.assemble(upper, "\n", lower) for upper, lower in cells]


def _cost(row: Summary) -> tuple[str, str]:
    """The cost, as narrow as it can be; the budget stands before the seconds where it is above it."""
    over = f">{formats.narrow(row.budget)} " if row.dear else ""
    return formats.narrow(row.cost), over + formats.seconds(row.seconds)


def _caption(board: Board) -> Text | None:
    failed = [f"{line.row.method} {line.note}" for line in board.lines if line.note]
    if board.floor is None:
        failed.append("no row oracle: without the floor nothing can be read")
    if board.no_headroom:
        failed.append(NO_HEADROOM)
    return Text("\n".join(failed), style="default") if failed else None


def _legend(few: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=False, caption_justify="left")
    table.add_column(no_wrap=True)
    table.add_column()
    for name, meaning in LEGEND.items():
        table.add_row(Text(name), Text(meaning))
    table.caption = Text(few, style="default") if few else None
    return table

"""The tables of the terminal: one per forget set, then the legend. Words carry the meaning, colour none of it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rich import box
from rich.table import Table
from rich.text import Text

from expunge.metrics.klom import SATURATED
from expunge.records import SPLITS, Score, SplitName
from expunge.reports.boards import Board, Line, boards
from expunge.reports.readings import LEGEND, MARKS, RULES
from expunge.reports.summaries import Summary
from expunge.reports.tables import formats

Sizes = Mapping[str, Mapping[SplitName, int]]  # examples of the splits of forget sets

COLUMNS = {
    "#": "group by distance, mean over the splits: its methods cannot be told from the nearest of them (paired, Holm)",
    "gap closed": "share of the way on forget from identity, 0 %, to the floor, 100 %; ± of all: 95 % interval",
    "distance": "Wasserstein-1 to the oracles' margins, in their sd, mean over examples; lower is better",
    "drift": "distance on retain or test less that of the floor",
    "KLoM": f"the nats that 95 % of the forget examples stay under; * from {SATURATED:.1f} on it is saturated: it "
    "says how wide models spread, not how far they are",
    "differ": "share of the forget examples whose margins differ from the oracles' (FDR 5 %)",
    "acc %": "mean accuracy on forget/retain/test",
    "cost": "share of one retraining; below it the seconds for one model; >15% before them: above the budget of 15 %",
}

HEADS = (
    "gap\nclosed", "forget\ndistance", "retain\ndrift", "test\ndrift", "KLoM\ndiffer", "acc %\nf/r/t", "cost\nsec."
)  # fmt: skip
NO_HEADROOM = (
    "no headroom: with so many models identity is too near to the floor for shares of the gap between them; take more "
    "models, or examples that models know better for having seen them"
)
FEW = 20  # examples below which 95 % of them are all but the largest, or all


def render_tables(scores: Sequence[Score], sizes: Sizes = MappingProxyType({})) -> list[Table]:
    """One table per forget set and, last, the legend of the readings that occur; made for 80 columns and more.

    A row takes two lines: the numbers above, their 95 % intervals, the rank and the reading below. ``sizes`` says of
    forget sets how many examples their splits have, where that is known.
    """
    found = boards(scores)
    known = {board.forget_set: sizes[board.forget_set] for board in found if board.forget_set in sizes}
    return [*(_table(board) for board in found), _legend(found, few_in_words(known))]


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
    over = f">{formats.compute(row.budget)} ".replace(" %", "%") if row.dear else ""
    return formats.compute(row.cost).replace(" %", "%"), over + formats.seconds(row.seconds)


def _caption(board: Board) -> Text | None:
    failed = [f"{line.row.method} {line.note}" for line in board.lines if line.note]
    if board.floor is None:
        failed.append("no row oracle: without the floor nothing can be read")
    if board.no_headroom:
        failed.append(NO_HEADROOM)
    return Text("\n".join(failed), style="default") if failed else None


def _legend(found: Sequence[Board], few: str) -> Table:
    seen = {line.reading for board in found for line in board.lines}
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False, caption_justify="left")
    table.add_column(no_wrap=True)
    table.add_column()
    for name, meaning in COLUMNS.items():
        table.add_row(Text(name), Text(meaning))
    for name, rule in RULES.items():
        if name in seen:
            table.add_row(Text(f"{MARKS[name]} {name}"), Text(rule))
    table.caption = Text(f"{LEGEND} {few}".strip(), style="default")
    return table

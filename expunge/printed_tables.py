"""Tables on standard output, for terminals of any width: whole, without columns that can be spared, or row by row."""

from collections.abc import Sequence

from rich import box
from rich.console import RenderableType
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

from expunge.streams import plain
from expunge.terminal import NAME, out

# SIMPLE_HEAD in ASCII: left to itself, rich sets bars between columns, which read as signs of an absolute value.
ASCII_HEAD = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)


def print_table(table: Table, spare: Sequence[str] = ()) -> None:
    """A table of the result; where the terminal is too narrow, without columns of ``spare``, the first of them first.

    Where that is not enough it is told row by row, one number a line. What is left out is said. Title and caption are
    as wide as the terminal, however narrow the table is.
    """
    if not out.encoding.startswith("utf"):
        _spell_out(table)
    title, caption, needed = table.title, table.caption, _width_of(table)
    table.title = table.caption = None
    if title:
        out.print(title)
    dropped = _dropped(table, spare)
    table.columns = [each for each in table.columns if each not in dropped]
    if dropped:
        told = ", ".join(_in_one_line(each.header) for each in dropped)
        out.print(f"(without {told}: as a table of all it takes {needed} columns)")
    if _width_of(table) > out.width:
        out.print(f"(row by row: as a table it takes {needed} columns)")
        _print_rows(table)
    elif table.row_count:
        out.print(table)
    if caption:
        out.print(caption)


def _dropped(table: Table, spare: Sequence[str]) -> list[Column]:
    """The columns to do without so that the table fits; none where it would not even so."""
    named = {str(each.header): each for each in table.columns}
    able = [named[name] for name in spare if name in named]
    left = _width_of(table) - out.width
    if left <= 0 or left > sum(_width_of_column(each) + _gap(table) for each in able):
        return []
    dropped: list[Column] = []
    for each in able:
        if left > 0:
            dropped.append(each)
            left -= _width_of_column(each) + _gap(table)
    return dropped


def _print_rows(table: Table) -> None:
    """Each row under its name, and an empty line below it."""
    first, *labels = table.columns
    for cells in zip(*(column.cells for column in table.columns), strict=True):
        name, *values = map(_in_one_line, cells)
        out.print(name or _in_one_line(first.header), style="bold")
        for label, value in zip(labels, values, strict=True):
            if value:
                out.print(f"  {_in_one_line(label.header)}: {value}")
        out.print("")


def _spell_out(table: Table) -> None:
    """Signs as letters before they are measured: some take more than one; and no bars between columns."""
    if table.box is box.SIMPLE_HEAD:
        table.box = ASCII_HEAD
    for column in table.columns:
        column.header = _spelt(column.header)
        column._cells[:] = map(_spelt, column._cells)


def _spelt(cell: RenderableType) -> RenderableType:
    if isinstance(cell, Text):
        cell.plain = plain(cell.plain)
    return plain(cell) if isinstance(cell, str) else cell


def _width_of(table: Table) -> int:
    """The columns of the terminal that a table needs, so that no name and no number is cut."""
    return (
        len(table.columns) * _gap(table)
        - (table.box is not None)
        + sum(_width_of_column(column) for column in table.columns)
    )


def _gap(table: Table) -> int:
    """The spaces of a column: its padding, and what a box sets between two."""
    _, right, _, left = table.padding
    return left + right + (table.box is not None)


def _width_of_column(column: Column) -> int:
    endless = out.options.update(width=10_000)
    widest = max(Measurement.get(out, endless, cell).maximum for cell in [column.header, *column.cells])
    return widest if column.no_wrap else min(widest, column.min_width or NAME)


def _in_one_line(cell: RenderableType) -> str:
    return " ".join(str(cell).replace("-\n", "-").split())  # a name that is broken at its hyphens is one again

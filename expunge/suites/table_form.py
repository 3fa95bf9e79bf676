"""How a table of text is written: what separates its columns, and whether its first row names them."""

import csv
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from itertools import islice
from pathlib import Path

from expunge.errors import BadData

SEPARATORS = ",;\t"
LINE = 1 << 20  # characters of one line
LOOKED_AT = 50  # rows, by which separators and a header are known, and columns of text
MISSING = ("", "na", "n/a", "nan", "null", "none", "?")
TRUTHS = {"true": 1.0, "false": 0.0}


def form_of(path: Path, text: TextIOWrapper, wanted: Sequence[object]) -> tuple[str, list[str], bool]:
    """The separator, the cells of the first row, and whether it is a header: it holds what is ``wanted`` by name."""
    lines: list[str] = []
    for line in islice(lines_of(path, text), LOOKED_AT):
        if sum(map(len, lines)) + len(line) <= LINE:
            lines += [line] if line.strip() else []
    if not lines:
        raise BadData(f"{path} is empty; expected a table of text")
    tables = {each: [row for row in csv.reader(lines, delimiter=each) if row] for each in SEPARATORS}
    widths = {each: {len(row) for row in rows} for each, rows in tables.items()}
    even = [each for each in SEPARATORS if len(widths[each]) == 1 and widths[each] != {1}]
    some = [each for each in SEPARATORS if len(tables[each][0]) > 1]
    if not even and not some:
        raise BadData(
            f"{path}: expected columns separated by commas, semicolons or tabs, got {lines[0].strip()[:60]!r}"
        )
    best = max(even or some, key=lambda each: len(tables[each][0]))
    first, *others = ([cell.strip() for cell in row] for row in tables[best])
    named = [each for each in wanted if isinstance(each, str) and each in first]
    return best, first, bool(named) or _is_header(first, others)


def _is_header(first: list[str], rows: list[list[str]]) -> bool:
    """Whether the first row names the columns: it has words where others have numbers, or counts the columns."""
    if not rows or first in (numbers_of(first), ["", *numbers_of(first[1:])]):
        return bool(rows)
    if not any(map(_is_value, first)) and all(len(row) == len(first) for row in rows):
        columns = [[row[number] for row in rows] for number in range(len(first))]
        return any(all(map(_is_value, column)) for column in columns) or len(set(first)) == len(first)
    return False


def _is_value(cell: str) -> bool:
    return is_number(cell) or cell.strip().lower() in (*MISSING[1:], *TRUTHS)


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def numbers_of(cells: Sequence[str]) -> list[str]:
    return [str(number) for number in range(len(cells))]


def lines_of(path: Path, text: TextIOWrapper) -> Iterator[str]:
    """Lines of a length that can be."""
    while line := text.readline(LINE):
        if len(line) == LINE:
            raise BadData(f"{path} has a line of more than {LINE:,} characters; expected a table, a row a line")
        yield line

"""Tables of text, such as ``.csv``: columns of numbers, and one of labels."""

import csv
import io
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from expunge.engine import warn
from expunge.errors import BadData, BadSetting, UnknownName, suggestion
from expunge.outside import opened, place_of
from expunge.suites.arrays import plain
from expunge.suites.data import Data
from expunge.suites.own import EXACT, data_from_arrays
from expunge.suites.splitting import SHARE, said, split
from expunge.suites.table_form import LOOKED_AT, MISSING, TRUTHS, form_of, is_number, lines_of, numbers_of

TABLE = 1 << 30  # bytes of a file
WRITTEN_BY_PANDAS = ("", "Unnamed: 0")  # what stands above its row numbers


def data_from_csv(path: Path | str, *, label: object, drop: object = (), test: object = SHARE) -> Data:
    """Data from a table of text in UTF-8, its columns separated by commas, semicolons or tabs, with a header or none.

    Args:
        path: the table; every row is an example.
        label: the column of labels, names or whole numbers: its name, or its number, from 0; -1 is the last.
        drop: columns to leave out, by names or numbers.
        test: another table of the same columns to test on, or the share of each class that is drawn to test, seed 0.

    All other columns must be numbers, as they are; true and false are 1 and 0. Text is refused with the names of its
    columns, and what is missing with its line. Row numbers that pandas wrote before each row are left out.
    """
    path = place_of(path)
    dropped = list(drop) if isinstance(drop, Iterable) and not isinstance(drop, str) else [drop]
    table = _read(path, _Wanted(label, dropped))
    if isinstance(test, str | Path):
        other = _read(Path(test).expanduser(), _Wanted(label, dropped, table.names))
        labels, names = _labels([table, other])
        made = f"rows of {path}, and of {test} to test, label {table.label!r}"
        return data_from_arrays(table.values, labels[0], other.values, labels[1], names=names, made=made)
    share = plain(test)
    if isinstance(share, bool) or not isinstance(share, int | float):
        raise BadSetting(f"test: expected a table to test on, or a share such as 0.2, got {test!r}")
    labels, names = _labels([table])
    y = labels[0]
    train, chosen = split(y, share, str(path), names)
    made = f"rows of {path}, label {table.label!r}: {said((len(train), len(chosen)), share)}"
    warn(made)
    x = table.values
    return data_from_arrays(x[train], y[train], x[chosen], y[chosen], names=names, made=made)


@dataclass(frozen=True)
class _Wanted:
    """Which columns are wanted: ``names``, where another table gave them, are those of the inputs, in order."""

    label: object
    drop: Sequence[object]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Table:
    """Inputs (rows, columns), and of each row which of ``words`` is its label; columns without names have numbers."""

    values: ndarray
    labels: ndarray
    words: list[str]
    names: tuple[str, ...]
    label: str
    path: Path
    lines: "array[int]"  # where each row stands

    def place(self, word: str) -> str:
        """Where a label stands first."""
        return f"{self.path}, line {self.lines[int((self.labels == self.words.index(word)).argmax())]}"


def _require_text(path: Path) -> None:
    """Refuse formats that are no text by what to do with them."""
    advice = {
        **dict.fromkeys((".gz", ".zip", ".bz2", ".xz", ".zst"), "unpack it first"),
        ".npz": "data_from_npz reads it",
        ".npy": "data_from_arrays takes what np.load reads",
        **dict.fromkeys((".parquet", ".feather", ".xlsx", ".xls"), "save it as text: table.to_csv(path, index=False)"),
    }.get(path.suffix.lower())
    if advice and path.is_file():
        raise BadData(f"{path} is no table of text, by its name; {advice}")


def _read(path: Path, wanted: _Wanted) -> _Table:
    _require_text(path)
    with opened(path, most=TABLE) as stream:
        try:
            text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
            separator, first, headed = form_of(path, text, [wanted.label, *wanted.drop])
            text.seek(0)
            return _parsed(path, csv.reader(lines_of(path, text), delimiter=separator), (first, headed), wanted)
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            raise BadData(f"{path} is no text: expected UTF-8, got byte 0x{byte:02x}; save it as UTF-8") from None
        except csv.Error as error:
            raise BadData(f"{path} is no table of text: {error}") from None


def _parsed(path: Path, rows: Any, form: tuple[list[str], bool], wanted: _Wanted) -> _Table:
    first, headed = form
    names = [cell or f"column {number}" for number, cell in enumerate(first)] if headed else numbers_of(first)
    places = _places(path, names, headed, wanted)
    label, inputs = places
    counted = headed and first[0] in WRITTEN_BY_PANDAS and 0 in inputs
    inputs = inputs[1:] if counted else inputs
    if counted:
        warn(f"{path}: the first column has no name: it is taken for row numbers, and left out")
    found = _Cells(path, [names[each] for each in inputs])
    if headed:
        next(row for row in rows if row)
    for row in filter(None, rows):
        if len(row) != len(first):
            raise BadData(f"{path}, line {rows.line_num}: expected {len(first)} columns, got {len(row)}")
        found.take(rows.line_num, [row[each] for each in inputs], row[label], names[label])
    values = found.values()
    if not headed and values.shape[1] > 1 and _counts(values[:, 0]):
        warn(f"{path}: the first column counts the rows: it is left out")
        values, inputs = values[:, 1:], inputs[1:]
    elif _counts(values[:, 0]):
        name = names[inputs[0]]
        warn(f"{path}: column {name!r} counts the rows, and is an input; drop={name!r} leaves it out")
    kept = tuple(names[each] for each in inputs)
    return _Table(
        values, np.frombuffer(found.labels, np.int64), list(found.words), kept, names[label], path, found.lines
    )


class _Cells:
    """The cells of a table, row by row: numbers in little memory, and labels, each word once."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.words: dict[str, int] = {}  # different labels, and their numbers
        self.labels, self.lines = array("q"), array("q")  # of each row, and where it stands
        self._path, self._names = path, names
        self._values = array("f")
        self._texts: dict[int, str] = {}  # columns of text, and a word of each
        self._last: int | None = None

    def take(self, line: int, cells: Sequence[str], label: str, named: str) -> None:
        """One more row; a wrong one is refused."""
        label = label.strip()
        if label.lower() in MISSING and label.lower() != "none":
            raise BadData(f"{self._path}, line {line}: no label in column {named!r}; fill it, or leave the row out")
        self.lines.append(line)
        self.labels.append(self.words.setdefault(label, len(self.words)))
        try:
            if "_" in "".join(cells):  # which Python takes for a part of a number
                raise ValueError
            self._values.extend([float(cell) for cell in cells])
        except (ValueError, OverflowError):
            self._values.extend([self._number(line, column, cell) for column, cell in enumerate(cells)])
        if self._texts and len(self.labels) >= (self._last or 0):
            raise self._refusal()

    def values(self) -> ndarray:
        """(rows, columns); refused where a column holds text, or a number is none."""
        if self._texts:
            raise self._refusal()
        if not self.labels:
            raise BadData(f"{self._path} holds no rows; expected one for each example")
        values = np.frombuffer(self._values, np.float32).reshape(len(self.labels), len(self._names))
        if not np.isfinite(values).all():
            row, column = np.argwhere(~np.isfinite(values))[0]
            raise BadData(
                f"{self._path}, line {self.lines[row]}, row {row + 1}, column {self._names[column]!r}: expected a "
                f"finite number that float32 holds, got {values[row, column]}; mend it, or leave the row out"
            )
        beyond = np.abs(values).max(axis=0) >= EXACT
        if beyond.any():
            name = self._names[int(beyond.argmax())]
            warn(f"{self._path}: numbers beyond {EXACT:,}, as in column {name!r}, lose their last digits in float32")
        return values

    def _number(self, line: int, column: int, cell: str) -> float:
        word = cell.strip().lower()
        if word in TRUTHS:
            return TRUTHS[word]
        if word in MISSING:
            raise BadData(
                f"{self._path}, line {line}: nothing in column {self._names[column]!r} ({cell!r}); fill it, leave the "
                "row out, or drop the column"
            )
        if is_number(cell):
            return float(cell)
        self._texts.setdefault(column, cell.strip()[:20])
        self._last = self._last or len(self.labels) + LOOKED_AT  # some rows more, in which other columns show theirs
        return 0.0

    def _refusal(self) -> BadData:
        shown = ", ".join(f"{self._names[each]!r} ({word!r})" for each, word in sorted(self._texts.items())[:LOOKED_AT])
        comma = any(is_number(word.replace(",", ".")) for word in self._texts.values())
        hint = "; decimals have a point, not a comma" if comma else ""
        return BadData(f"{self._path}: text in {shown}; leave such columns out (drop=), or make numbers of them{hint}")


def _places(path: Path, names: list[str], headed: bool, wanted: _Wanted) -> tuple[int, list[int]]:
    """Where the labels stand, and where the inputs do, in their order."""
    label = _place(path, names, headed, wanted.label)
    out = {label, *(_place(path, names, headed, each) for each in wanted.drop)}
    if label in [_place(path, names, headed, each) for each in wanted.drop]:
        raise BadSetting(f"column {names[label]!r} is the label, and cannot be dropped")
    inputs = [number for number in range(len(names)) if number not in out]
    if wanted.names and headed:
        lacking = [each for each in wanted.names if each not in names]
        if lacking:
            raise BadData(f"{path} has no column {lacking[0]!r}, which the table to train on has")
        inputs = [names.index(each) for each in wanted.names]
    elif wanted.names and len(inputs) not in (len(wanted.names), len(wanted.names) + 1):
        raise BadData(f"{path}: expected {len(wanted.names)} columns beside the label, got {len(inputs)}")
    if not inputs:
        raise BadData(f"{path} has no column beside the label; expected at least one of numbers")
    return label, inputs


def _place(path: Path, names: list[str], headed: bool, column: object) -> int:
    column = plain(column)
    if isinstance(column, str):
        if not headed and column not in names:
            raise UnknownName(f"{path} has no header to find column {column!r} by; give its number, from 0")
        if names.count(column) != 1:
            more = "two columns are called so" if column in names else suggestion(column, names, "its header has")
            raise UnknownName(f"{path} has no single column {column!r}; {more}")
        return names.index(column)
    if isinstance(column, int) and headed and names.count(str(column)) == 1:  # pandas gives columns numbers as names
        return names.index(str(column))
    if isinstance(column, bool) or not isinstance(column, int) or not -len(names) <= column < len(names):
        raise UnknownName(f"{path} has columns 0 to {len(names) - 1}, or names; got {column!r}")
    return column % len(names)


def _counts(values: ndarray) -> bool:
    """Whether a column holds the row numbers, from 0 or 1 on."""
    return len(values) > 2 and values[0] in (0, 1) and bool((np.diff(values) == 1).all())


def _labels(tables: Sequence[_Table]) -> tuple[list[ndarray], tuple[str, ...]]:
    """Labels of each table, and the names of the classes: none where all labels are whole numbers."""
    words = {word for table in tables for word in table.words}
    if all(map(is_number, words)):
        if odd := sorted(word for word in words if not float(word).is_integer() or abs(float(word)) > 1e15):
            place = next(each.place(odd[0]) for each in tables if odd[0] in each.words)
            raise BadData(f"{place}: expected classes as labels, names or whole numbers, got {odd[0]}, a measure")
        return [np.array([int(float(word)) for word in each.words], np.int64)[each.labels] for each in tables], ()
    known = {word: number for number, word in enumerate(sorted(tables[0].words))}
    if strange := sorted(words - known.keys()):
        shown = ", ".join(list(known)[:10])
        raise BadData(
            f"test, {tables[1].place(strange[0])}: {strange[0]!r} is no class of the table to train on, whose classes "
            f"are {shown}"
        )
    return [np.array([known[word] for word in each.words], np.int64)[each.labels] for each in tables], tuple(known)

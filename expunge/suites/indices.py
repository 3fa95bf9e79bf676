"""Which training examples a forget set has, however somebody says so: indices, masks, lists, sets, ranges, columns."""

import re
from collections.abc import Set
from pathlib import Path

import numpy as np
from jaxtyping import Int
from numpy import ndarray
from torch import Tensor

from expunge.engine import warn
from expunge.errors import BadSetting, in_a_line
from expunge.number_files import archive, read_array
from expunge.outside import place_of, read_text
from expunge.suites.arrays import as_array, odd_one, plain, shown
from expunge.suites.data import Data
from expunge.torch_files import read_tensors

WORD = 64  # bytes that a file of text has at most for each training example
_NUMBER = re.compile(r"[+-]?(\d{1,18}|\d{1,18}\.?\d*(e[+-]?\d{1,3})?)", re.IGNORECASE)
_MARKS = re.compile(r"[\"'\[\]()]")  # around numbers, as programs that quote and Python itself write them
_TRUTHS = {"true": True, "false": False}

Indices = Int[ndarray, " forget"]


class Chosen(ndarray):
    """Indices that know in words how they were ``made`` and of what ``kind`` of forget set they are.

    What is computed of them, or read again, does not.
    """

    made = ""
    kind = ""

    def __repr__(self) -> str:
        return repr(self.view(ndarray))


def chosen(indices: Indices, made: str, kind: str = "") -> Indices:
    """The indices, which know how they were made.

    >>> chosen(np.array([0, 2]), "all 2 examples of class 'cat'").made
    "all 2 examples of class 'cat'"
    """
    known = indices.view(Chosen)
    known.made, known.kind = in_a_line(made), kind
    return known


def checked(indices: object, train: int, what: str) -> Indices:
    """``indices`` sorted; refused where they are no forget set of ``train`` training examples."""
    found, masked = as_indices(indices, what)
    require_mask(masked, train, what)
    require_no_numbers_of_a_mask(found, what)
    require_size(found.size, train - 1, what)  # something must remain
    if found.min() < 0 or found.max() >= train:
        wrong = found[(found < 0) | (found >= train)][0]
        raise BadSetting(f"{what}: expected indices 0 to {train - 1}, got {wrong}")
    require_once(found, what)
    return np.sort(found)


def as_indices(given: object, what: str) -> tuple[Indices, int | None]:
    """Indices as int64 in the order in which they came, and, where a boolean mask was given, its length.

    A set has no order, so its indices come sorted. Whole numbers of any type are indices, floats among them.
    """
    if isinstance(given, str | bytes | Path | dict):
        raise BadSetting(f"{what}: expected indices or a boolean mask, got {given!r:.100}; from_file reads a file")
    if isinstance(given, Set) and any(isinstance(each, bool | np.bool_) for each in given):
        raise BadSetting(f"{what}: expected indices or a boolean mask, got a set of truth values, which have no order")
    if isinstance(given, Set):
        given = sorted(given) if len({type(each) for each in given}) == 1 else list(given)
    if isinstance(given, tuple) and len(given) == 1 and isinstance(given[0], ndarray):  # what np.nonzero returns
        given = given[0]
    array = as_array(given, what, BadSetting)
    if not array.size:
        return np.empty(0, np.int64), None
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    row = 0 if array.ndim != 1 or array.dtype.kind not in "biuf" else odd_one(array)
    if row is not None:
        said = f": {array[row]} is none" if array.ndim == 1 else ""
        raise BadSetting(f"{what}: expected a list of whole numbers, got {array.dtype} of shape {array.shape}{said}")
    if array.dtype == bool:
        return np.flatnonzero(array), array.size
    return array.astype(np.int64), None


def require_mask(length: int | None, train: int, what: str) -> None:
    """Refuse a mask that has not one truth value for each training example."""
    if length not in (None, train):
        raise BadSetting(f"{what}: expected a mask of {train} training examples, got one of {length}")


def require_no_numbers_of_a_mask(indices: Indices, what: str) -> None:
    """Refuse a mask that has 0 and 1 for False and True, which read as indices are something else."""
    if indices.size > 2 and indices.min() >= 0 and indices.max() <= 1:
        raise BadSetting(
            f"{what}: expected each index once, or truth values, got {indices.size} times 0 or 1; of a mask make truth "
            "values first: mask.astype(bool)"
        )


def require_once(indices: Indices, what: str) -> None:
    """Refuse an index that comes twice."""
    require_no_numbers_of_a_mask(indices, what)
    found, counts = np.unique(indices, return_counts=True)
    if (counts > 1).any():
        raise BadSetting(f"{what}: expected each index once, got {found[counts > 1][0]} {counts.max()} times")


def require_size(size: int, available: int, what: str = "") -> None:
    """Refuse a forget set of nothing, or of more examples than there are."""
    if not 1 <= size <= available:
        named = f"{what}: " if what else ""
        raise BadSetting(f"{named}expected a forget set of 1 to {available} examples, got {size}")


def trained_on(given: object, what: str) -> int:
    """How many training examples there are: a number, or those of data."""
    if isinstance(given, Data):
        return given.sizes[0]
    return require_whole(given, f"{what}: the number of training examples, or data")


def require_whole(given: object, what: str) -> int:
    """A whole number of any type as Python's own."""
    number = plain(given)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, int):
        raise BadSetting(f"expected a whole number as {what}, got {shown(given)}")
    return number


def require_number(given: object, what: str) -> float:
    """A number of any type as Python's own float."""
    number = plain(given)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise BadSetting(f"expected a number as {what}, got {shown(given)}")
    return float(number)


def from_file(path: Path | str, train: Data | int) -> Indices:
    """The indices in a file, sorted, out of ``train`` examples or data's: an array, a tensor or text.

    Arrays are a ``.npy`` or the only one of an ``.npz``, tensors a ``.pt``. Text, such as ``.txt`` and ``.csv``, holds
    one index a line, or all in one line, before any ``#``; as whole numbers, as numpy's ``savetxt`` writes them
    (3.000e+00), or True and False, a mask. In what pandas writes of a column the row numbers before the indices are
    left out.
    """
    path, train = place_of(path, BadSetting), trained_on(train, "from_file")
    if not path.exists():
        raise BadSetting(f"there is no file {path}; expected a .npy, .txt or .csv of training indices")
    kind = path.suffix.lower()
    if kind == ".npy":
        held = _read_npy(path, train)
    elif kind in (".npz", ".pt", ".pth"):
        held = _read_npz(path) if kind == ".npz" else _read_pt(path)
    else:
        held = _read_text(path, train)
    return chosen(checked(held, train, str(path)), f"the indices in {path}")


def _read_npy(path: Path, train: int) -> ndarray:
    indices = read_array(path, BadSetting, mapped=True)  # nothing of it is in memory before its length is checked
    if indices.dtype != bool and indices.size != train:  # of as many it may be a mask of numbers, which is told below
        require_size(indices.size, train - 1, str(path))
    require_mask(indices.size if indices.dtype == bool else None, train, str(path))
    return np.array(indices)


def _read_npz(path: Path) -> ndarray:
    with archive(path, BadSetting) as held:
        if len(held.names) != 1:
            raise BadSetting(f"{path}: expected an .npz of one array of indices, got {', '.join(held.names) or 'none'}")
        return held.array(held.names[0])


def _read_pt(path: Path) -> ndarray:
    held = read_tensors(path, BadSetting)
    if not isinstance(held, Tensor):
        raise BadSetting(f"{path}: expected a tensor of indices, got {type(held).__name__}; save that alone")
    return as_array(held, str(path), BadSetting)


def _read_text(path: Path, train: int) -> ndarray:
    text = read_text(path, BadSetting, most=4096 + WORD * train)
    bare = [_MARKS.sub("", line.partition("#")[0]) for line in text.splitlines()]
    lines = [line for line in bare if line.strip()]
    rows = [re.split(r"[,;\t]", line) if re.search(r"[,;\t]", line.strip()) else line.split() for line in lines]
    cells = [_without_last([cell.strip() for cell in row]) for row in rows]
    if path.suffix.lower() == ".csv" and len(cells) > 2 and cells[0] == ["0"] and cells[1] != ["1"]:
        warn(f"{path}: the first line, 0, is taken for an index; if pandas wrote it as a header, write header=False")
    words = [cell for row in _without_row_numbers(cells, path) for cell in row if cell]
    if words and all(word.lower() in _TRUTHS for word in words):
        return np.array([_TRUTHS[word.lower()] for word in words])
    odd = next((word for word in words if not _is_whole(word)), None)
    if odd is not None:
        raise BadSetting(
            f"{path}: expected whole numbers, separated by commas, spaces or lines, got {odd[:40]!r}; leave headers out"
        )
    return np.array([int(float(word)) if "." in word or "e" in word.lower() else int(word) for word in words], np.int64)


def _without_last(cells: list[str]) -> list[str]:
    """Cells without an empty one at the end, after the last separator."""
    return cells[:-1] if len(cells) > 1 and not cells[-1] else cells


def _is_whole(word: str) -> bool:
    return bool(_NUMBER.fullmatch(word)) and float(word).is_integer() and abs(float(word)) < 1e18


def _without_row_numbers(rows: list[list[str]], path: Path) -> list[list[str]]:
    """The cells that are indices: of two columns the second, where the first counts the rows, as pandas writes it."""
    headed = len(rows) > 1 and all(len(row) == 2 for row in rows) and not rows[0][0]
    body = rows[1:] if headed else rows
    widths = {len(row) for row in body}
    if rows and not headed and len(rows) == 1 and len(rows[0]) == 2 and rows[0][0] == "0":
        raise BadSetting(f"{path}: one line of 0 and an index may be a row number and its index; give an index a line")
    if widths != {2} or (len(body) == 1 and not headed):
        if len(body) > 1 and len(widths) == 1 and widths != {1}:
            raise BadSetting(f"{path}: expected one index a line, or all in one line, got {widths.pop()} a line")
        return rows
    if headed or [row[0] for row in body] == [str(number) for number in range(len(body))]:
        return [[row[1]] for row in body]
    raise BadSetting(
        f"{path}: expected one index a line, got two columns of which the first does not count the rows; leave it out "
        "(pandas: index=False)"
    )

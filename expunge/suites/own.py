"""Bring your own examples: from arrays, an ``.npz``, or a data set at the hub; see ``folders`` and ``tables`` too.

Each function returns :class:`Data` for a :class:`Suite`. Labels become numbers from 0, see ``labels``. Pictures become
float32 in [0, 1], channels first; other inputs become float32 as they are.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from expunge.engine import warn
from expunge.errors import BadData, MissingData, in_a_line
from expunge.number_files import NAMES, read_arrays
from expunge.outside import place_of
from expunge.suites.arrays import as_array
from expunge.suites.data import Data, Examples, checked_classes, require_finite
from expunge.suites.downloads import fetch, listing
from expunge.suites.encoded import one_kind, pictures
from expunge.suites.formats import parquet_columns
from expunge.suites.labels import numbered

CHANNELS = (1, 3, 4)
LEVELS = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}  # of pictures, by their type: white
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
EXACT = 1 << 24  # whole numbers up to it are float32 of their own


def data_from_arrays(
    x_train: object,
    y_train: object,
    x_test: object,
    y_test: object,
    *,
    classes: int | None = None,
    names: Sequence[str] = (),
    made: str = "arrays given by the user",
) -> Data:
    """Data from numpy arrays, tensors, lists, or tables and columns of pandas.

    Inputs of dtype uint8 or uint16 with shape ``(n, height, width)``, ``(n, channels, height, width)`` or ``(n, height,
    width, channels)`` are pictures. Labels are whole numbers or names, see ``labels``. ``classes`` is how many there
    are, by default as many as labels name; ``names`` are those of the classes 0, 1, ... where labels are numbers;
    ``made`` says where the examples come from.
    """
    arrays = as_array(x_train, "x_train"), as_array(_in_order(x_test, x_train), "x_test")
    x = [_inputs(each, name) for each, name in zip(arrays, ("x_train", "x_test"), strict=True)]
    _require_one_kind(*arrays)
    _require_one_width(*x)
    count = None if classes is None else checked_classes(classes)
    y = numbered(y_train, y_test, count)
    if names and y.names != tuple(map(str, range(y.classes))):
        raise BadData(
            "names: expected none, for the labels themselves name the classes; give names beside labels from 0"
        )
    train, test = Examples(x[0], y.train), Examples(x[1], y.test)
    return Data(train, test, y.classes, names=names or y.names, made=made)


def _in_order(test: object, train: object) -> Any:
    """A table to test on with its columns in the order of the table to train on, where both name them."""
    named = [_column_names(each) for each in (train, test)]
    if not all(named) or named[0] == named[1]:
        return test
    lacking = [name for name in named[0] if name not in named[1]]
    if lacking or len(set(named[1])) < len(named[1]):
        what = f"has no column {lacking[0]!r}, which x_train has" if lacking else "has two columns of one name"
        raise BadData(f"x_test {what}; expected the columns {in_a_line(', '.join(map(str, named[0])))}")
    if len(named[0]) < len(named[1]):
        more = next(name for name in named[1] if name not in named[0])
        raise BadData(f"x_test has a column {more!r}, which x_train has not; leave it out")
    return test[named[0]]  # type: ignore[index]


def _column_names(table: object) -> list[object]:
    """The names of the columns of a table of pandas or its like; none of whatever has none."""
    columns = getattr(table, "columns", None)
    return [] if columns is None or callable(columns) or isinstance(columns, str) else list(columns)


def data_from_npz(path: Path | str, *, classes: int | None = None) -> Data:
    """Data from an ``.npz`` with the arrays ``x_train``, ``y_train``, ``x_test``, ``y_test``; see data_from_arrays."""
    path = place_of(path)
    if not path.exists():
        raise MissingData(f"there is no file {path}; expected an .npz of x_train, y_train, x_test, y_test")
    x_train, y_train, x_test, y_test = read_arrays(path, ARRAYS, kinds=NAMES).values()
    return data_from_arrays(x_train, y_train, x_test, y_test, classes=classes, made=f"arrays of {path}")


def data_from_hub(
    name: str,
    *,
    revision: str,
    inputs: str | Sequence[str],
    label: str,
    train: str = "train",
    test: str = "test",
    folder: str = "",
) -> Data:
    """Data from a data set at the Hugging Face hub, ``OWNER/NAME``, whose files are parquet.

    ``inputs`` is the column of pictures or of lists of numbers, or the names of several columns of numbers; ``label``
    the column of classes. ``train`` and ``test`` are the names of the splits: their files are named so, or lie in a
    folder that is. ``folder`` picks one of several versions that lie side by side. A branch may move, a commit may not:
    give the commit as ``revision``.
    """
    commit, paths = listing(name, revision)
    columns = [inputs] if isinstance(inputs, str) else list(inputs)
    parts = []
    for split in (train, test):
        chosen = [path for path in sorted(paths) if _belongs(path, split, folder)]
        if not chosen:
            some = ", ".join(sorted(path for path in paths if path.endswith(".parquet"))[:5]) or "none"
            raise MissingData(f"data set {name} has no parquet file of split {split!r}; its parquet files: {some}")
        parts.append([(file, parquet_columns(file, [*columns, label])) for file in fetch(name, commit, chosen)])
    x = _hub_inputs(parts, columns)
    y = [[value for _, table in tables for value in table[label]] for tables in parts]
    return data_from_arrays(x[0], y[0], x[1], y[1], made=f"data set {name} of the hub, commit {commit}")


def _belongs(path: str, split: str, folder: str) -> bool:
    parts = Path(path).parts
    inside = path.startswith(f"{folder.rstrip('/')}/") if folder else True
    named = parts[-1].startswith((f"{split}-", f"{split}.")) or split in parts[:-1]
    return inside and named and path.endswith(".parquet")


_Tables = list[tuple[Path, dict[str, list[object]]]]  # the files of a split, and their columns


def _hub_inputs(parts: Sequence[_Tables], columns: list[str]) -> list[ndarray]:
    """The inputs of each split: pictures, all of one kind, or numbers."""
    if len(columns) > 1 or not all(_is_encoded(table[columns[0]]) for tables in parts for _, table in tables):
        return [np.concatenate([_numbers(file, table, columns) for file, table in tables]) for tables in parts]
    contents, names = [], []
    for tables in parts:
        contents.append([_bytes_of(each) for _, table in tables for each in table[columns[0]]])
        names.append([f"row {row} of {file}" for file, table in tables for row in range(len(table[columns[0]]))])
    kind = one_kind([*contents[0], *contents[1]], [*names[0], *names[1]])
    return [pictures(each, name, kind) for each, name in zip(contents, names, strict=True)]


def _is_encoded(column: list[object]) -> bool:
    return bool(column) and bool(_bytes_of(column[0]))


def _bytes_of(value: object) -> bytes:
    """The bytes of an encoded picture; none of another value."""
    held = value.get("bytes") if isinstance(value, dict) else None
    return held if isinstance(held, bytes) else b""


def _numbers(file: Path, table: dict[str, list[object]], columns: list[str]) -> ndarray:
    try:
        parts = [np.array(table[column], dtype=np.float64) for column in columns]
        return np.column_stack(parts) if len(parts) > 1 or parts[0].ndim == 1 else parts[0]
    except (ValueError, TypeError):
        raise BadData(f"{file}: expected pictures or numbers in {', '.join(columns)}, got other values") from None


def _require_one_kind(train: ndarray, test: ndarray) -> None:
    pictures = [each.ndim >= 3 and each.dtype in LEVELS for each in (train, test)]
    if train.ndim != test.ndim or pictures[0] != pictures[1] or (pictures[0] and train.dtype != test.dtype):
        found = " and ".join(f"{each.dtype} of shape {each.shape}" for each in (train, test))
        raise BadData(f"expected x_train and x_test of one kind, for uint8 and uint16 stand for pictures; got {found}")


def _require_one_width(train: Tensor, test: Tensor) -> None:
    if train.ndim in (2, 4) and train.shape[1] != test.shape[1]:
        what = "columns" if train.ndim == 2 else "channels"
        raise BadData(f"expected as many {what} in x_test as in x_train, {train.shape[1]}, got {test.shape[1]}")


def _inputs(x: ndarray, name: str) -> Tensor:
    if x.ndim < 2 or x.dtype.kind not in "biuf" or (len(x) and not x.size):
        odd = f": {x.flat[0].item()!r} in row 0; drop such columns, or make numbers of them" if x.size else ""
        odd = odd if x.dtype.kind == "U" and x.ndim == 2 else ""
        odd = "; one number each: give x[:, None]" if x.ndim == 1 and x.dtype.kind in "biuf" else odd
        raise BadData(f"{name}: expected numbers of shape (examples, ...), got {x.dtype} of shape {x.shape}{odd}")
    if x.ndim >= 3 and x.dtype in LEVELS:
        x = _channels_first(x, name) / np.float32(LEVELS[x.dtype])
    whole = torch.from_numpy(_as_float32(x, name))
    require_finite(whole, name)
    return whole


def _as_float32(x: ndarray, name: str) -> ndarray:
    with np.errstate(over="ignore"):
        result = np.array(x, np.float32, order="C")
    lost = np.isinf(result) & np.isfinite(x) if x.dtype.kind == "f" and x.itemsize > 4 else np.empty(0, bool)
    if lost.any():
        row = int(np.argwhere(lost)[0, 0])
        raise BadData(f"{name}: example {row} has a number that is too large for float32; scale the inputs")
    if x.dtype.kind in "iu" and x.itemsize > 2 and x.size and (x.max() > EXACT or x.min() < -EXACT):
        row = int(np.argwhere((x > EXACT) | (x < -EXACT))[0, 0])
        warn(
            f"{name}: whole numbers beyond {EXACT:,} lose their last digits in float32 (the first in example {row}); "
            "leave such columns out, or take something off them, if these digits matter"
        )
    return result


def _channels_first(x: ndarray, name: str) -> ndarray:
    if x.ndim == 3:
        return x[:, None]
    if x.ndim == 4 and x.shape[1] in CHANNELS:
        return x
    if x.ndim == 4 and x.shape[3] in CHANNELS:
        return x.transpose(0, 3, 1, 2)
    raise BadData(
        f"{name}: expected pictures (n, height, width), (n, channels, height, width) or (n, height, width, channels) "
        f"of 1, 3 or 4 channels, got {x.shape}; give inputs that are no pictures as float32"
    )

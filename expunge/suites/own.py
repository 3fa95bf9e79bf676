"""Bring your own examples: from arrays, an ``.npz``, a folder of pictures, or a data set at the hub.

Each function returns :class:`Data` for a :class:`Suite`. Labels are numbers from 0, or names, which are numbered in
alphabetical order. Pictures become float32 in [0, 1], channels first; other inputs become float32 as they are.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from expunge.errors import BadData, MissingData
from expunge.number_files import NAMES, read_arrays
from expunge.suites.data import Data, Examples
from expunge.suites.downloads import fetch, listing
from expunge.suites.formats import parquet_columns, picture, pictures

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
CHANNELS = (1, 3, 4)
ARRAYS = ("x_train", "y_train", "x_test", "y_test")

Array = ndarray | Tensor


def data_from_arrays(
    x_train: Array, y_train: Array, x_test: Array, y_test: Array, *, classes: int | None = None
) -> Data:
    """Data from numpy arrays or tensors; ``classes`` is how many there are, by default as many as labels name.

    Inputs of dtype uint8 with shape ``(n, height, width)``, ``(n, channels, height, width)`` or ``(n, height, width,
    channels)`` are pictures.
    """
    train, test = _numpy(x_train, "x_train"), _numpy(x_test, "x_test")
    x = [_inputs(each, name) for each, name in ((train, "x_train"), (test, "x_test"))]
    if (train.dtype == np.uint8) != (test.dtype == np.uint8) or x[0].ndim != x[1].ndim:
        found = " and ".join(f"{each.dtype} of shape {each.shape}" for each in (train, test))
        raise BadData(f"expected x_train and x_test of one kind, for uint8 stands for pictures; got {found}")
    y, count = _labels(_numpy(y_train, "y_train"), _numpy(y_test, "y_test"), classes)
    return Data(Examples(x[0], y[0]), Examples(x[1], y[1]), count)


def data_from_npz(path: Path | str, *, classes: int | None = None) -> Data:
    """Data from an ``.npz`` with the arrays ``x_train``, ``y_train``, ``x_test``, ``y_test``; see data_from_arrays."""
    path = Path(path).expanduser()
    if not path.exists():
        raise MissingData(f"there is no file {path}; expected an .npz of x_train, y_train, x_test, y_test")
    return data_from_arrays(**read_arrays(path, ARRAYS, kinds=NAMES), classes=classes)


def data_from_folder(folder: Path | str) -> Data:
    """Data from pictures at ``train/CLASS/*.png`` and ``test/CLASS/*.png``, or of other formats, all of one size.

    Classes are the folders below ``train``; their numbers follow the alphabet. Pictures are grey if the first one is.
    """
    root = Path(folder).expanduser()
    train, test = (_pictures_by_class(root / part) for part in ("train", "test"))
    mode = "L" if len(picture(train[0][1], str(train[0][1]))) == 1 else "RGB"
    arrays = []
    for part in (train, test):
        names = [str(file) for _, file in part]
        pixels = pictures([file for _, file in part], names, mode)
        arrays += [pixels, np.array([label for label, _ in part])]
    return data_from_arrays(arrays[0], arrays[1], arrays[2], arrays[3])


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
    arrays = []
    for split in (train, test):
        chosen = [path for path in sorted(paths) if _belongs(path, split, folder)]
        if not chosen:
            some = ", ".join(sorted(path for path in paths if path.endswith(".parquet"))[:5]) or "none"
            raise MissingData(f"data set {name} has no parquet file of split {split!r}; its parquet files: {some}")
        tables = [(file, parquet_columns(file, [*columns, label])) for file in fetch(name, commit, chosen)]
        arrays.append(np.concatenate([_column_inputs(file, table, columns) for file, table in tables]))
        arrays.append(np.array([value for _, table in tables for value in table[label]]))
    return data_from_arrays(arrays[0], arrays[1], arrays[2], arrays[3])


def _belongs(path: str, split: str, folder: str) -> bool:
    parts = Path(path).parts
    inside = path.startswith(f"{folder.rstrip('/')}/") if folder else True
    named = parts[-1].startswith((f"{split}-", f"{split}.")) or split in parts[:-1]
    return inside and named and path.endswith(".parquet")


def _column_inputs(file: Path, table: dict[str, list[object]], columns: list[str]) -> ndarray:
    first = table[columns[0]]
    if len(columns) == 1 and first and isinstance(first[0], dict) and isinstance(first[0].get("bytes"), bytes):
        names = [f"row {row} of {file}" for row in range(len(first))]
        mode = "L" if len(picture(first[0]["bytes"], names[0])) == 1 else "RGB"
        contents = [each["bytes"] if isinstance(each, dict) else b"" for each in first]
        return pictures(contents, names, mode)
    try:
        parts = [np.array(table[column], dtype=np.float64) for column in columns]
        return np.column_stack(parts) if len(parts) > 1 or parts[0].ndim == 1 else parts[0]
    except (ValueError, TypeError):
        raise BadData(f"{file}: expected pictures or numbers in {', '.join(columns)}, got other values") from None


def _pictures_by_class(folder: Path) -> list[tuple[str, Path]]:
    """Class and file of every picture, in the order of classes and names."""
    if not folder.is_dir():
        raise MissingData(f"there is no folder {folder}; expected train/CLASS/*.png and test/CLASS/*.png")
    classes = sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    found = [
        (each.name, file)
        for each in classes
        for file in sorted(each.iterdir())
        if file.suffix.lower() in PICTURES and not file.name.startswith(".")
    ]
    if not found:
        raise MissingData(f"{folder} holds no pictures; expected {folder.name}/CLASS/*.png")
    return found


def _numpy(array: object, name: str) -> ndarray:
    result: ndarray = array.detach().cpu().numpy() if isinstance(array, Tensor) else np.asarray(array)
    if result.dtype == object:
        raise BadData(f"{name}: expected an array of numbers or names, got Python objects")
    return result


def _inputs(array: object, name: str) -> Tensor:
    x = _numpy(array, name)
    if x.ndim < 2 or not (np.issubdtype(x.dtype, np.number) or x.dtype == bool):
        raise BadData(f"{name}: expected numbers of shape (examples, ...), got {x.dtype} of shape {x.shape}")
    if x.dtype == np.uint8 and x.ndim >= 3:
        x = _channels_first(x, name) / np.float32(255)
    result = torch.tensor(np.asarray(x, dtype=np.float32))
    if not result.isfinite().all():
        row = int((~result.flatten(1).isfinite().all(1)).nonzero()[0])
        raise BadData(f"{name}: expected finite numbers, got NaN or infinity in example {row}")
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
        f"of 1, 3 or 4 channels, got {x.shape}"
    )


def _labels(train: ndarray, test: ndarray, classes: int | None) -> tuple[list[Tensor], int]:
    """Labels as int64, and the number of classes."""
    for labels, name in ((train, "y_train"), (test, "y_test")):
        if labels.ndim != 1 or not labels.size:
            raise BadData(f"{name}: expected one label for each example, got shape {labels.shape}")
        if np.issubdtype(labels.dtype, np.inexact) or (labels.dtype.kind not in "iubUS"):
            raise BadData(f"{name}: expected whole numbers or names as labels, got {labels.dtype}")
    if train.dtype.kind in "US":
        return _named_labels(train, test, classes)
    if test.dtype.kind in "US":
        raise BadData("y_test: expected whole numbers as in y_train, got names")
    count = classes if classes is not None else int(train.max()) + 1
    for labels, name in ((train, "y_train"), (test, "y_test")):
        if labels.min() < 0 or labels.max() >= count:
            wrong = labels[(labels < 0) | (labels >= count)][0]
            raise BadData(f"{name}: expected labels 0 to {count - 1}, got {wrong}")
    return [torch.tensor(labels.astype(np.int64)) for labels in (train, test)], count


def _named_labels(train: ndarray, test: ndarray, classes: int | None) -> tuple[list[Tensor], int]:
    names = np.unique(train)
    shown = ", ".join(map(str, names[:10]))
    strange = np.setdiff1d(test, names)
    if strange.size:
        raise BadData(f"y_test: {str(strange[0])!r} is no class of y_train, whose classes are {shown}")
    if classes is not None and classes != len(names):
        raise BadData(f"y_train: expected {classes} classes, got {len(names)}: {shown}")
    return [torch.tensor(np.searchsorted(names, labels)) for labels in (train, test)], len(names)

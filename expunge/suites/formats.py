"""The file formats in which public data sets of pictures come, each read into arrays of bytes.

No reader runs what a file says: CIFAR's batches are pickles, and are read by an unpickler that knows arrays only.
"""

import gzip
import hashlib
import io
import pickle
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from expunge.errors import BadData


class Raw(NamedTuple):
    """Pictures (n, channels, height, width) and labels (n,) of train and test, all uint8."""

    train_x: ndarray
    train_y: ndarray
    test_x: ndarray
    test_y: ndarray


def read_idx(files: Sequence[Path]) -> Raw:
    """Four idx files of bytes, gzipped or plain: train images, train labels, test images, test labels."""
    arrays = [_idx(file) for file in files]
    for file, array, axes in zip(files, arrays, (3, 1, 3, 1), strict=True):
        if array.ndim != axes:
            raise BadData(f"{file}: expected an idx file of {axes} axes, got {array.ndim}")
    return Raw(arrays[0][:, None], arrays[1], arrays[2][:, None], arrays[3])


def idx_sha256(raw: Raw) -> tuple[str, ...]:
    """SHA-256 of each of the four arrays, written as a plain idx file: the same whatever file it was read from."""
    return tuple(
        hashlib.sha256(_idx_header(array.squeeze(1) if array.ndim == 4 else array) + array.tobytes()).hexdigest()
        for array in raw
    )


def read_cifar_batches(files: Sequence[Path], labels: str = "labels") -> Raw:
    """CIFAR's python batches, those of training in order, the test batch last; ``labels`` is the key of theirs."""
    parts = [_cifar_batch(file, labels) for file in files]
    train = [np.concatenate(arrays) for arrays in zip(*parts[:-1], strict=True)]
    return Raw(train[0], train[1], *parts[-1])


def read_svhn(files: Sequence[Path]) -> Raw:
    """SVHN's two Matlab files, train and test; their label 10 is the digit 0."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    parts: list[ndarray] = []
    for file in files:
        try:
            content = loadmat(file, variable_names=("X", "y"))
            pixels, labels = content["X"], content["y"].ravel()
        except (MatReadError, ValueError, TypeError, KeyError, OSError, NotImplementedError) as error:
            raise BadData(f"{file} is no Matlab file of X and y: {_first_line(error)}") from None
        parts += [np.ascontiguousarray(pixels.transpose(3, 2, 0, 1)), (labels % 10).astype(np.uint8)]
    return Raw(*parts)


def read_parquet(files: Sequence[Path], image: str, label: str) -> Raw:
    """Two parquet files, train and test, with encoded pictures in column ``image`` and numbers in column ``label``."""
    return Raw(*(array for file in files for array in _parquet_pictures(file, image, label)))


def parquet_columns(file: Path, columns: Sequence[str]) -> dict[str, list[Any]]:
    """The named columns of a parquet file as Python values."""
    import pyarrow as pa  # 0.1 s, which only those who read parquet pay
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as table:
            absent = [name for name in columns if name not in table.schema_arrow.names]
            if absent:
                names = ", ".join(table.schema_arrow.names)
                raise BadData(f"{file} has no column {absent[0]!r}; its columns are {names}")
            found: dict[str, list[Any]] = table.read(columns=list(columns)).to_pydict()
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{file} is no parquet file: {_first_line(error)}; delete it and run again") from None
    return found


def picture(content: bytes | Path, what: str, mode: str = "") -> ndarray:
    """One encoded picture as bytes (channels, height, width): grey or RGB, by ``mode`` "L" or "RGB", else as it is."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as opened:
            wanted = mode or ("L" if opened.mode in ("1", "L") else "RGB")
            pixels = np.asarray(opened.convert(wanted))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadData(f"{what} is no picture that can be read: {_first_line(error)}") from None
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def stacked(pictures: Sequence[ndarray], what: Sequence[str]) -> ndarray:
    """Pictures of one size as one array; the first of another size is named."""
    for each, name in zip(pictures, what, strict=True):
        if each.shape != pictures[0].shape:
            raise BadData(
                f"expected pictures of one size (channels, height, width), got {pictures[0].shape} in {what[0]} "
                f"and {each.shape} in {name}"
            )
    return np.stack(pictures)


def _idx(file: Path) -> ndarray:
    opened = gzip.open if file.suffix == ".gz" else open
    try:
        with opened(file, "rb") as stream:
            content = stream.read()
        zero, kind, axes = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{axes}I", content, 4)
        if (zero, kind) != (0, 8):
            raise ValueError("it does not begin as one")
        return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
    except (ValueError, struct.error, OSError, EOFError) as error:
        raise BadData(f"{file} is no idx file of bytes: {_first_line(error)}") from None


def _idx_header(array: ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)


def _cifar_batch(file: Path, key: str) -> tuple[ndarray, ndarray]:
    """Pictures (n, 3, 32, 32) and labels (n,) of one batch."""
    try:
        with file.open("rb") as stream:
            batch = _OnlyArrays(stream, encoding="bytes").load()
        pixels, labels = np.asarray(batch[b"data"]), np.asarray(batch[key.encode()])
        return pixels.reshape(-1, 3, 32, 32).astype(np.uint8), labels.astype(np.uint8)
    except BadData:
        raise
    except Exception as error:  # a broken pickle may raise anything
        raise BadData(f"{file} is no batch of CIFAR with data and {key}: {_first_line(error)}") from None


class _OnlyArrays(pickle.Unpickler):
    """An unpickler of dictionaries, lists, numbers and arrays, that refuses whatever else a pickle asks for."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return _new_array
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes for Python 2
            return _encoded
        raise BadData(f"a pickle that asks for {module}.{name}, which is not part of an array, was refused")


def _new_array(kind: type, shape: tuple[int, ...], code: bytes) -> ndarray:
    if kind is not np.ndarray:
        raise BadData("a pickle of something that is no array was refused")
    return np.ndarray(shape, np.uint8)  # what the state that follows in the pickle replaces


def _encoded(text: str, encoding: str) -> bytes:
    return text.encode(encoding)


def _parquet_pictures(file: Path, image: str, label: str) -> tuple[ndarray, ndarray]:
    columns = parquet_columns(file, [image, label])
    names = [f"row {row} of {file}" for row in range(len(columns[image]))]
    try:
        pictures = [picture(each["bytes"], name) for each, name in zip(columns[image], names, strict=True)]
        labels = np.array(columns[label])
    except (TypeError, KeyError):
        raise BadData(f"{file}: expected encoded pictures in column {image!r}, got other values") from None
    if not np.issubdtype(labels.dtype, np.integer):
        raise BadData(f"{file}: expected whole numbers in column {label!r}, got {labels.dtype}")
    return stacked(pictures, names), _bytes(labels, file)


def _bytes(labels: ndarray, file: Path) -> ndarray:
    if labels.min() < 0 or labels.max() > 255:
        raise BadData(f"{file}: expected labels 0 to 255, got {labels.min()} to {labels.max()}")
    return labels.astype(np.uint8)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__

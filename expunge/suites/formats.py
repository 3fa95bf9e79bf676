"""The file formats in which public data sets of pictures come, each read into arrays of bytes.

No reader runs what a file says: CIFAR's batches are pickles, and are read by an unpickler that knows arrays only.
"""

import gzip
import hashlib
import math
import pickle
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy import ndarray

from expunge.errors import BadData
from expunge.number_files import PACKED, SMALL, require_room
from expunge.outside import UNREADABLE, first_line, opened, size_of
from expunge.suites.encoded import pictures

if TYPE_CHECKING:
    import pyarrow.parquet as pq

BATCH = 512 << 20  # bytes of the largest file of pictures in Python's or Matlab's own format
ROWS, OBJECT = 256, 8  # rows of a parquet file at once; bytes that a value takes as a Python object, at least


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
            _require_plain_matlab(file)
            with opened(file, most=BATCH) as stream:
                content = loadmat(stream, variable_names=("X", "y"))
            pixels, labels = content["X"], content["y"].ravel()
        except BadData:
            raise
        except (MatReadError, *UNREADABLE) as error:
            raise BadData(f"{file} is no Matlab file of X and y: {first_line(error)}") from None
        parts += [np.ascontiguousarray(pixels.transpose(3, 2, 0, 1)), (labels % 10).astype(np.uint8)]
    return Raw(*parts)


def read_parquet(files: Sequence[Path], image: str, label: str) -> Raw:
    """Two parquet files, train and test, with encoded pictures in column ``image`` and numbers in column ``label``."""
    return Raw(*(array for file in files for array in _parquet_pictures(file, image, label)))


def _require_plain_matlab(file: Path) -> None:
    """Refuse a Matlab file whose packed parts unpack to far more than it has."""
    with opened(file, most=BATCH) as stream:
        size, unpacked, at = size_of(stream), 0, 128
        while at + 8 <= size:
            stream.seek(at)
            kind, length = struct.unpack("<II", stream.read(8))
            if kind == 15:  # deflated
                unpacked += _inflated(stream, length, max(SMALL, PACKED * size))
                require_room(file, unpacked, size)
            at += 8 + length


def _inflated(stream: IO[bytes], length: int, most: int) -> int:
    """To how many bytes the next ``length`` unpack, which are not kept; beyond ``most`` nobody counts."""
    unpacking, total = zlib.decompressobj(), 0
    while length > 0 and total <= most and (packed := stream.read(min(length, 1 << 14))):
        length -= len(packed)
        while packed and total <= most:
            total += len(unpacking.decompress(packed, 1 << 20))
            packed = unpacking.unconsumed_tail
    return total


def parquet_columns(file: Path, columns: Sequence[str]) -> dict[str, list[Any]]:
    """The named columns of a parquet file as Python values."""
    import pyarrow as pa  # 0.1 s, which only those who read parquet pay
    import pyarrow.parquet as pq

    try:
        with opened(file) as stream, pq.ParquetFile(stream) as table:
            absent = [name for name in columns if name not in table.schema_arrow.names]
            if absent:
                names = ", ".join(table.schema_arrow.names)
                raise BadData(f"{file} has no column {absent[0]!r}; its columns are {names}")
            return _columns(file, table, columns)
    except BadData:
        raise
    except (pa.ArrowException, *UNREADABLE) as error:
        raise BadData(f"{file} is no parquet file: {first_line(error)}; delete it and run again") from None


def _columns(file: Path, table: "pq.ParquetFile", columns: Sequence[str]) -> dict[str, list[Any]]:
    """The columns in batches of rows, refused as soon as they are more than a file of this size may hold."""
    facts, size = table.metadata, file.stat().st_size
    groups = [facts.row_group(number) for number in range(facts.num_row_groups)]
    chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
    wanted = [each for each in chunks if each.path_in_schema.partition(".")[0] in columns]
    require_room(file, sum(each.total_uncompressed_size for each in wanted), size)
    require_room(file, OBJECT * max(facts.num_rows * len(columns), sum(each.num_values for each in wanted)), size)
    found: dict[str, list[Any]] = {name: [] for name in columns}
    taken = 0
    for batch in table.iter_batches(ROWS, columns=list(columns)):
        taken += batch.nbytes
        require_room(file, taken, size)
        for name, values in batch.to_pydict().items():
            found[name] += values
    return found


def _idx(file: Path) -> ndarray:
    with opened(file) as plain:
        try:
            with gzip.GzipFile(fileobj=plain) if file.suffix == ".gz" else plain as stream:
                zero, kind, axes = struct.unpack(">HBB", stream.read(4))
                shape = struct.unpack(f">{axes}I", stream.read(4 * axes))
                if (zero, kind) != (0, 8):
                    raise ValueError("it does not begin as one")
                require_room(file, math.prod(shape), file.stat().st_size)
                content = stream.read(math.prod(shape) + 1)  # one more, where its checksum is compared
            return np.frombuffer(content, np.uint8).reshape(shape)
        except BadData:
            raise
        except UNREADABLE as error:
            raise BadData(f"{file} is no idx file of bytes: {first_line(error)}") from None


def _idx_header(array: ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)


def _cifar_batch(file: Path, key: str) -> tuple[ndarray, ndarray]:
    """Pictures (n, 3, 32, 32) and labels (n,) of one batch."""
    try:
        with opened(file, most=BATCH) as stream:
            batch = _OnlyArrays(stream, encoding="bytes").load()
        pixels, labels = np.asarray(batch[b"data"]), np.asarray(batch[key.encode()])
        return pixels.reshape(-1, 3, 32, 32).astype(np.uint8), labels.astype(np.uint8)
    except BadData:
        raise
    except Exception as error:  # a broken pickle may raise anything
        raise BadData(f"{file} is no batch of CIFAR with data and {key}: {first_line(error)}") from None


class _OnlyArrays(pickle._Unpickler):  # in Python: a few bytes can make the one in C fill the memory
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
    if kind is not np.ndarray or shape != (0,):  # as numpy writes it, before the state that replaces it
        raise BadData("a pickle of something that is no array was refused")
    return np.ndarray(shape, np.uint8)


def _encoded(text: str, encoding: str) -> bytes:
    return text.encode(encoding)


def _parquet_pictures(file: Path, image: str, label: str) -> tuple[ndarray, ndarray]:
    columns = parquet_columns(file, [image, label])
    names = [f"row {row} of {file}" for row in range(len(columns[image]))]
    try:
        encoded = [each["bytes"] for each in columns[image]]
        labels = np.array(columns[label])
    except (TypeError, KeyError, ValueError):
        raise BadData(f"{file}: expected encoded pictures in column {image!r}, got other values") from None
    if not np.issubdtype(labels.dtype, np.integer):
        raise BadData(f"{file}: expected whole numbers in column {label!r}, got {labels.dtype}")
    return pictures(encoded, names), _bytes(labels, file)


def _bytes(labels: ndarray, file: Path) -> ndarray:
    if labels.min() < 0 or labels.max() > 255:
        raise BadData(f"{file}: expected labels 0 to 255, got {labels.min()} to {labels.max()}")
    return labels.astype(np.uint8)

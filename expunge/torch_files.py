"""Tensors out of a ``.pt`` that others made: numbers only, never code, and no more of them than the file holds.

The pickle in it is read by an unpickler that knows how torch writes a tensor and nothing else: what it describes is
checked against the bytes that are there before any tensor is made, so that none is larger than its file.
"""

import io
import math
import pickle
import sys
import warnings
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import torch

from expunge.errors import BadData
from expunge.number_files import AXES, LONG, open_zip, readable
from expunge.outside import Refuse, opened, size_of

PICKLE = 1 << 20  # bytes of all pickles in a file: each tensor takes some hundred
_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class _Storage(NamedTuple):
    """Where the numbers of a tensor lie: the name of their place in the file, and how many."""

    dtype: torch.dtype
    key: str
    length: int

    @property
    def size(self) -> int:
        return self.length * self.dtype.itemsize


class _Told(NamedTuple):
    """What a pickle says of a tensor; none of it is believed yet."""

    storage: Any
    offset: Any
    shape: Any
    strides: Any


@dataclass(frozen=True)
class _Place:
    """Bytes of the file that hold a storage; ``crc`` where it has a checksum."""

    offset: int
    size: int
    crc: int | None = None


class NotDense(Exception):
    """A tensor that is sparse, quantised or of another kind."""


class RunsCode(Exception):
    """A pickle that asks for something that is no part of a tensor."""


def read_tensors(file: Path, refuse: Refuse = BadData, *, checksums: bool = True) -> Any:
    """What a ``.pt`` holds: a dense tensor, mapped into memory, or a list or tuple of some; other things as they are.

    What wants to run code when it is read is refused, and nothing of it is run. ``checksums`` compares those of the
    numbers too, for which they are read once.
    """
    with opened(file, refuse) as stream, readable(file, "a .pt that can be read", refuse):
        start = stream.read(2)
        stream.seek(0)
        if start == b"PK":
            read = _zipped
        elif start[:1] == b"\x80" and start[1:] in (b"\2", b"\3", b"\4", b"\5"):
            read = _plain
        else:
            raise refuse(f"{file} is no .pt, by its first bytes; was it downloaded whole?")
        try:
            held, places = read(stream)
        except RunsCode:
            raise refuse(
                f"{file} holds more than numbers: reading it would run code; refused, and nothing of it was run"
            ) from None
        except NotDense as error:
            raise refuse(f"{file}: expected a dense tensor, got one made by {error}") from None
        if isinstance(held, list | tuple) and not isinstance(held, _Told):
            return type(held)(_made(stream, each, places, checksums) for each in held)
        return _made(stream, held, places, checksums)


def _zipped(stream: IO[bytes]) -> tuple[Any, Mapping[str, _Place]]:
    """The pickle of a zip, as torch writes since 1.6, and where its storages lie, unpacked."""
    contents = open_zip(stream)
    members = {each.filename: each for each in contents.infolist()}
    [name] = [each for each in members if each.rpartition("/")[2] == "data.pkl"]
    folder = name.removesuffix("data.pkl")
    order = members.get(f"{folder}byteorder")
    if order is not None and _content(contents, order) != b"little":
        raise ValueError("its numbers are in another byte order")
    held = _Unpickler(io.BytesIO(_content(contents, members[name]))).load()
    places = {
        each.filename.removeprefix(f"{folder}data/"): _place(stream, each)
        for each in members.values()
        if each.filename.startswith(f"{folder}data/")
    }
    return held, places


def _content(contents: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.file_size > PICKLE:
        raise ValueError(f"{member.filename} is larger than {PICKLE} bytes")
    return contents.read(member)


def _place(stream: IO[bytes], member: zipfile.ZipInfo) -> _Place:
    if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
        raise ValueError(f"{member.filename} is packed")
    stream.seek(member.header_offset)
    head = stream.read(30)
    if head[:4] != b"PK\3\4":
        raise ValueError(f"{member.filename} is not where it should be")
    offset = member.header_offset + 30 + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
    if offset + member.file_size > size_of(stream):
        raise ValueError(f"{member.filename} goes beyond the end")
    return _Place(offset, member.file_size, member.CRC)


def _plain(stream: IO[bytes]) -> tuple[Any, Mapping[str, _Place]]:
    """The pickles that torch wrote before 1.6, one after the other, then the storages, each after its length."""
    limited = _Limited(stream, PICKLE)
    _, _, system = (_Unpickler(limited).load() for _ in range(3))
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ValueError("its numbers are in another byte order")
    described = _Unpickler(limited)
    held = described.load()
    keys = _Unpickler(limited).load()
    if not isinstance(keys, list) or set(keys) != described.storages.keys():
        raise ValueError("its storages are not those that it lists")
    places = {}
    for key in keys:
        storage = described.storages[key]
        if int.from_bytes(stream.read(8), "little") != storage.length:
            raise ValueError("a storage has another length than it should")
        places[key] = _Place(stream.tell(), storage.size)
        if stream.tell() + storage.size > size_of(stream):
            raise ValueError("it ends too early")
        stream.seek(storage.size, io.SEEK_CUR)
    return held, places


class _Limited:
    """The start of a stream: beyond so many bytes nothing is read."""

    def __init__(self, stream: IO[bytes], left: int) -> None:
        self._stream, self._left = stream, left

    def read(self, size: int) -> bytes:
        if not 0 <= size <= self._left:
            raise ValueError(f"its description is larger than {PICKLE} bytes")
        return self._counted(self._stream.read(size))

    def readline(self) -> bytes:
        return self._counted(self._stream.readline(self._left))

    def _counted(self, found: bytes) -> bytes:
        self._left -= len(found)
        return found


class _Unpickler(pickle._Unpickler):  # in Python, for the one in C may fill the memory by one number of a few bytes
    """Knows how torch writes a dense tensor; whatever else a pickle asks for is refused."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        found = _KNOWN.get((module, name))
        if found is not None:
            return found
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if module.partition(".")[0] == "torch":
            raise NotDense(f"{module}.{name}"[:100])
        raise RunsCode

    def persistent_load(self, told: Any) -> _Storage:
        kind, dtype, key, _, count, *view = told
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not isinstance(key, str) or any(view):
            raise ValueError("a storage is none")
        storage = _Storage(dtype, key, _whole(count))
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError("two storages have one name")
        return storage


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Told:
    return _Told(storage, offset, shape, strides)


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


_KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("collections", "OrderedDict"): OrderedDict,
}


def _made(stream: IO[bytes], told: Any, places: Mapping[str, _Place], checksums: bool) -> Any:
    """The tensor that was told of, mapped; ValueError where it is larger than its bytes, or reaches beyond them."""
    if not isinstance(told, _Told):
        return told
    storage, shape, strides = told.storage, _lengths(told.shape), _lengths(told.strides)
    offset = _whole(told.offset)
    if not isinstance(storage, _Storage) or len(shape) != len(strides):
        raise ValueError("a tensor is none")
    place, count = places[storage.key], math.prod(shape)
    last = offset + sum((length - 1) * step for length, step in zip(shape, strides, strict=True)) if count else 0
    if storage.size > place.size or count > storage.length or (count and last >= storage.length):
        raise ValueError(f"a tensor of shape {shape} is larger than the numbers that are there")
    if max(shape, default=0) > max(size_of(stream), LONG):
        raise ValueError("an empty tensor is longer than its file")
    if not count:
        return torch.empty(shape, dtype=storage.dtype)
    content = np.memmap(stream, np.uint8, "c", place.offset, (place.size,))
    if checksums and place.crc is not None and zlib.crc32(content.data) != place.crc:
        raise ValueError("its numbers do not have their checksum")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of memory that is not writable, which copies on writing are
        numbers = torch.from_numpy(content[: storage.size]).view(storage.dtype)
    return numbers.as_strided(shape, strides, offset)


def _lengths(told: Any) -> tuple[int, ...]:
    if not isinstance(told, tuple) or len(told) > AXES:
        raise ValueError("a shape is none")
    return tuple(map(_whole, told))


def _whole(told: Any) -> int:
    if type(told) is not int or not 0 <= told < sys.maxsize:
        raise ValueError("a length is none")
    return told

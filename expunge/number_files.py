"""Arrays out of files: the header of each is believed once it agrees with the file's size and with what is expected.

Nothing is unpickled, and nothing larger than what is expected is ever in memory: a packed array may be as large as
SMALL, or PACKED times its file.
"""

import io
import json
import math
import os
import struct
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy import ndarray

from expunge.errors import BadData, ExpungeError
from expunge.outside import UNREADABLE, Refuse, cannot_read, first_line, is_passing, opened, size_of

MAGIC = b"\x93NUMPY"  # how a .npy begins
NUMBERS, NAMES = "biuf", "biufSU"  # kinds of dtypes
SMALL, PACKED = 32 << 20, 16  # bytes that any file may unpack to; and how many times its own size a large one may
HEADER = 10_000  # bytes of the header of a .npy, as numpy limits it
DIRECTORY = 1 << 20  # bytes of the table of contents of a zip: some thousand files
AXES = 32
LONG = 1 << 22  # entries of an axis, in an array without numbers, which no size of a file bounds
STEP = 1 << 20  # bytes that are unpacked at once

Shape = tuple[int | None, ...]  # of an axis None: any length


class HoldsObjects(ValueError):
    """An array of Python objects, which only code could read."""


@dataclass(frozen=True)
class Header:
    """What an array in a file says of itself."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    offset: int  # where its numbers begin

    @property
    def size(self) -> int:
        """Bytes of the numbers."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_array(
    file: Path, refuse: Refuse = BadData, *, kinds: str = NUMBERS, shape: Shape | None = None, mapped: bool = False
) -> ndarray:
    """The array of a ``.npy``, of these kinds of dtypes and, where it is given, of this shape.

    In memory or ``mapped``, read-only; in both cases the file must hold as many bytes as its header says, no more.
    """
    with opened(file, refuse) as stream, readable(file, "a .npy of numbers", refuse):
        start = stream.read(len(MAGIC))
        stream.seek(0)
        if start != MAGIC:
            raise refuse(f"{file} is no .npy, {_told_by(start)}; save the array by np.save('name.npy', array)")
        header = _header(stream, size_of(stream))
        require_array(header, str(file), kinds, shape, refuse)
        if not header.size:
            return np.empty(header.shape, header.dtype)
        order = "F" if header.fortran else "C"
        if mapped:
            return np.memmap(stream, header.dtype, "r", header.offset, header.shape, order)  # type: ignore[call-overload,no-any-return]
        stream.seek(header.offset)
        values: ndarray = np.fromfile(stream, header.dtype, math.prod(header.shape))
        return values.reshape(header.shape, order=order)  # type: ignore[call-overload,no-any-return]


def read_arrays(
    file: Path,
    names: Sequence[str],
    refuse: Refuse = BadData,
    *,
    optional: Sequence[str] = (),
    kinds: str = NUMBERS,
) -> dict[str, ndarray]:
    """These arrays of an ``.npz``, and those of ``optional`` that it has; together no larger than it may unpack to."""
    with archive(file, refuse) as held:
        lacking = [name for name in names if name not in held.names]
        if lacking:
            has = ", ".join(held.names[:20]) or "no arrays"
            raise refuse(f"{file} lacks {', '.join(lacking)}; it has {has}")
        wanted = [*names, *(name for name in optional if name in held.names)]
        held.require_room(wanted)
        return {name: held.array(name, kinds) for name in wanted}


@dataclass(frozen=True)
class Archive:
    """An open ``.npz``."""

    file: Path
    names: tuple[str, ...]
    contents: zipfile.ZipFile
    size: int
    refuse: Refuse

    def require_room(self, names: Sequence[str]) -> None:
        """Refuse arrays that together unpack to more than a file of this size may hold."""
        require_room(self.file, sum(self._member(name).file_size for name in names), self.size, self.refuse)

    def array(self, name: str, kinds: str = NUMBERS, shape: Shape | None = None) -> ndarray:
        """One array in memory, its checksum found right."""
        what, member = f"{self.file}, array {name}", self._member(name)
        with readable(self.file, "an .npz of plain arrays", self.refuse), self.contents.open(member) as stream:
            header = _header(stream, member.file_size)
            require_array(header, what, kinds, shape, self.refuse)
            require_room(self.file, header.size, self.size, self.refuse)
            values = bytearray(header.size)
            part = memoryview(values)
            while len(part):
                found = stream.read(min(len(part), STEP))
                if not found:
                    raise EOFError("it ends too early")
                part[: len(found)] = found
                part = part[len(found) :]
            stream.read(1)  # the end, where the checksum is compared
            flat = np.frombuffer(values, header.dtype) if header.size else np.empty(0, header.dtype)
            return flat.reshape(header.shape, order="F" if header.fortran else "C")

    def _member(self, name: str) -> zipfile.ZipInfo:
        return self.contents.getinfo(f"{name}.npy")


@contextmanager
def archive(file: Path, refuse: Refuse = BadData) -> Iterator[Archive]:
    """An ``.npz`` whose table of contents was found to be no larger than it should be."""
    with opened(file, refuse) as stream:
        with readable(file, "an .npz of plain arrays", refuse):
            contents = open_zip(stream)
            names = [each.filename.removesuffix(".npy") for each in contents.infolist()]
            if len(set(names)) < len(names):
                raise ValueError("it holds two arrays of one name")
        yield Archive(file, tuple(names), contents, size_of(stream), refuse)


def open_zip(stream: IO[bytes]) -> zipfile.ZipFile:
    """A zip whose table of contents is small, and whose files are plain or deflated; ValueError where it is not."""
    if _directory_size(stream) > DIRECTORY:
        raise ValueError(f"its table of contents is larger than {DIRECTORY} bytes")
    stream.seek(0)
    contents = zipfile.ZipFile(stream)
    for each in contents.infolist():
        if each.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or each.flag_bits & 1:
            raise ValueError("it is packed in a way that arrays are not")
    return contents


def require_room(file: Path, unpacked: int, size: int, refuse: Refuse = BadData) -> None:
    """Refuse what unpacks to far more than its file has: a small file must not fill the memory."""
    most = max(SMALL, PACKED * size)
    if unpacked > most:
        raise refuse(
            f"{file} has {size:,} bytes and would unpack to {unpacked:,}, expected at most {most:,}; refused, and not "
            "unpacked: if it is meant to be, save it unpacked"
        )


@contextmanager
def readable(file: Path, what: str, refuse: Refuse = BadData) -> Iterator[None]:
    """Whatever a library raises on bytes that are not ``what`` they should be, as one line."""
    kind = what.removeprefix("a ").removeprefix("an ")
    try:
        yield
    except ExpungeError:
        raise
    except HoldsObjects:
        raise refuse(
            f"{file} is no {kind}, but holds Python objects, which only running code could read; save names, such as "
            "labels, with .astype(str) and numbers with .astype(float)"
        ) from None
    except UNREADABLE as error:
        if isinstance(error, MemoryError):  # headers were checked before: the file is as large as it says
            raise refuse(f"there is too little memory to read {file}; free some, and run again") from None
        if isinstance(error, OSError) and is_passing(error):
            raise cannot_read(file, error, refuse) from None
        advice = "pickle" in str(error)  # numpy's, to do what must not be done
        reason = "" if advice else f" ({first_line(error)})"
        raise refuse(f"{file} is no {kind}{reason}; was it downloaded whole?") from None


def tensor_shapes(file: Path, refuse: Refuse = BadData) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of a ``.safetensors``, whose header was found to describe a file of its size."""
    with opened(file, refuse) as stream, readable(file, "a .safetensors", refuse):
        size = size_of(stream)
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= min(size - 8, 10 * DIRECTORY):
            raise ValueError("its header has no length that can be")
        header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        ends = [each["data_offsets"][1] for each in header.values()]
        if max(ends, default=0) != size - 8 - length:
            raise ValueError("its tensors do not fill it")
        shapes = {name: tuple(each["shape"]) for name, each in header.items()}
        if any(type(length) is not int or length < 0 for shape in shapes.values() for length in shape):
            raise ValueError("a shape is none")
        return shapes


def _told_by(start: bytes) -> str:
    """What a file is by its first bytes, which are none of a .npy."""
    if not start:
        return "it is empty"
    if start[:2] == b"PK":
        return "but begins as an .npz: take an array out of it, np.load(file)['name']"
    return "but text, or something else, by its first bytes"


def _header(stream: IO[bytes] | zipfile.ZipExtFile, size: int) -> Header:
    """The header at the start of an array of ``size`` bytes in all; ValueError where they do not agree."""
    head = io.BytesIO(stream.read(12 + HEADER) if size > 12 + HEADER else stream.read(size))
    version = np.lib.format.read_magic(head)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"its format is {version}")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            shape, fortran, dtype = read(head, HEADER)
    except Exception as error:  # numpy lets Python's own parser and tokenizer read it, which raise anything
        raise ValueError(f"its header cannot be read: {first_line(error)}") from None
    header = Header(dtype, shape, fortran, head.tell())
    if dtype.hasobject:
        raise HoldsObjects
    if dtype.fields or dtype.subdtype:
        raise ValueError(f"it holds {dtype}")
    if len(shape) > AXES or any(not 0 <= length <= max(size, LONG) for length in shape):
        raise ValueError("its shape does not fit its size")
    if header.offset + header.size != size:
        raise ValueError(f"its header tells of {header.offset + header.size:,} bytes, there are {size:,}")
    stream.seek(header.offset)
    return header


def require_array(
    header: Header | ndarray, what: str, kinds: str, shape: Shape | None = None, refuse: Refuse = BadData
) -> None:
    """Refuse an array of another kind, or of another shape, than is expected."""
    if header.dtype.kind not in kinds:
        expected = {"f": "floating-point numbers", "iu": "whole numbers"}.get(kinds, "numbers")
        raise refuse(f"{what}: expected {expected}, got {header.dtype} of shape {header.shape}")
    if shape is None:
        return
    fits = len(shape) == len(header.shape) and all(
        wanted is None or wanted == length for wanted, length in zip(shape, header.shape, strict=True)
    )
    if not fits:
        told = ", ".join("any" if each is None else str(each) for each in shape) + ("," if len(shape) == 1 else "")
        raise refuse(f"{what}: expected shape ({told}), got {header.shape}")


def _directory_size(stream: IO[bytes]) -> int:
    """Bytes of the table of contents of a zip, as its end tells them, in the form for large files too."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - (1 << 16) - 22))
    tail = stream.read((1 << 16) + 22)
    at = tail.rfind(b"PK\5\6")
    if at < 0:
        raise ValueError("it has no table of contents")
    told = int(struct.unpack_from("<I", tail, at + 12)[0])
    if at >= 20 and tail[at - 20 : at - 16] == b"PK\6\7":
        stream.seek(struct.unpack_from("<Q", tail, at - 12)[0])
        told = int(struct.unpack_from("<Q", stream.read(56), 40)[0])
    return told

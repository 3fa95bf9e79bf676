"""Files that come from outside: only regular ones are opened, none is larger than what is expected, text is UTF-8.

What a file says of itself is checked against what is expected of it, and against its size, before memory is taken.
Every refusal is one line, of the class of error that the caller names. Arrays: ``number_files``; tensors of torch:
``torch_files``; what expunge ships: ``shipped``.
"""

import contextlib
import errno
import json
import os
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from pickle import PickleError
from typing import IO, Any
from zipfile import BadZipFile

from expunge.errors import BadData, ExpungeError

Refuse = Callable[[str], ExpungeError]  # makes the error of a line that says what is wrong


LEFT_BEHIND = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx")  # by Windows and macOS, unasked
TEXT = 64 << 20  # bytes that a file of text has at most, where nothing smaller is expected
# What zipfile, numpy, json and pickle raise where bytes are not what they should be.
UNREADABLE = (
    *(OSError, ValueError, LookupError, EOFError, AttributeError, TypeError, RuntimeError, MemoryError),
    *(SyntaxError, ArithmeticError, BadZipFile, struct.error, zlib.error, PickleError),
)
_PASSING = {  # what says nothing of the bytes of a file, and what to do
    errno.EMFILE: "close files, or raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close programs that hold files open",
    errno.EACCES: "give yourself the right to read it",
    errno.EPERM: "give yourself the right to read it",
    errno.ENOMEM: "free memory",
    errno.EIO: "look after the disk or the network that it lies on",
    errno.ESTALE: "mount its file system again",
    errno.ENOTCONN: "mount its file system again",
    errno.ETIMEDOUT: "wait until its file system answers",
    errno.EAGAIN: "wait a moment",
    errno.EBUSY: "wait until nobody else uses it",
    errno.ELOOP: "mend its symbolic links",
    errno.ENAMETOOLONG: "give it a shorter name",
}


def place_of(given: object, refuse: Refuse = BadData) -> Path:
    """The path of a file or folder that somebody names, a ~ in it resolved."""
    if not isinstance(given, str | os.PathLike):
        raise refuse(f"expected the path of a file or folder, got {type(given).__name__}")
    return Path(given).expanduser()


@contextlib.contextmanager
def opened(file: Path, refuse: Refuse = BadData, *, most: int | None = None) -> Iterator[BufferedReader]:
    """A regular file of at most ``most`` bytes, open to be read; a pipe, a device or a folder is never opened."""
    try:
        _require_regular(file, os.stat(file).st_mode, refuse)
        handle = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except ExpungeError:
        raise
    except OSError as error:
        raise cannot_read(file, error, refuse) from None
    except ValueError:  # a null byte in the name
        raise refuse(f"{str(file)!r} is no name of a file") from None
    with os.fdopen(handle, "rb") as stream:
        found = os.fstat(handle)  # of what was opened, should another file have taken its place
        _require_regular(file, found.st_mode, refuse)
        if most is not None and found.st_size > most:
            raise refuse(f"{file} has {found.st_size:,} bytes, expected at most {most:,}")
        yield stream


def visible(folder: Path, refuse: Refuse = BadData) -> list[Path]:
    """What people put into a folder, sorted by name: without hidden files, and those that systems leave there."""
    try:
        return sorted(each for each in folder.iterdir() if each.name[0] != "." and each.name.lower() not in LEFT_BEHIND)
    except OSError as error:
        raise cannot_read(folder, error, refuse) from None


def size_of(stream: IO[bytes]) -> int:
    """Bytes of an open file."""
    return os.fstat(stream.fileno()).st_size


def cannot_read(file: Path, error: OSError, refuse: Refuse = BadData) -> ExpungeError:
    """What to say of a file that is not there, or that cannot be read for now: nothing of it is lost."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return refuse(f"there is no file {file}: {reason}; name one that exists")
    advice = _PASSING.get(error.errno or 0, "mend that")
    return refuse(f"cannot read {file}: {reason}; nothing is lost: {advice}, and run the same command again")


def is_passing(error: OSError) -> bool:
    """Whether an error says nothing of the bytes of a file, but of rights to it, the machine or the disk."""
    return error.errno in _PASSING


def read_bytes(file: Path, refuse: Refuse = BadData, *, most: int = TEXT) -> bytes:
    """All bytes of a regular file, at most ``most``."""
    with opened(file, refuse, most=most) as stream:
        try:
            content = stream.read(most + 1)
        except OSError as error:
            raise cannot_read(file, error, refuse) from None
    if len(content) > most:  # of a file that grew
        raise refuse(f"{file} has more than the expected {most:,} bytes")
    return content


def read_text(file: Path, refuse: Refuse = BadData, *, most: int = TEXT) -> str:
    """The text of a regular file, which is UTF-8, without the mark that some programs put before it."""
    try:
        return read_bytes(file, refuse, most=most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise refuse(f"{file} is no text: expected UTF-8, got byte 0x{byte:02x} at {error.start}") from None


def read_json(file: Path, refuse: Refuse = BadData, *, most: int = TEXT) -> Any:
    """What a file of JSON holds."""
    try:
        return json.loads(read_text(file, refuse, most=most))
    except (ValueError, RecursionError) as error:
        if isinstance(error, ExpungeError):
            raise
        raise refuse(f"{file} is no JSON: {first_line(error)}") from None


def first_line(error: BaseException) -> str:
    """The first line of what an error says, not too long; else its name."""
    return str(error).partition("\n")[0][:200] or type(error).__name__


def _require_regular(file: Path, mode: int, refuse: Refuse) -> None:
    if stat.S_ISREG(mode):
        return
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    raise refuse(f"{file} is {kinds.get(stat.S_IFMT(mode), 'no file')}, and was not opened; expected a regular file")

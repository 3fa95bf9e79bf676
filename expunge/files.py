"""Files and folders of the user's that are written: whole or not at all, and by one process at a time.

What is read comes through ``outside``.
"""

import contextlib
import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import IO, Any

from filelock import FileLock

from expunge.errors import StoreError

LOCK = ".lock"  # of a folder


class Hashed:
    """A stream that hashes what is written to it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.sha256 = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        return self._stream.write(data)

    def flush(self) -> None:
        self._stream.flush()


def write_file(file: Path, content: str | bytes | Callable[[Hashed], object], *, mode: int = 0o644) -> str:
    """Write ``file`` whole or not at all, also when several processes write it at once; its SHA-256.

    ``content`` is text, which is written as UTF-8, bytes, or a function that writes to a stream; ``mode`` says who may
    read it, and nobody else can at any time. Raises StoreError, one line, where it cannot be written: a full disk, a
    folder that may not be written to, a device in its place. Of a symbolic link, what it points to is written.
    """
    file = Path(os.path.realpath(file))
    if file.exists() and not file.is_file():  # /dev/null would become a file, for everybody
        raise StoreError(f"cannot write {file}: it is there and is no regular file; give another place")
    data = content.encode() if isinstance(content, str) else content
    try:
        return replace_file(file, data if callable(data) else lambda stream: stream.write(data), mode)
    except OSError as error:
        raise cannot_write(file, error) from None


def cannot_write(place: Path, error: OSError | NotImplementedError) -> StoreError:
    """What to say of a file or folder of the user's that cannot be written."""
    if isinstance(error, NotImplementedError):  # as FileLock says it
        return StoreError(f"cannot write {place}: its file system has no locks; give another place")
    reason = error.strerror or str(error)
    return StoreError(f"cannot write {place}: {reason}; make room or give another place, then run the command again")


@contextlib.contextmanager
def alone_with(folder: Path) -> Iterator[None]:
    """Alone with a folder of the user's, among all processes that write to it; one that dies leaves no lock."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        raise cannot_write(folder, error) from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def unchanging(folder: Path) -> Iterator[None]:
    """While this lasts nobody who is :func:`alone_with` ``folder`` writes to it; nothing is written to wait for that.

    Who may not open its lock reads all the same: what is read must then tell by itself whether it belongs together.
    """
    with contextlib.ExitStack() as stack:
        if os.access(folder / LOCK, os.R_OK | os.W_OK):
            stack.enter_context(alone_with(folder))
        yield


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file, which is read again only where it has changed; OSError where it cannot be read."""
    found = file.stat()
    _require_plain(found)
    return _sha256(file, found.st_mtime_ns, found.st_size)


def replace_file(file: Path, put: Callable[[Hashed], object], mode: int = 0o644) -> str:
    """As :func:`write_file`, of a file of our own: raises OSError, and replaces whatever is there, a link too."""
    handle, part = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            put(hashed := Hashed(stream))
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(part, mode)
        os.replace(part, file)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
    return hashed.sha256.hexdigest()


@cache
def _sha256(file: Path, changed_ns: int, size: int) -> str:
    """Hash of a file; time and size of its last change are part of the key, so a changed file is hashed again."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # should a pipe take its place now
    with os.fdopen(os.open(file, flags), "rb") as stream:
        _require_plain(os.fstat(stream.fileno()))
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _require_plain(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for
        raise OSError(errno.EINVAL, "it is no plain file")

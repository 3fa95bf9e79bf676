"""How much a hub may send and how long it may take: what answers without end is ended, in one line.

Each file ends at the size that was listed of it, every other answer at ANSWER bytes, all together at the time that so
many bytes take on a slow line. The limits hold for all requests of the hub's library within :func:`limited`.
"""

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urljoin

from huggingface_hub import close_session, set_client_factory
from huggingface_hub.utils import _http

from expunge.errors import BadSetting, HubError

BYTES, SECONDS = "EXPUNGE_HUB_BYTES", "EXPUNGE_HUB_SECONDS"  # variables that raise the limits
MOST = 50 << 30  # bytes of all files together: the published margins of all forget sets are below a tenth of it
PATIENCE, SLOWEST = 120.0, 50_000  # seconds of every call, and bytes a second of a line that is slow but usable
ANSWER = 32 << 20  # bytes of an answer that is no file: a page of a listing has a thousandth of it
LISTED = 1_000_000  # files of a listing
SILENCE = 60.0  # seconds without a byte
PACKING = 1000  # how much gzip packs at most, about


def most_bytes() -> int:
    return int(_told(BYTES, MOST))


@contextmanager
def limited(what: str, sizes: Mapping[str, int] | None = None, mark: str = "") -> Iterator[None]:
    """Within, no request takes more than it should; :class:`HubError` where one does.

    Args:
        what: which hub and repository, for the line that says so.
        sizes: bytes of each file that may be downloaded, by path; no others are.
        mark: what stands before the path in the address of a file.
    """
    limits = _Limits(what, dict(sizes or {}), mark)
    before = _http._GLOBAL_CLIENT_FACTORY
    set_client_factory(lambda: limits.client(before))
    alarm = threading.Timer(limits.seconds, close_session)  # ends what waits in the middle of a head
    alarm.daemon = True
    alarm.start()
    try:
        yield
    except Exception as error:
        try:
            limits.require_time()  # whatever was raised when the session was closed
        except HubError as late:
            raise late from error
        raise
    finally:
        alarm.cancel()
        set_client_factory(before)


class _Limits:
    """What is left of the time, and of the bytes of each file."""

    def __init__(self, what: str, sizes: dict[str, int], mark: str) -> None:
        self.what, self.sizes, self.mark = what, sizes, mark
        self.seconds = _told(SECONDS, PATIENCE + sum(sizes.values()) / SLOWEST)
        self._ends = time.monotonic() + self.seconds
        self._stream: Any = None
        self._elsewhere: dict[str, int] = {}  # the sizes of files by the address that the hub sends one to

    def client(self, make: Callable[[], Any]) -> Any:
        client = make()
        self._stream = _stream_type(client)
        hooks = client.event_hooks
        client.event_hooks = {
            "request": [*hooks.get("request", []), self._asked],
            "response": [*hooks.get("response", []), self._answered],
        }
        return client

    def require_time(self) -> None:
        if time.monotonic() > self._ends:
            raise HubError(
                f"{self.what} took longer than {self.seconds:.0f} s for what it should send; what is complete is kept: "
                f"run the same command again, or give it more time with {SECONDS}=..."
            )

    def _asked(self, request: Any) -> None:
        self.require_time()
        request.headers["Accept-Encoding"] = "identity"
        given = request.extensions.get("timeout") or {}
        waits = {name: given.get(name) or SILENCE for name in ("connect", "read", "write", "pool")}
        request.extensions = {**request.extensions, "timeout": waits}

    def _answered(self, response: Any) -> None:
        self.require_time()
        most = self._most(response)
        packed = response.headers.get("Content-Encoding", "identity").lower()
        if packed in ("gzip", "deflate"):
            most = max(most // PACKING, 1 << 16)
        elif packed != "identity":
            raise HubError(f"{self.what} sends what is packed as {packed[:20]!r}, which was not asked for")
        parts = self.bounded(response.stream, most, str(response.request.url))
        response.stream = self._stream(response.stream, parts)

    def _most(self, response: Any) -> int:
        """Bytes that an answer may have; an address that a file was moved to is remembered."""
        address = str(response.request.url)
        path = unquote(response.request.url.path).partition(self.mark)[2] if self.mark else ""
        size = self._elsewhere.get(address, self.sizes.get(path) if path else None)
        if path and size is None and response.request.method == "GET":
            raise HubError(f"{self.what} gives {path[:80]!r}, which it did not list; refused")
        moved = response.headers.get("Location")
        if moved and size is not None:
            self._elsewhere[urljoin(address, moved)] = size
        redirects = bool(moved) or response.status_code >= 300
        return ANSWER if size is None or redirects else size

    def bounded(self, stream: Any, most: int, address: str) -> Iterator[bytes]:
        """The bytes of an answer, up to so many, for as long as there is time."""
        taken = 0
        for part in stream:
            self.require_time()
            taken += len(part)
            if taken > most:
                raise HubError(
                    f"{self.what} sends more than the {most:,} bytes that were to come of {address[:200]}; refused"
                )
            yield part


def _stream_type(client: Any) -> Any:
    """A stream of the transport, whichever it is, that gives the parts of another."""

    def start(self: Any, stream: Any, parts: Iterator[bytes]) -> None:
        self.stream, self.parts = stream, parts

    inner = {"__init__": start, "__iter__": lambda self: self.parts, "close": lambda self: self.stream.close()}
    transport = sys.modules[type(client).__module__.partition(".")[0]]
    return type("BoundedStream", (transport.SyncByteStream,), inner)


def _told(variable: str, usual: float) -> float:
    """The number in a variable of the environment, else the usual one."""
    text = os.environ.get(variable)
    if not text:
        return usual
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise BadSetting(f"{variable}={text[:40]!r}: expected a number above 0")
    return found

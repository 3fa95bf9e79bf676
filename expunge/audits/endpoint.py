"""A model behind an address, asked by HTTP; whatever is sent back, or is not, ends in one line and in time."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult, urlsplit

from numpy import ndarray

from expunge.audits.answers import MOST_ANSWER, labels_of, name_of
from expunge.errors import BadSetting, NoAnswer, in_a_line

OK = 200


@dataclass(frozen=True)
class Endpoint:
    """``POST {"inputs": [...]}`` to an address, which answers ``{"labels": [...]}`` or ``{"scores": [...]}``.

    A redirect is not followed: it may lead to another model.
    """

    parts: SplitResult
    classes: int
    seconds: float

    @classmethod
    def at(cls, address: str, classes: int, seconds: float) -> "Endpoint":
        """The endpoint at an address, which is checked before anything is sent."""
        try:
            parts = urlsplit(address)
            _ = parts.port
        except ValueError as error:
            raise BadSetting(
                f"--model {address[:200]!r}: {in_a_line(str(error))}; expected http://HOST:PORT/PATH"
            ) from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadSetting(f"--model {address[:200]!r}: expected http://HOST:PORT/PATH, or https")
        if parts.username or parts.password:
            raise BadSetting(
                "--model: an address with a password would come to stand in files; ask in a file.py:function"
            )
        return cls(parts, classes, seconds)

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return name_of(self.parts.geturl())

    def __call__(self, inputs: ndarray) -> ndarray:
        """The labels that the model gives these inputs."""
        found = self._parsed(self._answer(json.dumps({"inputs": inputs.tolist()}).encode()))
        kind = next((name for name in ("labels", "scores") if name in found), None)
        if kind is None:
            raise NoAnswer(f'{self.name} answered without "labels" or "scores"')
        return labels_of(found[kind], len(inputs), self.classes, self.name)

    def _parsed(self, content: bytes) -> dict[str, Any]:
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            raise NoAnswer(f"{self.name} answered with what is no JSON: {in_a_line(repr(content[:60]))}") from None
        if not isinstance(found, dict):
            raise NoAnswer(f'{self.name} answered with a {type(found).__name__}; expected {{"labels": [...]}}')
        return found

    def _answer(self, body: bytes) -> bytes:
        """The body of the answer to one request."""
        late = NoAnswer(f"{self.name} did not answer within {self.seconds:g} s")
        kind = HTTPSConnection if self.parts.scheme == "https" else HTTPConnection
        assert self.parts.hostname
        connection = kind(self.parts.hostname, self.parts.port, timeout=self.seconds)
        ended = threading.Event()
        try:
            with _alarm(self.seconds, ended) as sockets:
                connection.connect()
                sockets.append(connection.sock)  # which a connection forgets where the answer ends it
                content = self._exchange(connection, body)
        except TimeoutError:
            raise late from None
        except (OSError, HTTPException) as error:
            if ended.is_set():
                raise late from None
            raise NoAnswer(f"{self.name} does not answer: {in_a_line(error)}; see whether it runs") from None
        finally:
            connection.close()
        if ended.is_set():
            raise late
        return content

    def _exchange(self, connection: HTTPConnection, body: bytes) -> bytes:
        path = (self.parts.path or "/") + (f"?{self.parts.query}" if self.parts.query else "")
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
        connection.request("POST", path, body, headers)
        with connection.getresponse() as response:
            self._require_status(response)
            content = response.read(MOST_ANSWER + 1)
            if len(content) > MOST_ANSWER:
                raise NoAnswer(f"{self.name} answered with more than {MOST_ANSWER:,} bytes; refused")
            return content

    def _require_status(self, response: HTTPResponse) -> None:
        if response.status != OK:
            moved = "; give the address that it leads to" if 300 <= response.status < 400 else ""
            raise NoAnswer(f"{self.name} answered {response.status} {in_a_line(response.reason)}, expected 200{moved}")


@contextlib.contextmanager
def _alarm(seconds: float, ended: threading.Event) -> Iterator[list[socket.socket]]:
    """Shut the sockets that are put in after so many seconds in all: their own limit begins anew with every byte."""
    sockets: list[socket.socket] = []

    def end() -> None:
        ended.set()
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield sockets
    finally:
        timer.cancel()

"""Strangers' code in a process of its own, which dies with it: whatever it does there, nothing else is touched.

A host, one for each process that asks, imports what guests need and forks one guest at a time, so that a guest begins
within milliseconds and sees nothing that another one left behind. What a guest answers is bytes; nothing of it is ever
unpickled. When a guest ends, or the process that asked, all that it started ends too.
"""

import atexit
import contextlib
import ctypes
import importlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path

from expunge.clusters import ONE_THREAD
from expunge.errors import EngineError

# One thread each, as every job; and sets of strings in one order, whenever a method of one's own goes through one.
ENVIRONMENT = {
    **ONE_THREAD,
    "PYTHONHASHSEED": "0",
    "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",  # macOS: a host has one thread, and may fork
}
_STATUS = struct.Struct("!q")
_START_SECONDS = 120  # of a host, which imports torch: far more than it takes on a slow disk
_LEAVE_SECONDS = 5
_NEW, _END = b"n", b"e"
_PR_SET_CHILD_SUBREAPER = 36  # of Linux' prctl


class GuestGone(Exception):
    """The guest's process ended before it answered, or was ended for taking too long; the message says how."""


@dataclass
class Guest:
    """A process that runs ``serve(connection)`` of the host's module; it takes bytes and answers bytes.

    What guests need in common, ``prepare()`` of the module does once, before any is forked.
    """

    host: "_Host"
    connection: Connection

    def tell(self, message: bytes) -> None:
        """Send; a guest that is gone is known when its answer is awaited."""
        with contextlib.suppress(OSError):
            self.connection.send_bytes(message)

    def answer(self, most: int, seconds: float | None = None, work: str = "one model") -> bytes:
        """The next answer, of ``most`` bytes or fewer; :class:`GuestGone` where none comes within ``seconds``."""
        try:
            if not self.connection.poll(seconds):
                self.host.end_guest()
                raise GuestGone(f"took longer than {seconds:g} s for {work}, the limit it was given")
            return self.connection.recv_bytes(most)
        except (EOFError, OSError):
            raise GuestGone(_how_it_ended(self.host.end_guest())) from None


@contextlib.contextmanager
def guest(module: str) -> Iterator[Guest]:
    """A new guest, which runs ``serve`` of ``module``; it and all that it started are gone afterwards."""
    host = _host(module, os.getpid())
    if not host.alive:  # somebody ended it: another is as good
        _host.cache_clear()
        host = _host(module, os.getpid())
    connection = host.new_guest()
    try:
        yield Guest(host, connection)
    finally:
        connection.close()
        host.end_guest()


def _how_it_ended(status: int) -> str:
    if status >= 0:
        return f"its process ended with exit code {status} before it returned"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    memory = ", perhaps for want of memory" if name == "SIGKILL" else ""
    return f"its process died of {name}{memory}"


class _Host:
    """The asking side of a host."""

    def __init__(self, module: str) -> None:
        if not hasattr(os, "fork"):
            raise EngineError("a method of your own runs in a process that is forked; use Linux, macOS or WSL for it")
        self._control, theirs = socket.socketpair()
        known = [path for path in sys.path if path]
        code = f"import sys; sys.path[:] = {known!r}; from expunge.guests import main; main({module!r})"
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=theirs.fileno(),
                stdout=2,  # standard output is the result's alone
                env={**os.environ, **ENVIRONMENT},
                start_new_session=True,  # Ctrl-C reaches all of a terminal; who asked ends its guests
            )
        self._running = False
        atexit.register(self._leave)

    def _leave(self) -> None:
        """Let the host end, as it does when this process dies."""
        self._control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LEAVE_SECONDS)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def new_guest(self) -> Connection:
        """Fork a guest; one that still runs is ended first."""
        self.end_guest()
        ours, theirs = socket.socketpair()
        with theirs:
            self._control.settimeout(_START_SECONDS)
            try:
                socket.send_fds(self._control, [_NEW], [theirs.fileno()])
                started = self._control.recv(1)
            except OSError as error:
                started, reason = b"", str(error)
            else:
                reason = f"it ended with exit code {self._process.poll()}"
        if started != _NEW:
            raise EngineError(f"the process for methods of your own did not start: {reason}")
        self._running = True
        return Connection(ours.detach())

    def end_guest(self) -> int:
        """End the guest, if it still runs, with all that it started; its exit code, or minus the signal it died of."""
        if not self._running:
            return 0
        self._running = False
        try:
            self._control.sendall(_END)
            (status,) = _STATUS.unpack(_exactly(self._control, _STATUS.size))
        except (OSError, EOFError):
            return -signal.SIGKILL
        return int(status)


@cache
def _host(module: str, process: int) -> _Host:
    """The host of this process: one that was forked needs its own."""
    return _Host(module)


def _exactly(stream: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = stream.recv(size - len(found))
        if not part:
            raise EOFError
        found += part
    return found


def main(module: str) -> None:
    """What a host does: fork a guest whenever it is asked to, until who asks is gone."""
    control = socket.socket(fileno=os.dup(0))
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)  # a method that asks for input gets the end of it
    known = importlib.import_module(module)
    known.prepare()
    _adopt()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a guest may send one to whoever started it
    woken, wakes = socket.socketpair()
    for each in (woken, wakes):
        each.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes.fileno())
    while _host_one(control, woken, known.serve):
        pass


def _adopt() -> None:
    """Be the parent of those below this process that lose theirs; on Linux alone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _host_one(control: socket.socket, woken: socket.socket, serve: object) -> bool:
    """Fork a guest and wait for its end; False once who asks is gone."""
    message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
    if message != _NEW or not descriptors:
        return False
    process = os.fork()
    if process == 0:
        _be_guest(control, descriptors[0], serve)
    os.close(descriptors[0])
    control.sendall(_NEW)
    asked, status = _until_it_ends(process, control, woken)
    _end_all(process)
    if not asked:
        asked = control.recv(1) == _END  # the status is told when it is asked for
    if asked:
        control.sendall(_STATUS.pack(os.waitstatus_to_exitcode(status)))
    return asked


def _be_guest(control: socket.socket, descriptor: int, serve: object) -> None:
    """The guest's side of the fork; it never returns."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    control.close()
    os.setsid()
    _adopt()  # so that its work and theirs can be counted together; the host has them when it dies, and ends them
    code = 1
    try:
        serve(Connection(descriptor))  # type: ignore[operator]
        code = 0
    finally:
        with contextlib.suppress(Exception):  # whatever stands there now
            sys.stdout.flush()
            sys.stderr.flush()
            ctypes.CDLL(None).fflush(None)  # what libraries printed
        os._exit(code)  # no clean-up of what the host had begun


def _until_it_ends(process: int, control: socket.socket, woken: socket.socket) -> tuple[bool, int]:
    """Whether its end was asked for, and its status."""
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return False, status
        ready, _, _ = select.select([control, woken], [], [])
        with contextlib.suppress(BlockingIOError):
            woken.recv(4096)
        if control in ready:
            asked = control.recv(1) == _END
            ended, status = os.waitpid(process, os.WNOHANG)  # it may have ended by itself just now
            if not ended and asked:
                ended, status = _within(process, seconds=0.2)  # it answered, and is about to
            if not ended:
                os.kill(process, signal.SIGKILL)
                _, status = os.waitpid(process, 0)
            return asked, status


def _within(process: int, seconds: float) -> tuple[int, int]:
    """What ``waitpid`` says of a process that is given some time to end."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return ended, status
        time.sleep(0.005)
    return 0, 0


def _end_all(process: int) -> None:
    """End what a guest started: its group, and on Linux also what left the group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while left := children.read_bytes().split() if children.is_file() else []:
        for each in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(each), signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)

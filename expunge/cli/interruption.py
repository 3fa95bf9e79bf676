"""Ctrl-C and SIGTERM: one line, nothing after it, and nothing left running."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from expunge.streams import are_ours

INTERRUPTED = 130
SAYS = "expunge: interrupted"
KEPT = "; what was finished is kept, run the same command again to go on"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # of a terminal, and of a batch system before it kills
_PATIENCE = 3.0  # seconds to leave by oneself in, so that files are tidied

_told, _keeps = threading.Event(), threading.Event()


def begins(keeps: bool) -> None:
    """A command begins: what it has finished when it is interrupted it ``keeps``, or makes anew the next time."""
    _keeps.set() if keeps else _keeps.clear()


def last_words() -> str:
    """What an interrupted command says."""
    return SAYS + KEPT * _keeps.is_set()


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """An interrupt ends this process, with its children, soon and without a word but the one line.

    Where standard output was replaced, as by a test in its own process, nothing is changed: the process is not ours.
    """
    if not are_ours():
        yield
        return
    for each in _SIGNALS:
        signal.signal(each, _interrupt)
    try:
        yield
    finally:
        if _told.is_set():  # whatever became of the KeyboardInterrupt on its way
            _end()
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)  # the work is done, and an interrupt could only add a traceback


def _interrupt(*_: Any) -> None:
    """The first interrupt: say so, be deaf and dumb from here on, and leave."""
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    _told.set()
    threading.Thread(target=_end_in_time, daemon=True).start()
    _last_words()
    raise KeyboardInterrupt


def _last_words() -> None:
    """Write the line past all buffers, whose locks may be held; whoever else writes from here on is not heard."""
    with contextlib.suppress(OSError):  # whoever read has gone
        heard = os.dup(2)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        terminal = os.isatty(heard) and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
        clean = "\r\x1b[2K\x1b[?25h" if terminal else ""  # no progress line, and the cursor is back
        os.write(heard, f"{clean}{last_words()}\n".encode())


def _end_in_time() -> None:
    time.sleep(_PATIENCE)
    _end()


def _end() -> None:
    try:
        _kill_children()
    finally:
        os._exit(INTERRUPTED)  # what Python does at its end is long, and can only complain


def _kill_children() -> None:
    """End what this process started, and what that started: again, should one have begun another meanwhile."""
    if "multiprocessing" not in sys.modules and "subprocess" not in sys.modules:
        return
    import psutil

    for _ in range(3):
        alive = [each for each in psutil.Process().children(recursive=True) if not _tidies_up(each)]
        if not alive:
            return
        for each in alive:
            with contextlib.suppress(psutil.Error):
                each.kill()
        psutil.wait_procs(alive, timeout=1)


def _tidies_up(process: Any) -> bool:
    """Whether it is Python's own process that removes the semaphores of the others, and then ends."""
    import psutil

    try:
        return any("resource_tracker" in each for each in process.cmdline())
    except psutil.Error:
        return False

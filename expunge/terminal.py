"""What a terminal shows: results on standard output, all else on standard error."""

import contextlib
import json
import os
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.segment import Segment
from rich.table import Column
from rich.text import Text

from expunge.errors import StoreError
from expunge.streams import printable, results_apart

if TYPE_CHECKING:  # a command imports what it needs: torch takes a second, which --help need not wait for
    from expunge.engine import Watch


class _Console(Console):
    """A console that obeys nothing in what it is given: no markup, no emoji names, no control character.

    Rich's own styles and movements are put around the text later.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(printable(text), **how)  # before its width is measured

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        if isinstance(renderable, Text):  # before it is wrapped
            renderable = renderable.copy()
            renderable.plain = printable(renderable.plain)
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))

    def print(self, *objects: Any, **how: Any) -> None:
        try:
            super().print(*objects, **how)
        except OSError as error:  # a full disk
            self._be_silent()
            if not self.stderr:
                raise StoreError(f"cannot write the result: {error.strerror}; make room and run it again") from None

    @property
    def is_bounded(self) -> bool:
        """Whether a line has an end that is known: the edge of a terminal, or COLUMNS."""
        return self.is_terminal or os.environ.get("COLUMNS", "").isdigit()

    def on_broken_pipe(self) -> None:
        """Whoever read has seen enough: go on in silence, to the exit code that is due."""
        self._be_silent()

    def _be_silent(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())  # or Python complains when it flushes


NAME = 15  # columns that a name may be folded to

out = _Console()
err = _Console(stderr=True)


@contextlib.contextmanager
def results_alone() -> Iterator[None]:
    """What is printed to standard output past `out`, by whomever, goes to standard error."""
    if out.is_terminal:
        out.width = out.width  # which is that of the terminal, and cannot be asked for from another stream
    with results_apart() as stream:
        try:
            out.file = stream  # type: ignore[assignment]  # None: there is no standard output
            yield
        finally:
            out.file = None  # type: ignore[assignment]  # whatever standard output is then


def say(text: str) -> None:
    """A line for people, on standard error, so that standard output is the result alone."""
    err.print(text, soft_wrap=True)


def print_line(text: str) -> None:
    """A line of the result, as it is."""
    out.print(text, soft_wrap=True)


def print_text(text: str, hang: int = 0) -> None:
    """A long line of the result; where lines have an end, wrapped at words, the later ones behind ``hang`` spaces."""
    print_line(_wrapped(text, hang, out))


def say_text(text: str, hang: int = 0) -> None:
    """A long line for people, on standard error, wrapped as :func:`print_text` does it."""
    say(_wrapped(text, hang, err))


def _wrapped(text: str, hang: int, console: _Console) -> str:
    """``text`` in lines; what is one word, as a path, stays one, and a terminal breaks it where it must."""
    if not console.is_bounded:
        return text
    behind = " " * hang
    wide = max(console.width, hang + NAME)
    lines = textwrap.wrap(
        printable(text), wide, subsequent_indent=behind, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines)


def print_json(value: object) -> None:
    """The result as JSON; NaN and infinity are refused, for they are not JSON."""
    print_json_text(json.dumps(value, indent=1, allow_nan=False))


def print_json_text(text: str) -> None:
    """JSON in ASCII, as it is: DEL, which JSON lets stand and a terminal does not, as JSON writes it."""
    print_line(text.replace("\x7f", "\\u007f"))


def duration(seconds: float) -> str:
    """Minutes and seconds.

    >>> duration(61.2)
    '1 min 1 s'
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


_FIRST, _PAUSE = 2.0, 5.0  # seconds until a plain line of progress is printed, and between two of them
_SILENCE = 30.0  # seconds of one job after which a plain line says that it is still at work


class ProgressLine:
    """A watch that draws a bar on a terminal, and elsewhere prints a plain line every few seconds.

    A command of which one list of jobs is not the ``whole`` tells the time left of the list that it is at.
    """

    def __init__(self, what: str, *, whole: bool = False) -> None:
        self._what, self._of = what, "" if whole else " of this part"
        self._begun = self._started = self._printed = self._seen = time.monotonic()
        self._done = self._total = 0
        self._pause = _FIRST
        self._expected: Callable[[], float | None] | None = None
        spinner = SpinnerColumn("dots" if err.encoding.startswith("utf") else "line")
        description = TextColumn(
            "{task.description}", markup=False, table_column=Column(overflow="ellipsis", no_wrap=True)
        )
        columns = (spinner, description, BarColumn(20), MofNCompleteColumn(), _TimeLeft(self._left))
        self._bar = Progress(*columns, console=err, transient=True)
        self._task = self._bar.add_task(what, total=None)
        self._over = threading.Event()
        self._teller = threading.Thread(target=self._tell, daemon=True)

    def __enter__(self) -> "Watch":
        if err.is_terminal:
            self._bar.start()
        else:
            self._teller.start()
        return self

    def __exit__(self, *_: object) -> None:
        if err.is_terminal:
            self._bar.stop()
            return
        self._over.set()
        self._teller.join()

    def _tell(self) -> None:
        """A plain line now and then while one job takes long."""
        while not self._over.wait(_SILENCE):
            now = time.monotonic()
            if now - self._printed >= _SILENCE:
                self._printed = now
                done = f"{self._done}/{self._total} done" if self._total else "at work"
                say(f"{self._what}: {done}, {duration(now - self._begun)} so far")

    def expect(self, left: Callable[[], float | None] | None) -> None:
        """Ask ``left`` how long it takes on, or nobody: then it is as fast as it was."""
        self._expected = left

    def __call__(self, done: int, total: int, label: str) -> None:
        now = time.monotonic()
        if total != self._total:  # another list of jobs began when the last one ended
            self._started, self._total = self._seen, total
        self._seen, self._done = now, done
        if err.is_terminal:
            self._bar.update(self._task, completed=done, total=total, description=label)
        elif done == total or now - self._printed >= self._pause:
            self._printed, self._pause = now, _PAUSE
            say(f"{self._what}: {done}/{total} done, {self._left()} ({label})")

    def _left(self) -> str:
        seconds = self._expected() if self._expected else None
        if seconds is None and self._done:
            seconds = (time.monotonic() - self._started) / self._done * (self._total - self._done)
        return "" if seconds is None else f"{duration(seconds)} left{self._of}"


class LateLine:
    """A watch for scripts and notebooks: a line on standard error after some seconds of work, then every ten.

    Nothing is said of what is quickly done or taken out of the store. ``EXPUNGE_PROGRESS=off`` silences all of them.
    """

    FIRST, NEXT = 3.0, 10.0  # seconds

    def __init__(self, what: str) -> None:
        self._what, self._label = what, ""
        self._done = self._total = 0
        self._started = time.monotonic()
        self._left: Callable[[], float | None] | None = None
        self._over = threading.Event()
        self._teller: threading.Thread | None = None

    def __enter__(self) -> "LateLine":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def expect(self, left: Callable[[], float | None] | None) -> None:
        """Work begins, and ``left`` knows how long it takes on; or it ends."""
        self._left = left
        if left is None:
            self._stop()
        else:
            self.begin()

    def begin(self) -> None:
        """Work begins."""
        if self._teller is None and os.environ.get("EXPUNGE_PROGRESS", "").lower() not in ("0", "off", "no"):
            self._started = time.monotonic()
            self._over.clear()
            self._teller = threading.Thread(target=self._tell, daemon=True)
            self._teller.start()

    def __call__(self, done: int, total: int, label: str) -> None:
        self._done, self._total, self._label = done, total, label

    def _stop(self) -> None:
        self._over.set()
        if self._teller:
            self._teller.join()
        self._teller = None

    def _tell(self) -> None:
        wait = self.FIRST
        while not self._over.wait(wait):
            wait = self.NEXT
            left = self._left() if self._left else None
            told = [
                f"{self._done}/{self._total} done" if self._total else "at work",
                f"{duration(time.monotonic() - self._started)} so far",
                *([f"about {duration(left)} left"] if left is not None else []),
            ]
            say(f"{self._what}: {', '.join(told)}{f' ({self._label})' if self._label else ''}")


class _TimeLeft(ProgressColumn):
    """The time left, told anew a few times a second."""

    max_refresh = 0.5

    def __init__(self, left: Callable[[], str]) -> None:
        super().__init__()
        self._left = left

    def render(self, task: Task) -> Text:
        return Text(self._left(), style="progress.remaining")

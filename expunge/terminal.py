"""What a terminal shows: results on standard output, all else on standard error."""

import json
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:  # a command imports what it needs: torch takes a second, which --help need not wait for
    from expunge.engine import Watch

out = Console()
err = Console(stderr=True)


def say(text: str) -> None:
    """A line for people, on standard error, so that standard output is the result alone."""
    err.print(text, markup=False, highlight=False, soft_wrap=True)


def print_line(text: str) -> None:
    """A line of the result, as it is."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def print_json(value: object) -> None:
    """The result as JSON; NaN and infinity are refused, for they are not JSON."""
    print_line(json.dumps(value, indent=1, allow_nan=False))


def duration(seconds: float) -> str:
    """Minutes and seconds.

    >>> duration(61.2)
    '1 min 1 s'
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class ProgressLine:
    """A watch that draws a bar on a terminal, and elsewhere prints a plain line every few seconds."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._started = self._printed = self._seen = time.monotonic()
        self._total = 0
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=err, transient=True)
        self._task = self._bar.add_task(what, total=None)

    def __enter__(self) -> "Watch":
        if err.is_terminal:
            self._bar.start()
        return self._see

    def __exit__(self, *_: object) -> None:
        if err.is_terminal:
            self._bar.stop()

    def _see(self, done: int, total: int, label: str) -> None:
        if err.is_terminal:
            self._bar.update(self._task, completed=done, total=total, description=label)
            return
        now = time.monotonic()
        if total != self._total:  # another list of jobs began when the last one ended
            self._started, self._total = self._seen, total
        self._seen = now
        if done < total and now - self._printed < 5:
            return
        self._printed = now
        left = (now - self._started) / done * (total - done)
        say(f"{self._what}: {done}/{total} done, {duration(left)} left ({label})")

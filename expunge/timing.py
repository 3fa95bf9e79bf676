"""How long the rest of a list of jobs will take: what they were expected to take, corrected by what the first took."""

import heapq
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

_TRUST = 1.0  # seconds of work that the expectation counts for against what is measured of other kinds
_OWN_TRUST = 0.3  # jobs that all other kinds count for against what is measured of a kind
_OLDER = 0.7  # what a job counts for against the next of its kind: the first ones compile, and find no cache
_LEAST = 0.25  # share of what a job has taken that it takes on, at least: one that is late is seldom at its end


class Work(NamedTuple):
    """What a job is expected to take on one core, and what kind it is: jobs of one kind err by one factor."""

    seconds: float | None = None  # None: nobody knows; such jobs count alike
    kind: str = ""


UNKNOWN = Work()


@runtime_checkable
class Expectant(Protocol):
    """A watch that also wants to know how long it will take."""

    def expect(self, left: Callable[[], float | None] | None) -> None:
        """From here on ``left()`` tells the seconds left, where it can; nobody does so any more when it is None."""


def makespan(seconds: Iterable[float], side: int) -> float:
    """How long ``side`` workers take that take the next job of a list whenever they are free.

    >>> makespan([3, 1, 1, 1], side=2)
    3.0
    """
    free = [0.0] * max(1, side)
    for each in seconds:
        heapq.heappush(free, heapq.heappop(free) + each)
    return float(max(free))


class Clock:
    """Follows jobs as they wait, are held by a worker and finish."""

    def __init__(self, waiting: Iterable[Work], to_come: Iterable[Work], startup: float = 0.0) -> None:
        self.side = 1
        self._waiting, self._to_come = list(waiting), list(to_come)
        self._held: dict[int, tuple[Work, float | None]] = {}  # in the order in which workers got them; since when
        self._paces: dict[str, _Pace] = {}  # by kind
        self._made, self._startup = time.monotonic(), startup * crowd()

    def follow(self, works: Sequence[Work]) -> None:
        """Jobs that were to come can be done, before those that wait."""
        for each in works:
            if each in self._to_come:
                self._to_come.remove(each)
        self._waiting[:0] = works

    def take(self, work: Work, number: int) -> None:
        """A worker holds the next job."""
        self._waiting.pop(0)
        self._held[number] = (work, None)
        self._startup = 0.0
        self._begin()

    def finish(self, number: int, seconds: float) -> None:
        """A job took so long."""
        work, _ = self._held.pop(number)
        self._paces[work.kind] = self._paces.get(work.kind, _Pace()).then(work, seconds)
        self._begin()

    def left(self) -> float | None:
        """Seconds until all is done; None while there is a job of which nothing is known."""
        now, late = time.monotonic(), dict[str, float]()
        ahead: list[float] = []
        for work, since in [*self._held.values(), *((each, None) for each in [*self._waiting, *self._to_come])]:
            expected = self._expected(work)
            if expected is None:
                return None
            passed = 0.0 if since is None else now - since
            late[work.kind] = max(late.get(work.kind, 1.0), passed / max(expected, 1e-3))  # so will be the others
            ahead.append(max(expected * late[work.kind] - passed, _LEAST * passed))
        passed = now - self._made
        startup = max(self._startup - passed, _LEAST * passed) if self._startup else 0.0
        return startup + makespan(ahead, self.side)

    def _begin(self) -> None:
        """Each worker is at one of the jobs that it holds."""
        for number, (work, since) in list(self._held.items())[: self.side]:
            if since is None:
                self._held[number] = (work, time.monotonic())

    def _expected(self, work: Work) -> float | None:
        """What was said of a job, times what its kind took over what was said; all kinds stand in for a new one."""
        pace = self._paces.get(work.kind, _Pace())
        if work.seconds is None:
            return pace.took / pace.jobs if pace.jobs else None
        known = [each for each in list(self._paces.values()) if each.said]
        weights = [each.said / each.jobs for each in known]
        all_kinds = sum(w * each.off / each.jobs for w, each in zip(weights, known, strict=True))
        all_kinds /= sum(weights) + _TRUST
        return work.seconds * math.exp((pace.off + _OWN_TRUST * all_kinds) / (pace.jobs + _OWN_TRUST))


class _Pace(NamedTuple):
    """Of the jobs of a kind, the later the more: how many, what was said of them, what they took, how far that is off.

    ``off`` is in logarithms, so that one that compiled and took ten times as long does not speak for the others.
    """

    jobs: float = 0.0
    said: float = 0.0
    took: float = 0.0
    off: float = 0.0

    def then(self, work: Work, seconds: float) -> "_Pace":
        off = math.log(max(seconds, 1e-3) / max(work.seconds, 1e-3)) if work.seconds is not None else 0.0
        one = (1.0, work.seconds or 0.0, seconds, off)
        return _Pace(*(_OLDER * before + now for before, now in zip(self, one, strict=True)))


def crowd() -> float:
    """What work takes on this machine now over what it takes on an idle one, as far as its load tells: 1 to 2.

    The root of how many processes want a core: those of low priority are counted, and give way.
    """
    return math.sqrt(min(4.0, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))))

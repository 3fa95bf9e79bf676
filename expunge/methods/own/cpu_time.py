"""The CPU time of a method of the user's own, and what one retraining takes of it on the same machine."""

import os
from pathlib import Path

from expunge.ensembles.origin import Origin
from expunge.ensembles.timed_training import kept, seconds_per_example
from expunge.suites.suite import Split

try:
    from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
except ImportError:  # Windows, which has no guests either
    getrusage = None  # type: ignore[assignment]

_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def cpu_seconds() -> float:
    """CPU time so far of this process, all its threads and all that it started, ended or not, user and system.

    Of children that nobody has waited for the system tells by ``/proc`` alone, so elsewhere than on Linux they are not
    counted. A guest adopts what leaves its parents there, as daemons do.
    """
    if getrusage is None:
        return sum(os.times()[:2])
    used = [getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN)]
    others = sum(map(_of_process, _below(os.getpid())))
    return sum(each.ru_utime + each.ru_stime for each in used) + others


def _below(process: int) -> list[int]:
    """The processes that it started, and those that they did."""
    found, waiting = [], [process]
    while waiting:
        for file in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            try:
                children = [int(each) for each in file.read_text(encoding="utf-8").split()]
            except OSError:  # it ended
                continue
            found += children
            waiting += children
    return found


def _of_process(process: int) -> float:
    """Of one process and of its children that it waited for."""
    try:
        told = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0.0
    fields = told.rpartition(")")[2].split()  # a name may hold anything; the state is the first after it
    return sum(int(each) for each in fields[11:15]) / _TICKS


def retraining_cpu_seconds(origin: Origin, split: Split) -> float:
    """CPU time of one retraining on this machine, of one model at a time, as a method of the user's own is run.

    The yardstick: one new model is trained by the suite's recipe on 8 minibatches, five times; the least CPU time
    counts, for each example, times the examples and epochs of the recipe. Measured on ``digits`` it is 0.39 to 0.48 s,
    where a loop in plain torch takes 0.45 s, and 0.50 s with a DataLoader. It is kept in the store for each suite and
    machine. Where the models are on a GPU it is the time of the process that feeds it.
    """
    measured = kept(origin.digest, "one by one, CPU", lambda: seconds_per_example(split, origin, 1, cpu_seconds, 5))
    return measured * split.retraining

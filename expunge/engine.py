"""Where jobs run: in this process, on local workers, or on a Dask cluster.

A job is idempotent and keeps its own result in the store, so whatever dies, what was finished is kept, and the same
command goes on from there.
"""

import contextlib
import logging
import os
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from expunge.clusters import connected, local_workers
from expunge.errors import BadSetting, EngineError
from expunge.jobs import Job, timed
from expunge.parcels import Bundles, Place, perform
from expunge.records import versions
from expunge.store import user_store
from expunge.timing import Clock, Expectant, Work

if TYPE_CHECKING:
    from distributed import Client, Future

Watch = Callable[[int, int, str], None]  # (jobs done, jobs in all, what was done last)
Say = Callable[[str], None]  # takes a line for people
Then = Callable[[Job, Any], Iterable[Job]]  # a finished job and its result -> the jobs that follow
Workers = int | str  # how many local processes, or the address of a Dask scheduler

_START_SECONDS = 4.0  # until local workers have started and imported torch


def nothing_more(job: Job, result: Any) -> Iterable[Job]:
    """No job follows."""
    return ()


def silent(done: int, total: int, label: str) -> None:
    """A watch that says nothing."""


class Steps:
    """Counts the steps of work that is no list of jobs, for a watch; the last is not told, for with it all is done."""

    def __init__(self, watch: Watch, total: int) -> None:
        self._watch, self._total, self._done = watch, total, 0

    def done(self, label: str) -> None:
        self._done += 1
        if self._done < self._total:
            self._watch(self._done, self._total, label)


def warn(line: str) -> None:
    """Say a line as a warning, of the place outside expunge from which it was called."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == __package__:
        level, frame = level + 1, frame.f_back
    warnings.warn(line, stacklevel=level)


def default_workers() -> int:
    """One worker for each GPU, else for each core this process may use."""
    if torch.cuda.is_available() and os.environ.get("EXPUNGE_DEVICE") != "cpu":
        return torch.cuda.device_count()
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(
    jobs: Sequence[Job],
    workers: Workers,
    watch: Watch = silent,
    *,
    then: Then = nothing_more,
    to_come: Sequence[Work] = (),
) -> Iterator[tuple[Job, Any]]:
    """Yield each job with its result as it finishes; a job's error ends the run.

    One worker is this process; more are processes of this machine, one thread each; an address is a Dask scheduler,
    whose workers must see the same store. ``then(job, result)`` gives the jobs that a finished one makes possible: they
    are done before those that still wait. ``to_come`` is what is known of them beforehand, so that the time left holds.
    """
    if isinstance(workers, int) and workers < 1:
        raise BadSetting(f"expected at least 1 worker, got {workers}")
    if not jobs:
        return
    total = len(jobs) + len(to_come)
    alone = isinstance(workers, int) and min(workers, total) == 1
    queue = _Waiting(jobs, then, Clock([job.work for job in jobs], to_come, 0.0 if alone else _START_SECONDS))
    if isinstance(workers, int):
        workers = min(workers, total)
        queue.clock.side = workers
    with _told_of(queue.clock, watch):
        for done, (job, result) in enumerate(_in_process(queue) if alone else _on(queue, workers), start=1):
            watch(done, max(total, done), job.label)
            yield job, result


@contextlib.contextmanager
def _told_of(clock: Clock, watch: Watch) -> Iterator[None]:
    """A watch that wants to know the time left can ask for it."""
    if not isinstance(watch, Expectant):
        yield
        return
    watch.expect(clock.left)
    try:
        yield
    finally:
        watch.expect(None)


class _Waiting:
    """The jobs that wait, those that are held by workers, and those that follow from what is finished."""

    def __init__(self, jobs: Sequence[Job], then: Then, clock: Clock) -> None:
        self._jobs = deque(jobs)
        self._then = then
        self.clock = clock

    def take(self, count: int) -> list[Job]:
        """The next jobs, at most so many."""
        taken = [self._jobs.popleft() for _ in range(min(count, len(self._jobs)))]
        for job in taken:
            self.clock.take(job.work, id(job))
        return taken

    def finish(self, job: Job, result: Any, seconds: float) -> None:
        """Put what follows before the others."""
        self.clock.finish(id(job), seconds)
        following = list(self._then(job, result))
        self.clock.follow([each.work for each in following])
        self._jobs.extendleft(reversed(following))


def _in_process(waiting: _Waiting) -> Iterator[tuple[Job, Any]]:
    while jobs := waiting.take(1):
        result, seconds = timed(jobs[0])
        waiting.finish(jobs[0], result, seconds)
        yield jobs[0], result


def _on(waiting: _Waiting, workers: Workers) -> Iterator[tuple[Job, Any]]:
    from distributed import KilledWorker  # half a second to import, and not needed in process
    from distributed.client import FutureCancelledError
    from distributed.comm.core import CommClosedError
    from distributed.utils import silence_logging_cmgr

    # They tell, at length and late, of connections that died with a worker.
    for name in ("asyncio", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    opened = connected(workers) if isinstance(workers, str) else local_workers(workers)
    try:
        with silence_logging_cmgr(logging.CRITICAL), opened as client:  # its tracebacks say less than our one line
            yield from _spread(client, waiting)
    except KilledWorker as error:
        raise EngineError(
            f"workers died {error.allowed_failures + 1} times over one job, perhaps for want of memory; what was "
            "finished is kept: run the same command again, with fewer workers if it was memory"
        ) from None
    except (FutureCancelledError, CommClosedError) as error:
        reason = str(error).partition("\n")[0]
        raise EngineError(
            f"lost the workers or their scheduler ({reason}); what was finished is kept, run the same command again"
        ) from None


def _spread(client: "Client", waiting: _Waiting) -> Iterator[tuple[Job, Any]]:
    """Keep every worker busy, and one job ahead: no more, for each job that waits holds memory on the scheduler."""
    from distributed import as_completed

    place = Place(str(user_store().root.absolute()), user_store().identity(), versions())
    bundles = Bundles(client)
    if not client.nthreads():
        warn(f"no worker has come to {client.scheduler_info()['address']} yet: waiting for the first")
    running: dict[Future[Any], Job] = {}
    waiting.clock.side = _workers_of(client)

    def submit(count: int) -> "list[Future[Any]]":
        added = {client.submit(perform, *bundles.pack(job), place, pure=False): job for job in waiting.take(count)}
        running.update(added)
        return list(added)

    queue = as_completed(submit(2 * _workers_of(client)), loop=client.loop)
    for future in queue:
        (result, seconds), job = future.result(), running.pop(future)
        waiting.clock.side = _workers_of(client)
        waiting.finish(job, result, seconds)
        queue.update(submit(max(0, 2 * waiting.clock.side - len(running))))  # fewer workers, fewer jobs
        yield job, result


def _workers_of(client: "Client") -> int:
    """How many workers there are, at least one to come: a cluster may grow and shrink."""
    from distributed.comm.core import CommClosedError

    try:
        return max(1, len(client.nthreads()))
    except OSError as error:
        raise CommClosedError(str(error)) from None

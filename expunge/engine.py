"""Where jobs run: in this process, or on local workers. A job is idempotent and keeps its own result in the store."""

import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from expunge.errors import BadSetting

Watch = Callable[[int, int, str], None]  # (jobs done, jobs in all, what was done last)

# Stacked training allocates and frees the same few hundred megabytes at every step. Told to keep freed memory, the
# allocator spares the kernel the page faults: a third of the time. Dask's own setting does the opposite.
_WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 28),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 26),
    "MALLOC_TOP_PAD_": str(1 << 22),
    "MALLOC_ARENA_MAX": "1",
}


@dataclass(frozen=True)
class Job:
    """``function(*arguments)``, with a label for people."""

    label: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def __call__(self) -> Any:
        with one_thread():
            return self.function(*self.arguments)


def silent(done: int, total: int, label: str) -> None:
    """A watch that says nothing."""


def default_workers() -> int:
    """One worker for each core this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(jobs: Sequence[Job], workers: int, watch: Watch = silent) -> Iterator[tuple[Job, Any]]:
    """Yield each job with its result as it finishes; one worker is this process. A job's error ends the run."""
    if workers < 1:
        raise BadSetting(f"expected at least 1 worker, got {workers}")
    finished = _in_process(jobs) if workers == 1 or len(jobs) < 2 else _on_workers(jobs, min(workers, len(jobs)))
    for done, (job, result) in enumerate(finished, start=1):
        watch(done, len(jobs), job.label)
        yield job, result


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Torch with one thread, for the bytes of a sum depend on how many threads share it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _leave_interrupts_to_the_parent() -> None:
    """Run in a worker: Ctrl-C reaches every process of a terminal, and the parent ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _in_process(jobs: Sequence[Job]) -> Iterator[tuple[Job, Any]]:
    for job in jobs:
        yield job, job()


def _on_workers(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Any]]:
    import dask  # half a second to import, and not needed in process
    from distributed import Client, LocalCluster, as_completed

    environment = {"distributed.nanny.pre-spawn-environ": _WORKER_ENVIRONMENT}
    quiet = logging.CRITICAL  # workers that are told to go complain of lost connections
    with dask.config.set(environment):
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=quiet,
        )
    with cluster, Client(cluster) as client:
        client.run(_leave_interrupts_to_the_parent)
        waiting = iter(jobs)
        running = {client.submit(job, pure=False): job for job in islice(waiting, 2 * workers)}
        queue = as_completed(list(running))
        for future in queue:  # a few at a time: each job carries its data
            result, job = future.result(), running.pop(future)
            for following in islice(waiting, 1):
                added = client.submit(following, pure=False)
                running[added] = following
                queue.add(added)
            yield job, result

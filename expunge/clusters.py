"""Workers: processes of this machine, or those of a Dask scheduler."""

import contextlib
import logging
import os
import re
import signal
from collections.abc import Iterator
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

import torch

from expunge.errors import BadSetting, EngineError

if TYPE_CHECKING:
    from distributed import Client
    from tornado.ioloop import IOLoop

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

# Stacked training allocates and frees the same few hundred megabytes at every step. Told to keep freed memory, the
# allocator spares the kernel the page faults: a third of the time. Dask's own setting does the opposite.
WORKER_ENVIRONMENT = {
    **ONE_THREAD,
    "MALLOC_MMAP_THRESHOLD_": str(1 << 28),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 26),
    "MALLOC_TOP_PAD_": str(1 << 22),
    "MALLOC_ARENA_MAX": "1",
}
_CONNECT_SECONDS = 10  # how long to look for a scheduler, at the start and when it is lost


@contextlib.contextmanager
def local_workers(count: int) -> "Iterator[Client]":
    import dask
    from distributed import Client, LocalCluster, WorkerPlugin
    from distributed.utils import sync

    class LocalWorker(WorkerPlugin):
        """What is done in each worker, those that replace lost ones included."""

        def setup(self, worker: Any) -> None:
            # Ctrl-C reaches all of a terminal; the parent ends its workers.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            if torch.cuda.device_count() > 1:
                os.environ.setdefault("EXPUNGE_DEVICE", f"cuda:{int(worker.name) % torch.cuda.device_count()}")

    with _loop() as loop, contextlib.ExitStack() as opened:
        clusters: list[LocalCluster] = []

        async def start() -> None:
            clusters.append(
                LocalCluster(
                    n_workers=count,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    memory_limit=0,
                    silence_logs=logging.CRITICAL,  # workers that are told to go complain of lost connections
                    asynchronous=True,
                )
            )
            await clusters[0]

        async def stop() -> None:
            for each in clusters:  # one that is half started, too
                await each.close()  # type: ignore[misc]  # within the loop it is to be awaited

        opened.callback(sync, loop, stop)
        try:
            with dask.config.set({"distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT}):
                sync(loop, start)
            client = opened.enter_context(Client(clusters[0].scheduler_address, loop=loop))
            client.register_plugin(LocalWorker())
        except (RuntimeError, OSError) as error:
            raise EngineError(
                f"a worker died while it started ({error}); what was finished is kept, run the same command again; a "
                'script of your own must start its work under `if __name__ == "__main__":`, for workers import it'
            ) from None
        yield client


@contextlib.contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Threads and processes that are started here do not hear Ctrl-C, which a terminal sends to all that it runs.

    They cannot turn a deaf ear themselves before Python has started in them, and by then have printed a traceback. This
    process hears it as before: at the end, if it came meanwhile.
    """
    _start_resource_tracker()  # or it is started within, which makes its starter hear again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_resource_tracker() -> None:
    """Start Python's process that removes the semaphores of those that were killed; it need not tell of each."""
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore:resource_tracker:UserWarning"
    try:
        resource_tracker.ensure_running()
    finally:
        del os.environ["PYTHONWARNINGS"]
        if before is not None:
            os.environ["PYTHONWARNINGS"] = before


@contextlib.contextmanager
def _loop() -> "Iterator[IOLoop]":
    """Dask's event loop in a thread whose children do not hear Ctrl-C."""
    from distributed.utils import LoopRunner

    runner = LoopRunner()
    with deaf_to_interrupts():
        runner.start()
    try:
        yield runner.loop
    finally:
        runner.stop()


@contextlib.contextmanager
def connected(address: str) -> "Iterator[Client]":
    from distributed import Client

    if not re.fullmatch(r"\w+://\S+:\d+", address):  # Dask would look for others in vain, and at length
        raise BadSetting(f"expected the address of a Dask scheduler, as tcp://HOST:PORT, got {address!r}")
    try:
        client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise EngineError(
            f"no Dask scheduler answers at {address!r} ({error}); start one with `dask scheduler`"
        ) from None
    with client:
        yield client

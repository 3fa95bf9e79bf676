"""How a job travels to a worker of another process: what many jobs share is sent once, and the place is checked."""

import hashlib
import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle

from expunge.errors import EngineError, in_a_line
from expunge.jobs import Job, timed
from expunge.records import versions
from expunge.store import at_store, user_store

if TYPE_CHECKING:
    from distributed import Client, Future


class Bundles:
    """The shared objects of jobs, each pickled once and sent once.

    They are tasks of their own, so that the scheduler can send them again when the worker that held them is lost.
    """

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._objects: dict[int, Any] = {}  # kept, so that no other object gets one of their ids
        self._names: dict[int, str] = {}
        self._futures: dict[str, Future[bytes]] = {}

    def pack(self, job: Job) -> "tuple[bytes, dict[str, Future[bytes]]]":
        """The job without its shared objects, and where these are."""
        for each in job.shared:
            if id(each) not in self._names:
                self._send(each)
        stream = io.BytesIO()
        _Pickler(stream, self._names).dump(job)
        return stream.getvalue(), {name: self._futures[name] for name in {self._names[id(s)] for s in job.shared}}

    def _send(self, shared: Any) -> None:
        import dask

        pickled = cloudpickle.dumps(shared)
        name = hashlib.sha256(pickled).hexdigest()
        self._objects[id(shared)], self._names[id(shared)] = shared, name
        if name not in self._futures:
            with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"}):
                self._futures[name] = self._client.submit(_unchanged, pickled, key=f"shared-{name}")


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no annotations
    def __init__(self, stream: io.BytesIO, names: dict[int, str]) -> None:
        super().__init__(stream)
        self._shared_names = names

    def persistent_id(self, each: object) -> str | None:
        return self._shared_names.get(id(each))


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, shared: dict[str, Any]) -> None:
        super().__init__(stream)
        self._shared = shared

    def persistent_load(self, name: str) -> Any:
        return self._shared[name]


@dataclass(frozen=True)
class Place:
    """What a worker must have in common with the process that sends it jobs."""

    store: str
    identity: str
    versions: dict[str, str]

    def check(self) -> None:
        """Raise :class:`EngineError` where this worker sees another store, or would compute other bytes."""
        from distributed import get_worker

        worker = get_worker()
        if worker.state.nthreads != 1:
            raise EngineError(
                f"worker {worker.address} has {worker.state.nthreads} threads, and bytes depend on their number; "
                "start workers with --nthreads 1"
            )
        with at_store(Path(self.store)):
            if user_store().identity(make=False) != self.identity:
                raise EngineError(
                    f"worker {worker.address} does not see the store {self.store}; put EXPUNGE_STORE on a file system "
                    "that all machines share, at one path"
                )
        if versions() != self.versions:
            raise EngineError(f"worker {worker.address} has {versions()}, expected {self.versions}")


_UNPACKED: dict[str, Any] = {}  # what this worker was sent last, by its hash


def _unchanged(data: bytes) -> bytes:
    return data


def perform(payload: bytes, bundles: dict[str, bytes], place: Place) -> tuple[Any, float]:
    """Run in a worker: put the job together again and do it; its result and how long it took."""
    place.check()
    for name in [name for name in _UNPACKED if name not in bundles]:
        del _UNPACKED[name]  # a worker of a cluster may live long and serve many suites
    for name, data in bundles.items():
        if name not in _UNPACKED:
            _UNPACKED[name] = pickle.loads(data)
    job = _Unpickler(io.BytesIO(payload), _UNPACKED).load()
    try:
        with at_store(Path(place.store)):
            return timed(job)
    except Exception:
        raise
    except BaseException as error:  # a worker that raises such a one is never heard of again
        raise EngineError(f"{job.label}: raised {in_a_line(error)}") from error

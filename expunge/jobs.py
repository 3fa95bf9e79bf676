"""What an engine runs: a function and its arguments, with one torch thread."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from expunge.timing import UNKNOWN, Work


@dataclass(frozen=True)
class Job:
    """``function(*arguments)``, with a label for people.

    ``shared`` are the large objects within the arguments that many jobs have in common, such as a suite with its
    data: they travel to a worker once. ``work`` is what it is expected to take.
    """

    label: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    shared: tuple[Any, ...] = ()
    work: Work = UNKNOWN

    def __call__(self) -> Any:
        with one_thread():
            return self.function(*self.arguments)


def timed(job: Job) -> tuple[Any, float]:
    """The result of a job, and the seconds that it took."""
    started = time.perf_counter()
    return job(), time.perf_counter() - started


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Torch with one thread, for the bytes of a sum depend on how many threads share it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

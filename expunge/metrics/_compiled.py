"""The one place that compiles inner loops, by numba, and spreads them over threads.

Threads come from Python, not from ``parallel=True``: numba's default threading layer ends the process when two
threads of the caller meet in it. The kernels release the GIL instead, and each works on its own examples.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

import numba
import numpy as np
import torch
from numpy import ndarray

from expunge.ensembles.mapped_arrays import spans

F = TypeVar("F", bound=Callable[..., object])

BLOCK = 512  # examples or more per call: 100 + 100 models of float32 are 400 kB and fit the second-level cache
LARGE = 1 << 19  # array elements from which on threads pay


def compiled(function: F) -> F:
    """``function`` compiled at its first call, and kept on disk where there is a place to keep it.

    numba raises RuntimeError when neither the package, nor the home, nor NUMBA_CACHE_DIR can be written, as in a
    read-only install: there the kernels are compiled anew in each process, about a second.
    """
    try:
        kernel = numba.njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:
        kernel = numba.njit(nogil=True, error_model="numpy")(function)
    return cast(F, kernel)


def frozen(values: ndarray) -> ndarray:
    """A contiguous, read-only view, so that every caller, memory-mapped or not, shares one compiled kernel."""
    view = np.ascontiguousarray(values).view()
    view.flags.writeable = False
    return view


def over_blocks(run: Callable[[int, int], None], examples: int, elements: int, width: int = BLOCK) -> None:
    """``run(start, stop)`` for each block of examples; with many ``elements``, on as many threads as torch may use."""
    parts = spans(examples, width)
    workers = min(torch.get_num_threads(), len(parts)) if elements >= LARGE else 1
    if workers <= 1:
        for start, stop in parts:
            run(start, stop)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda part: run(*part), parts))  # a list, so that an exception in a block is raised here

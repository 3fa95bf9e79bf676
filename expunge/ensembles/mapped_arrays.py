"""Arrays larger than the memory, read block by block: a mapped file's pages are let go as soon as they were copied.

A block is some columns, that is examples, of one or several (models, examples) arrays. What has a value per example
is computed block by block with the same result, to the last bit, as at once.
"""

import mmap
import tempfile
from collections.abc import Iterable, Iterator
from itertools import pairwise
from math import prod

import numpy as np
from numpy import ndarray

from expunge.errors import StoreError

BLOCK = 32 << 20  # bytes that are copied of all arrays together
HELD = 200_000_000  # bytes of values of all examples, of several models or versions of the ensembles, kept together
RUN = 100_000  # bytes: a row's part of a block is at least as long, for shorter reads cost more than they bring


def blocks(*arrays: ndarray) -> Iterator[tuple[slice, tuple[ndarray, ...]]]:
    """Columns, and those columns of each array: all at once and uncopied in memory, copies in blocks if any is mapped.

    Args:
        arrays: ``(models, examples)``, of any numbers of models but the same examples.

    >>> [(columns, *map(np.shape, parts)) for columns, parts in blocks(np.zeros((3, 5)), np.zeros((2, 5)))]
    [(slice(0, 5, None), (3, 5), (2, 5))]
    """
    examples = arrays[0].shape[1]
    if all(_map_of(array) is None for array in arrays):
        yield slice(0, examples), arrays
        return
    width = in_block(sum(len(array) * array.itemsize for array in arrays))
    for start, stop in spans(examples, max(width, RUN // min(array.itemsize for array in arrays))):
        yield slice(start, stop), tuple(_copied(array[:, start:stop]) for array in arrays)


def spans(examples: int, width: int) -> list[tuple[int, int]]:
    """``[0, examples)`` in even parts of ``width`` or more, of less than twice that; one part where it is shorter.

    No part is narrower, since numpy adds up a single column in another order than the columns of a wider matrix.

    >>> spans(11, 4)
    [(0, 5), (5, 11)]
    """
    count = max(1, examples // max(width, 2))
    edges = [examples * number // count for number in range(count + 1)]
    return list(pairwise(edges))


def in_block(size: int) -> int:
    """How many things of ``size`` bytes one block holds."""
    return max(1, BLOCK // max(size, 1))


def held(size: int) -> int:
    """How many things of ``size`` bytes, each with a value for every example, are kept together."""
    return max(1, HELD // max(size, 1))


def release(*arrays: ndarray) -> None:
    """Let go of the pages of mapped files; they stay in the system's cache, and are read again when touched."""
    for array in arrays:
        pages = _map_of(array)
        if pages is not None and hasattr(pages, "madvise"):  # Windows has none, and trims mapped pages by itself
            pages.madvise(mmap.MADV_DONTNEED)


def stacked(rows: Iterable[ndarray], shape: tuple[int, ...], dtype: np.dtype) -> ndarray:
    """``rows`` as one array: in memory or, where it is larger than a few blocks, in a file that vanishes with it."""
    size = prod(shape) * dtype.itemsize
    if size <= 4 * BLOCK:
        return np.stack([np.asarray(row, dtype) for row in rows])
    try:
        with tempfile.TemporaryFile() as file:
            for row in rows:
                file.write(np.ascontiguousarray(row, dtype).data)
            file.flush()
            return np.memmap(file, dtype, "r", shape=shape)
    except OSError as error:
        raise StoreError(
            f"cannot keep {size} bytes of margins in {tempfile.gettempdir()}: {error.strerror}; set TMPDIR to a folder "
            "with room"
        ) from None


def _copied(part: ndarray) -> ndarray:
    """``part`` in memory, a few rows at a time: for each that is touched the system maps up to 2 MB around it."""
    out = np.empty(part.shape, part.dtype)
    for first in range(0, len(part), 8):
        out[first : first + 8] = part[first : first + 8]
        release(part)
    return out


def _map_of(array: ndarray | None) -> mmap.mmap | None:
    """The file's map that ``array`` is a view of; None in memory, and of private maps, whose changes live in memory."""
    while isinstance(array, ndarray):
        if isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap):
            return None if array.mode == "c" else array.base
        array = array.base
    return None

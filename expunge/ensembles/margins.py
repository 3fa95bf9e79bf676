"""The checks that margins must pass."""

import zlib

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.ensembles.mapped_arrays import blocks
from expunge.errors import BadMargins

NO_MODELS = "there are no models in it, expected at least 2"
CHECKED = 1 << 20  # margins that are looked at in one step


def all_finite(values: ndarray) -> bool:
    """Whether no margin in memory is NaN or infinite; without a truth value of every margin in memory."""
    some = 1 + CHECKED // max(values.shape[1], 1)  # models at once
    return all(np.isfinite(values[first : first + some]).all() for first in range(0, len(values), some))


def require_finite(values: Float[ndarray, "models examples"], what: str) -> None:
    """Raise :class:`BadMargins` that names the models whose margins are NaN or infinite."""
    bad: ndarray = np.zeros(len(values), bool)
    for _, (part,) in blocks(values):
        if not all_finite(part):
            bad |= [not np.isfinite(row).all() for row in part]
    _require_none(bad, what)


def check_margins(values: ndarray, examples: int, what: str) -> None:
    """Refuse margins that no set of separately trained models gives: wrong shape, not finite, constant, repeated."""
    if values.ndim != 2 or values.shape[1] != examples:
        raise BadMargins(f"{what}: expected shape (models, {examples}), train then test examples, got {values.shape}")
    if not len(values):
        raise BadMargins(f"{what}: {NO_MODELS}")
    if values.shape[0] < 2:
        raise BadMargins(f"{what}: expected at least 2 models, got {values.shape[0]}")
    if not np.issubdtype(values.dtype, np.floating):
        raise BadMargins(f"{what}: expected floating-point margins, got {values.dtype}")
    finite, least, most, checksums = _facts(values)
    _require_none(~finite, what)
    flat = np.flatnonzero(least == most)
    if flat.size:
        raise BadMargins(
            f"{what}: model {flat[0]} has one and the same margin on every example; that is no trained model"
        )
    twins = _twins(values, checksums)
    if twins:
        raise BadMargins(
            f"{what}: models {twins} are bit-identical; an ensemble needs models trained from different seeds"
        )


def _require_none(bad: ndarray, what: str) -> None:
    """Raise :class:`BadMargins` that names the models that are ``bad``, if any is."""
    numbers = np.flatnonzero(bad).tolist()
    if numbers:
        shown = ", ".join(map(str, numbers[:10])) + (f" and {len(numbers) - 10} more" if len(numbers) > 10 else "")
        raise BadMargins(
            f"{what}: expected finite margins, got NaN or infinity in model {shown}; leave these models out or mend "
            "them"
        )


def _facts(values: ndarray) -> tuple[ndarray, ndarray, ndarray, list[int]]:
    """Of each model, in one pass: whether its margins are finite, the least, the largest, and a checksum of all."""
    finite: ndarray = np.ones(len(values), bool)
    least, most, checksums = np.full(len(values), np.inf), np.full(len(values), -np.inf), [0] * len(values)
    for _, (part,) in blocks(values):
        for model, row in enumerate(part):
            finite[model] &= np.isfinite(row).all()
            least[model], most[model] = min(least[model], row.min()), max(most[model], row.max())
            checksums[model] = zlib.crc32((row + 0).data, checksums[model])  # + 0: -0.0 equals 0.0
    return finite, least, most, checksums


def _twins(values: ndarray, checksums: list[int]) -> list[int]:
    """The first models that are the same on every example; empty where all differ. Unequal checksums need no look."""
    for model, checksum in enumerate(checksums):
        others = [other for other in range(model + 1, len(checksums)) if checksums[other] == checksum]
        same = [other for other in others if _equal(values[model : model + 1], values[other : other + 1])]
        if same:
            return [model, *same]
    return []


def _equal(first: ndarray, second: ndarray) -> bool:
    return all(np.array_equal(a, b) for _, (a, b) in blocks(first, second))

"""The mean distance with all that a jackknife needs, of small ensembles in one piece: twenty times as fast."""

import numpy as np
from numpy import ndarray

from expunge.metrics.jackknife import LeftOut, group_models, left_out
from expunge.metrics.wasserstein import least_scale


def quick(margins: ndarray, oracle: ndarray) -> LeftOut:
    """What ``leave_out`` gives of the mean over examples of ``wasserstein``; a test holds them together."""
    grouped, models = group_models(margins, oracle), len(margins)
    kept = np.array([_weights(rows, (models, len(oracle))) for rows in left_out(grouped)])
    pool = np.concatenate([margins, oracle]).astype(np.float64)
    order = np.argsort(pool, axis=0)
    steps = np.diff(np.take_along_axis(pool, order, axis=0), axis=0)
    signed = np.concatenate([_shares(kept[:, :models]), -_shares(kept[:, models:])], axis=1)
    areas = np.abs(np.cumsum(signed[:, order], axis=1)[:, :-1])  # (versions, pool - 1, examples)
    distances = np.einsum("vpe,pe->ve", areas, steps) / _scales(kept[:, models:], oracle)
    numbers, first = distances.mean(axis=1)[:, None], int(grouped[0].max()) + 2
    return LeftOut(numbers[0], numbers[1:first], numbers[first:], grouped)


def _weights(rows: tuple[ndarray | slice, ndarray | slice], sizes: tuple[int, int]) -> ndarray:
    return np.concatenate(
        [np.isin(np.arange(size), np.arange(size)[row]) for row, size in zip(rows, sizes, strict=True)]
    )


def _shares(kept: ndarray) -> ndarray:
    shares: ndarray = kept / kept.sum(axis=1, keepdims=True)
    return shares


def _scales(kept: ndarray, oracle: ndarray) -> ndarray:
    shares, values = _shares(kept), oracle.astype(np.float64)
    values = values - values.mean(axis=0)
    count = kept.sum(axis=1, keepdims=True)
    variance = (shares @ values**2 - (shares @ values) ** 2) * count / (count - 1)
    scales: ndarray = np.maximum(np.sqrt(variance), least_scale(oracle))
    return scales

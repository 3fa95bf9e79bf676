"""What a statistic is: one number a model. And a direction that tells two clouds of rows apart: Fisher's, shrunk."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.audits.refutation.arms import Arm, Reading


@dataclass(frozen=True)
class Statistic:
    """``score(arm)`` gives one number a model; which side of a threshold tells the arms apart is chosen later."""

    name: str
    score: Callable[[Arm], Float[ndarray, " models"]]


def along(name: str, reading: Reading, direction: Float[ndarray, " columns"]) -> Statistic:
    """The projection of a reading on a direction, which is brought to length 1."""
    length = np.linalg.norm(direction)
    unit = direction / length if length > 0 else direction
    return Statistic(name, lambda arm: arm.read(reading) @ unit)


def fisher(
    apart: Float[ndarray, " columns"], within: Float[ndarray, "rows columns"], floor: float
) -> Float[ndarray, " columns"]:
    """``(C + floor I)^-1 apart``, up to a factor, with ``C = within^T within / rows``: the direction of Fisher.

    The log-likelihood ratio of two Gaussians of one covariance ``C + floor I`` whose means lie ``apart``, as a function
    of the row, is the projection on it, up to a constant. By the singular values of ``within``, so that there may be
    many more columns than rows. ``floor`` is a variance: of known noise, or what shrinkage adds. Source: Fisher 1936,
    doi:10.1111/j.1469-1809.1936.tb02137.x.

    >>> fisher(np.array([1.0, 1.0]), np.array([[3.0, 0.0]]), 1.0)
    array([0.1, 1. ])
    """
    _, sizes, axes = np.linalg.svd(within, full_matrices=False)
    spread = sizes**2 / max(len(within), 1)
    held = np.divide(spread, spread + floor, out=np.zeros_like(spread), where=spread > 0)
    found: ndarray = apart - axes.T @ (held * (axes @ apart))
    return found


def spread_within(*clouds: Float[ndarray, "_rows columns"]) -> Float[ndarray, "rows columns"]:
    """The rows of all clouds, each less the mean of its own."""
    return np.concatenate([rows - rows.mean(axis=0) for rows in clouds])


def shrunk_floor(within: Float[ndarray, "rows columns"]) -> float:
    """The floor by which :func:`fisher` has the covariance of Ledoit and Wolf, up to a factor; 0 of what never varies.

    They take ``(1 - a) C + a v I`` with v the mean variance, so the floor is ``a v / (1 - a)``; where a is 1, a floor
    so high that nothing else counts. Source: Ledoit and Wolf 2004, doi:10.1016/S0047-259X(03)00096-4.
    """
    from sklearn.covariance import ledoit_wolf_shrinkage  # a second to import

    variance = float(np.mean(within**2))
    if variance == 0:
        return 0.0
    share = float(ledoit_wolf_shrinkage(within, assume_centered=True))
    return variance * share / max(1 - share, 1e-9)

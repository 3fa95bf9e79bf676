"""Margins that are the old ones times a number plus another: a bias or a temperature on the output, not forgetting."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray


def beyond_rescaling(after: Float[ndarray, "models examples"], before: Float[ndarray, "models examples"]) -> float:
    """What of a model's move no ``a + b * before`` gives, as a share of the move, root mean squares; the middle model.

    0 where each model's margins are its old ones moved and stretched; 1 where nothing of the move is that. Row i of
    both is one model. On digits honest methods have 0.06 and more; models that did not move have nothing to be shared
    out, and get 1. With fewer than three examples two numbers explain all, and it is 1 as well.

    Source: ours; the residual of least squares.

    >>> before = np.random.default_rng(0).normal(size=(4, 30))
    >>> round(beyond_rescaling(before / 3 - 2, before), 6), beyond_rescaling(before, before)
    (0.0, 1.0)
    """
    if before.shape[1] < 3:
        return 1.0
    one, other = after.astype(np.float64), before.astype(np.float64)
    centred = [side - side.mean(axis=1, keepdims=True) for side in (one, other)]
    power = np.maximum((centred[1] ** 2).sum(axis=1, keepdims=True), 1e-12)
    slope = (centred[0] * centred[1]).sum(axis=1, keepdims=True) / power
    left = np.sqrt(((centred[0] - slope * centred[1]) ** 2).mean(axis=1))
    moved = np.sqrt(((one - other) ** 2).mean(axis=1))
    shares = np.where(moved > 1e-6, left / np.maximum(moved, 1e-6), 1.0)
    return float(np.median(shares))

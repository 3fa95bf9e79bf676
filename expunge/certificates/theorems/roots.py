"""Where a function that grows, or falls, all along crosses 0."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

_TINY, _NONE = 1e-300, 1e300  # a number that is taken for 0, and one that is taken for an infinite one
_EXACT = 4 * float(np.finfo(float).eps)  # as near as brentq goes


def crossing(function: Callable[[float], float], low: float, high: float) -> float:
    """The root between ``low`` and ``high``, to the last digits; values may be infinite.

    >>> crossing(lambda x: x**3 - 8, 0.0, 1e20)
    2.0
    """

    def finite(at: float) -> float:
        return min(max(function(at), -_NONE), _NONE)

    return float(brentq(finite, low, high, xtol=_TINY, rtol=_EXACT, maxiter=2000))

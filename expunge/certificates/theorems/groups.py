"""DP-SGD, read as unlearning: what hides each example hides a group of them, at a price that grows with the group.

A step adds N(0, (z C)^2 I), ``z`` the noise multiplier, to the sum of the gradients of the batch, each clipped to C;
each example is in a batch by chance q, by itself. Unlearning then has nothing to do.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.special import gammaln

from expunge.certificates.theorems.gaussian import epsilon_of
from expunge.certificates.theorems.renyi import least_noise
from expunge.certificates.theorems.statement import Calibration, Needed, Theorem, Values

_NOTHING, _ENDLESS = 1e-12, 1e15  # epsilons of an example that are as good as 0, and as none
_HALVINGS = 60  # of their logarithms, to the last digits
_HIGHEST = 100_000  # order that is tried


def of_group(epsilon: float, delta: float, size: int) -> tuple[float, float]:
    """``(k epsilon, delta (e^(k epsilon) - 1) / (e^epsilon - 1))`` of a group of k, from (epsilon, delta) of one.

    ``epsilon`` and ``delta`` may come from any accountant, as those of opacus. A public port leaves the sum in delta
    out, and has ``delta e^((k - 1) epsilon)``, which is less. Source: Vadhan 2017, lemma 2.2, recollected; its
    sum is not rounded up here.

    >>> epsilon, delta = of_group(0.1, 1e-6, 10)
    >>> epsilon, round(delta, 9)
    (1.0, 1.6338e-05)
    """
    return size * epsilon, delta * math.exp(float(_log_group(np.array([epsilon]), size)[0]))


def renyi_of_group(curve: Callable[[float], float], doublings: int) -> Callable[[float], float]:
    """``alpha -> 3^c curve(2^c alpha)``: the Renyi curve of a group of 2^c, from that of one, for alpha from 2 on.

    Source: Mironov 2017, arXiv:1702.07476, proposition 2.
    """
    return lambda alpha: 3.0**doublings * curve(2.0**doublings * alpha)


def renyi_of_step(alpha: int, multiplier: float, rate: float) -> float:
    """Renyi divergence of whole order alpha of one step, with and without one example.

    ``ln(sum_k C(alpha, k) (1 - q)^(alpha - k) q^k exp((k^2 - k) / (2 z^2))) / (alpha - 1)``.
    Source: Mironov, Talwar and Zhang 2019, arXiv:1908.10530, section 3.3.

    >>> renyi_of_step(2, 1.0, 1.0)  # no chance: a Gaussian's alpha / (2 z^2)
    1.0
    """
    if rate == 1:
        return alpha / (2 * multiplier**2)
    drawn, pairs = _drawn(alpha, rate)
    terms = drawn + pairs / (2 * multiplier**2)
    largest = float(terms.max())
    return max(0.0, largest + math.log(np.exp(terms - largest).sum())) / (alpha - 1)


@lru_cache(maxsize=256)
def _drawn(alpha: int, rate: float) -> tuple[ndarray, ndarray]:
    """Of k from 0 to alpha: the logarithm of the chance that k of alpha are drawn, and ``k^2 - k``."""
    k = np.arange(alpha + 1, dtype=float)
    choose = gammaln(alpha + 1) - gammaln(k + 1) - gammaln(alpha - k + 1)
    return choose + (alpha - k) * math.log1p(-rate) + k * math.log(rate), k * k - k


def epsilon_of_training(multiplier: float, rate: float, steps: int, delta: float, *, group: int = 1) -> float:
    """Epsilon of a group at ``delta``, after ``steps`` steps.

    Without chance in the batches all is one Gaussian, exactly: its ratio is ``k sqrt(steps) / z``. Otherwise the best
    whole order of the Renyi curve, each converted for one example and then for the group (:func:`of_group`).
    """
    if rate == 1:
        return epsilon_of(group * math.sqrt(steps) / multiplier, delta)
    orders = _orders(group)
    curve = np.array([steps * renyi_of_step(int(alpha), multiplier, rate) for alpha in orders])
    return float(np.min(_group_epsilons(orders, curve, delta, group)))


def _orders(group: int) -> Int[ndarray, " orders"]:
    """Whole orders; an order tells something of a group only where it is larger, and little where it is not far so."""
    return np.unique(np.round(group + np.geomspace(1, min(_HIGHEST, 64 + 400 * group), 96)).astype(int))


def _group_epsilons(
    orders: Int[ndarray, " orders"], curve: Float[ndarray, " orders"], delta: float, group: int
) -> Float[ndarray, " orders"]:
    """The epsilon of the group by each order: the root of its delta, which falls where the order is above the group."""
    alpha = orders.astype(float)
    goal, fixed = math.log(delta), (alpha - 1) * np.log1p(-1 / alpha) - np.log(alpha)

    def over(epsilon: ndarray) -> ndarray:
        found: ndarray = (alpha - 1) * (curve - epsilon) + fixed + _log_group(epsilon, group) - goal
        return found

    low, high = (np.full(len(alpha), math.log(each)) for each in (_NOTHING, _ENDLESS))
    none, all_ = over(np.exp(high)) > 0, over(np.exp(low)) <= 0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        above = over(np.exp(middle)) > 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    found: ndarray = np.where(none, np.inf, np.where(all_, 0.0, group * np.exp(high)))
    return found


def _log_group(epsilon: ndarray, group: int) -> ndarray:
    """``ln((e^(k epsilon) - 1) / (e^epsilon - 1))``, at epsilon 0 ``ln k``."""
    safe = np.maximum(epsilon, 1e-12)
    found: ndarray = (group - 1) * safe + np.log(-np.expm1(-group * safe)) - np.log(-np.expm1(-safe))
    return found


def _epsilon(values: Values, sigma: float, delta: float) -> float:
    if not sigma:
        return math.inf
    return epsilon_of_training(sigma, values["q"], round(values["T"]), delta, group=round(values["removed"]))


def _sigma(values: Values, epsilon: float, delta: float) -> float:
    return least_noise(lambda sigma: _epsilon(values, sigma, delta), epsilon)


GROUP = Theorem(
    name="dp-sgd",
    source="Abadi et al. 2016, arXiv:1607.00133; accountant of Mironov et al. 2019, arXiv:1908.10530; group privacy",
    reads=(
        Needed("q", "chance of an example to be in a batch; 1: every batch is all the data", above=0.0, most=1.0),
        Needed("T", "steps of training", least=1.0, most=1e9),
        Needed("removed", "examples that are removed, all requests together", least=1.0, most=10_000.0),
    ),
    conditions=("clipped by example", "sampled batches", "trained with noise", "no buffers"),
    calibration=Calibration(_sigma, _epsilon),
    sequential="removed counts the examples of all requests: the trained model is what is released, once",
    once=True,
)

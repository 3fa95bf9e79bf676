"""Descent-to-Delete: Neel, Roth and Sharifi-Malvajerdi 2021, arXiv:2007.02923: go on with gradient descent, add noise.

The loss is mu-strongly convex and L-smooth, its gradient for each example at most G; I full-batch steps of rate
2 / (L + mu) shrink a distance to the minimum by ``gamma^I``, gamma = (L - mu) / (L + mu).
"""

import math
from collections.abc import Callable

from expunge.certificates.theorems.roots import crossing
from expunge.certificates.theorems.statement import Calibration, Needed, Theorem, Values, all_of_it, analytic
from expunge.errors import BadConstant, BadSetting

_NOTHING = 1e-12  # an epsilon that is none

_CONVEXITY = Needed("mu", "strong convexity of the loss", above=0.0)
_SMOOTHNESS = Needed("L", "Lipschitz constant of the gradient of the loss", above=0.0)
_GRADIENT = Needed("G", "norm of the gradient of the loss of one example, at most")
_RECORDS = Needed("n", "training examples before the first request; at least half of them are kept", least=1.0)
_STEPS = Needed("I", "steps of full-batch gradient descent at each request", least=1.0)
_REMOVED = Needed("removed", "examples that one request removes, at most", least=1.0)


def contraction(mu: float, L: float) -> float:
    """``gamma = (L - mu) / (L + mu)``: what a step of rate 2 / (L + mu) leaves of a distance to the minimum.

    >>> contraction(1.0, 3.0)
    0.5
    """
    if mu > L:
        raise BadConstant(f"mu {mu:g} is above L {L:g}: no loss is more convex than it is smooth")
    return (L - mu) / (L + mu)


def start_radius(mu: float, L: float, G: float, n: float, I: float, removed: float = 1.0) -> float:  # noqa: E741
    """``4 removed G gamma^I / (mu n (1 - gamma^I))``: how near the minimum every state must be, the trained one too.

    A gradient of norm ``mu`` times that is near enough. Derived: a request moves the minimum by at most
    4 removed G / (mu n), which I steps shrink; this is the distance that then stays as it is.
    """
    shrunk: float = contraction(mu, L) ** I
    return 4 * removed * G * shrunk / (mu * n * (1 - shrunk))


def shift(mu: float, L: float, G: float, n: float, I: float, removed: float = 1.0) -> float:  # noqa: E741
    """Twice :func:`start_radius`: from the state after a request to that of retraining, in weights.

    Derived; with the conversion of :func:`sigma_published` it gives the published noise.
    """
    return 2 * start_radius(mu, L, G, n, I, removed)


def sigma_published(shift: float, epsilon: float, delta: float) -> float:
    """``shift / (sqrt(2) (sqrt(ln(1/delta) + epsilon) - sqrt(ln(1/delta))))``.

    With :func:`shift` of one example this is the published ``4 sqrt(2) G gamma^I / (mu n (1 - gamma^I) (...))``, as it
    stands in table 16 of the Rewind-to-Delete paper and in public code. The analytic calibration needs less.
    """
    return shift / (math.sqrt(2) * (math.sqrt(math.log(1 / delta) + epsilon) - math.sqrt(math.log(1 / delta))))


def hidden_room(epsilon: float, delta: float) -> float:
    """``sqrt(2 ln(2/delta) + 3 epsilon) - sqrt(2 ln(2/delta) + 2 epsilon)``, which grows with epsilon."""
    tail = 2 * math.log(2 / delta)
    return math.sqrt(tail + 3 * epsilon) - math.sqrt(tail + 2 * epsilon)


def hidden_steps(mu: float, L: float, d: float, epsilon: float, delta: float) -> float:
    """The least I, as a real number, with which noise may stay in the state that is carried on.

    ``ln(sqrt(2 d) / ((1 - gamma) (sqrt(2 ln(2/delta) + epsilon) - sqrt(2 ln(2/delta))))) / ln(1 / gamma)``.
    Source: as public code of the Langevin unlearning paper has it; the paper's own text was not read.
    """
    gamma, tail = contraction(mu, L), 2 * math.log(2 / delta)
    if gamma == 0:
        return 1.0
    room = math.sqrt(tail + epsilon) - math.sqrt(tail)
    return math.log(math.sqrt(2 * d) / ((1 - gamma) * room)) / math.log(1 / gamma)


def _shift(values: Values) -> float:
    mu, L, G, n, steps, removed = (values[name] for name in ("mu", "L", "G", "n", "I", "removed"))
    return shift(mu, L, G, n, steps, removed)


def _hidden_sigma(values: Values, epsilon: float, delta: float) -> float:
    least = hidden_steps(values["mu"], values["L"], values["d"], epsilon, delta)
    if values["I"] < least:
        raise BadSetting(
            f"I {values['I']:g}: at epsilon {epsilon:g} and delta {delta:g} the state may keep its noise from "
            f"{math.ceil(least)} steps on; take so many, or a larger epsilon"
        )
    return _shift(values) / hidden_room(epsilon, delta)


def _hidden_epsilon(values: Values, sigma: float, delta: float) -> float:
    drift = _shift(values)
    if drift and not sigma:
        return math.inf
    by_noise = _least_epsilon(lambda epsilon: hidden_room(epsilon, delta) - (drift / sigma if drift else 0.0))
    mu, L, d, steps = (values[name] for name in ("mu", "L", "d", "I"))
    by_steps = _least_epsilon(lambda epsilon: steps - hidden_steps(mu, L, d, epsilon, delta))
    return max(by_noise, by_steps)


def _least_epsilon(spare: Callable[[float], float]) -> float:
    """The least epsilon from which on ``spare``, which grows with it, is not below 0."""
    low = high = 1.0
    while spare(high) < 0:
        high *= 4
    while spare(low) >= 0:
        low /= 4
        if low < _NOTHING:
            return 0.0
    return math.exp(crossing(lambda power: spare(math.exp(power)), math.log(low), math.log(high)))


_PLAIN = ("smooth", "strongly convex", "bounded gradients", "full batch", "plain steps", "near the minimum")
_SEQUENTIAL = "every request costs the same noise, however many there were, while at least half of the examples remain"
_SOURCE = "Neel et al. 2021, arXiv:2007.02923"
_READS = (_CONVEXITY, _SMOOTHNESS, _GRADIENT, _RECORDS, _STEPS, _REMOVED)

DESCENT = Theorem(
    name="descent-to-delete",
    source=f"{_SOURCE}; several examples at once and the analytic calibration: derived",
    reads=_READS,
    conditions=(*_PLAIN, "no buffers", "no chance"),
    calibration=analytic(_shift),
    formula_of=_shift,
    spread_of=all_of_it,
    sequential=f"{_SEQUENTIAL}; the noise is on what is released, the state is carried on without it and kept secret",
)
HIDDEN_STATE = Theorem(
    name="descent-to-delete-hidden-state",
    source=f"{_SOURCE}; as public code of Chien et al. 2024, arXiv:2401.10371, has it",
    reads=(*_READS, Needed("d", "parameters", least=1.0)),
    conditions=(*_PLAIN, "no buffers", "no chance"),
    calibration=Calibration(_hidden_sigma, _hidden_epsilon),
    formula_of=_shift,
    spread_of=all_of_it,
    sequential=f"{_SEQUENTIAL}; the state carries its noise on, so that all that is kept is indistinguishable too",
)

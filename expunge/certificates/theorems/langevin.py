"""Langevin unlearning: Chien et al. 2024, arXiv:2401.10371: training is noisy gradient descent, unlearning goes on.

A step is ``w <- w - eta grad + N(0, 2 eta sigma^2 I)``, over all the data; the loss is mu-strongly convex and
L-smooth, the gradient of each example at most G.
"""

import math
from collections.abc import Sequence

from expunge.certificates.theorems.renyi import epsilon_mironov, epsilon_of_curve, least_noise
from expunge.certificates.theorems.statement import Calibration, Needed, Theorem, Values
from expunge.errors import BadConstant


def trained(alpha: float, sigma: float, mu: float, G: float, *, n: float, removed: float = 1.0) -> float:
    """``4 alpha removed^2 G^2 / (mu sigma^2 n^2)``: Renyi divergence of order alpha of training with and without them.

    Once training has gone on for as long as its start is remembered. Source: as the authors' code has it.
    Of training that is as long as one likes, from first weights of one law, and of the steps of a first request after
    it, privacy amplification by iteration gives at most half of :func:`unlearned`, derived: a step of rate up to 1 / L
    shrinks distances by ``c = 1 - eta mu``, the two gradients differ by at most ``2 removed G / n``, so
    ``alpha removed^2 G^2 / (mu sigma^2 n^2) (1 + c) c^(2K) (1 - c^T)^2 / (1 - c^(2(T + K)))`` after T and K steps.
    """
    return 4 * alpha * (removed * G) ** 2 / (mu * (sigma * n) ** 2)


def unlearned(
    alpha: float,
    sigma: float,
    steps: Sequence[float],
    *,
    mu: float,
    G: float,
    eta: float,
    n: float,
    removed: float = 1.0,
) -> float:
    """The divergence after the last of several requests, of ``removed`` examples and ``steps`` of unlearning each.

    Of one: ``exp(-eta mu K / alpha)`` times :func:`trained`. Of request s: ``exp(-eta mu K_s / alpha)`` times
    ``(alpha - 1/2) / (alpha - 1) (trained(2 alpha) + that of request s - 1 at 2 alpha)``.
    Source: as the authors' code has it.
    """
    *before, last = steps
    decay = math.exp(-eta * mu * last / alpha)
    start = {"sigma": sigma, "mu": mu, "G": G, "n": n, "removed": removed}
    if not before:
        return decay * trained(alpha, **start)
    earlier = unlearned(2 * alpha, sigma, before, mu=mu, G=G, eta=eta, n=n, removed=removed)
    return decay * (alpha - 0.5) / (alpha - 1) * (trained(2 * alpha, **start) + earlier)


def epsilon_published(sigma: float, delta: float, steps: Sequence[float], **constants: float) -> float:
    """Epsilon by Mironov's conversion, as published; the theorem here takes a conversion that is never worse."""
    return epsilon_of_curve(lambda alpha: unlearned(alpha, sigma, steps, **constants), delta, epsilon_mironov)


def _epsilon(values: Values, sigma: float, delta: float) -> float:
    if not sigma:
        return math.inf
    if values["eta"] * values["L"] > 1:
        raise BadConstant(f"eta {values['eta']:g} is above 1 / L, {1 / values['L']:g}, for which nothing is proven")
    steps = [values["K"]] * round(values["requests"])
    known = {name: values[name] for name in ("mu", "G", "eta", "n", "removed")}
    return epsilon_of_curve(lambda alpha: unlearned(alpha, sigma, steps, **known), delta)


def _sigma(values: Values, epsilon: float, delta: float) -> float:
    return least_noise(lambda sigma: _epsilon(values, sigma, delta), epsilon)


def _last_step(values: Values, sigma: float) -> float:
    return sigma * math.sqrt(2 * values["eta"])


LANGEVIN = Theorem(
    name="langevin",
    source="Chien et al. 2024, arXiv:2401.10371, strongly convex case, as the authors' code has it",
    reads=(
        Needed("mu", "strong convexity of the loss", above=0.0),
        Needed("L", "Lipschitz constant of the gradient of the loss", above=0.0),
        Needed("G", "norm of the gradient of the loss of one example, at most", above=0.0),
        Needed("eta", "rate of a step, at most 1 / L", above=0.0),
        Needed("n", "training examples", least=1.0),
        Needed("removed", "examples that one request removes, at most", least=1.0),
        Needed("K", "steps of unlearning at each request"),
        Needed("requests", "requests that were served, this one too", least=1.0, most=64.0),
    ),
    conditions=(
        *("smooth", "strongly convex", "bounded gradients", "full batch", "plain steps"),
        *("trained with noise", "converged", "no buffers", "no chance"),
    ),
    calibration=Calibration(_sigma, _epsilon),
    spread_of=_last_step,
    sequential="the divergences of all requests are carried on; every released state is the one that is carried on",
)

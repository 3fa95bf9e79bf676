"""Rewind-to-Delete: Mu and Klabjan 2025, arXiv:2409.09778: go back to a kept step of training, go on without the data.

Training takes T full-batch steps of rate eta; unlearning starts from the weights after step T - K, takes K steps on
what is retained, and adds noise. The loss may be non-convex; its gradient is L-Lipschitz, and that of each example is
at most G.
"""

import math

from expunge.certificates.theorems.statement import Needed, Theorem, Values, all_of_it, analytic
from expunge.errors import BadConstant


def growth(L: float, eta: float, T: float, K: float) -> float:
    """``h(K) = ((1 + eta L)^(T - K) - 1) (1 + eta L)^K``: 0 where all of training is done anew, K = T.

    Derived, in the form that the reference of this library has; the paper's own display was not read.

    >>> growth(L=1.0, eta=1.0, T=3, K=1)
    6.0
    """
    if K > T:
        raise BadConstant(f"K {K:g} is above T {T:g}: training has no step to go back to")
    step = math.log1p(eta * L)
    try:
        return math.expm1((T - K) * step) * math.exp(K * step)
    except OverflowError:
        return math.inf


def shift(L: float, G: float, eta: float, *, n: float, removed: float, T: float, K: float) -> float:
    """``2 removed G h(K) / (L n)``: from unlearned to retrained weights; the start of both is the same.

    Derived: the mean gradients of the two data sets differ by at most 2 removed G / n, which each step of training adds
    eta times, and every step of either kind stretches a distance by at most 1 + eta L.
    """
    return 2 * removed * G / (L * n) * growth(L, eta, T, K)


def _shift(values: Values) -> float:
    known = {name: values[name] for name in ("n", "removed", "T", "K")}
    found = shift(values["L"], values["G"], values["eta"], **known)
    if not math.isfinite(found):
        raise BadConstant(
            f"eta L T = {values['eta'] * values['L'] * values['T']:g} stretches distances beyond all numbers; "
            "take a smaller rate, fewer steps, or K = T"
        )
    return found


REWIND = Theorem(
    name="rewind-to-delete",
    source="Mu and Klabjan 2025, arXiv:2409.09778; h(K) derived",
    reads=(
        Needed("L", "Lipschitz constant of the gradient of the loss", above=0.0),
        Needed("G", "norm of the gradient of the loss of one example, at most"),
        Needed("eta", "rate of a step", above=0.0),
        Needed("n", "training examples", least=1.0),
        Needed("removed", "examples that are removed", least=1.0),
        Needed("T", "steps of training", least=1.0),
        Needed("K", "steps of unlearning"),
    ),
    conditions=(
        "smooth",
        "bounded gradients",
        "full batch",
        "plain steps",
        "kept checkpoint",
        "no buffers",
        "no chance",
    ),
    calibration=analytic(_shift),
    formula_of=_shift,
    spread_of=all_of_it,
    sequential="removed counts the examples of all requests so far, each request starts from the kept checkpoint",
)

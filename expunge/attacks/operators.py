"""Unlearning as a function that can be differentiated: what an attacker plans with.

Each operator gives the weights after the removal of weighted points, ``theta_u(omega, x)``, of all models at once:
``omega`` says how much of each point is removed, 1 for whole; gradients flow back into ``omega``, into the points and
into what is to stand in their place. Tests hold them to be, of whole points, the methods of the same names.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.autograd import Function
from torch.func import functional_call

from expunge.ensembles.device import exact_arithmetic
from expunge.ensembles.ensemble import Ensemble
from expunge.methods.parts.curvature import Product
from expunge.methods.parts.double_backward import run
from expunge.methods.parts.inverse import conjugate_gradients
from expunge.methods.parts.per_sample import flat_weights, in_parts
from expunge.methods.parts.rows import in_one_row

Weights = Float[Tensor, "models d"]
Losses = Callable[[Tensor, Tensor], Tensor]  # outputs and labels (models, n, ...) -> losses (models, n)


@dataclass(frozen=True, eq=False)
class Points:
    """Points of each model: inputs ``(models, n, ...)``, labels and how much of each is removed, ``(models, n)``.

    ``instead``, where it is not None, are inputs that are to stand in their place, under the same labels; ``places``,
    where it is known, says which of the attacker's records they are.
    """

    x: Shaped[Tensor, "models n ..."]
    y: Shaped[Tensor, "models n"]
    omega: Float[Tensor, "models n"]
    instead: Shaped[Tensor, "models n ..."] | None = None
    places: Int[Tensor, "models n"] | None = None


Gradient = Callable[[Tensor, Tensor, Tensor], Weights]  # of inputs, labels and omega: sum_p omega_p grad l(z_p)


@runtime_checkable
class Operator(Protocol):
    """The weights after points are removed; from ``start`` on, where earlier removals have left the models there."""

    def __call__(self, points: Points, start: Weights | None = None) -> Weights: ...


class _Stacked(nn.Module):
    """A stacked network, run so that it can be differentiated twice."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return run(self.network, x)


def outputs_at(ensemble: Ensemble, weights: Weights, x: Shaped[Tensor, "models n ..."]) -> Float[Tensor, "models n c"]:
    """What networks with these weights say, in evaluation mode; gradients flow into ``weights`` and ``x``."""
    names = [f"network.{name}" for name, _ in ensemble.network.named_parameters()]
    parts = dict(zip(names, in_parts(ensemble, weights), strict=True))
    with exact_arithmetic():
        said: Tensor = functional_call(_Stacked(ensemble.network), parts, (x,))
    return said


def cross_entropies(
    logits: Float[Tensor, "models n c"], labels: Int[Tensor, "models n"], smoothing: float = 0.0
) -> Float[Tensor, "models n"]:
    """The cross-entropy of each example, nats, on labels smoothed as the models' recipe has it."""
    return F.cross_entropy(logits.transpose(1, 2), labels, reduction="none", label_smoothing=smoothing)


def weighted_gradient(
    ensemble: Ensemble,
    x: Tensor,
    y: Tensor,
    omega: Tensor,
    losses: Losses = cross_entropies,
    start: Weights | None = None,
) -> Weights:
    """``sum_p omega_p grad l(z_p; theta)`` at the weights of ``ensemble``, or at ``start``; it can be differentiated.

    Also in ``start``, where that is part of a graph.
    """
    with torch.enable_grad(), exact_arithmetic():
        if start is None:
            value = (omega * losses(run(ensemble.network, x), y)).sum()
            return _gradient_of(value, ensemble)
        point = start if start.requires_grad else start.detach().requires_grad_()
        value = (omega * losses(outputs_at(ensemble, point, x), y)).sum()
        (found,) = torch.autograd.grad(value, point, create_graph=True)
        return found


def _gradient_of(value: Tensor, ensemble: Ensemble) -> Weights:
    """In all weights; that in frozen ones is 0."""
    moved = [each for each in ensemble.parameters() if each.requires_grad]
    found = iter(torch.autograd.grad(value, moved, create_graph=True, materialize_grads=True))
    return in_one_row(next(found) if each.requires_grad else torch.zeros_like(each) for each in ensemble.parameters())


def change(points: Points, gradient: Gradient) -> Weights:
    """``sum_p omega_p (grad l(z_p) - grad l(z'_p))``, the last where something is to stand in the points' place."""
    found = gradient(points.x, points.y, points.omega)
    return found if points.instead is None else found - gradient(points.instead, points.y, points.omega)


def first_order(ensemble: Ensemble, tau: float, *, losses: Losses = cross_entropies, zeros: bool = False) -> Operator:
    """``theta + tau sum_p omega_p (grad l(z_p) - grad l(z'_p))``; with ``zeros`` in place of a ``z'`` that lacks.

    Source: Warnecke et al. 2023, arXiv:2108.11577, as the method ``first-order`` has it.
    """
    deployed = flat_weights(ensemble)

    def removed(points: Points, start: Tensor | None = None) -> Tensor:
        nothing = points.instead is None and zeros
        full = Points(points.x, points.y, points.omega, torch.zeros_like(points.x)) if nothing else points
        found = change(full, _gradient_at(ensemble, losses, start))
        return (deployed if start is None else start) + tau * found

    return removed


def _gradient_at(ensemble: Ensemble, losses: Losses, start: Tensor | None) -> Gradient:
    def gradient(x: Tensor, y: Tensor, omega: Tensor) -> Tensor:
        return weighted_gradient(ensemble, x, y, omega, losses, start)

    return gradient


def second_order(ensemble: Ensemble, inverse: "Inverse", retain: int, *, losses: Losses = cross_entropies) -> Operator:
    """``theta + H^-1 sum_p omega_p (grad l(z_p) - grad l(z'_p)) / retain``, with ``H`` of the mean over what is kept.

    ``H`` is held fixed: that it loses the points that are asked for, or that the weights have moved, is no part of the
    derivative.

    Source: Warnecke et al. 2023, arXiv:2108.11577, as the method ``second-order`` has it.
    """
    deployed = flat_weights(ensemble)

    def removed(points: Points, start: Tensor | None = None) -> Tensor:
        found = change(points, _gradient_at(ensemble, losses, start)) / retain
        step: Tensor = _Solve.apply(found, inverse)  # type: ignore[no-untyped-call]
        return (deployed if start is None else start) + step

    return removed


def unrolling_sgd(
    ensemble: Ensemble, first: Ensemble, factor: float, batch_size: int, *, losses: Losses = cross_entropies
) -> Operator:
    """``theta + factor sum_p omega_p (grad l(z_p; theta_0) - grad l(z'_p; theta_0))``, ``theta_0`` the first weights.

    In training mode and in batches of at most ``batch_size``, as training had them; ``factor`` is ``eta m / b``.

    Source: Thudi et al. 2022, arXiv:2109.13398, as the method ``unrolling-sgd`` has it.
    """
    deployed = flat_weights(ensemble)

    def gradient(x: Tensor, y: Tensor, omega: Tensor) -> Tensor:
        parts = -(-y.shape[1] // batch_size)
        split = zip(*(each.tensor_split(parts, dim=1) for each in (x, y, omega)), strict=True)
        each = [weighted_gradient(first.copy().train(), a, b, c, losses) for a, b, c in split]
        return torch.stack(each).sum(0)

    def removed(points: Points, start: Tensor | None = None) -> Tensor:
        return (deployed if start is None else start) + factor * change(points, gradient)

    return removed


def shards(
    votes: Ensemble, members: Sequence[Ensemble], tau: float, within: Callable[[Points, int], Tensor]
) -> Operator:
    """A surrogate of SISA: each constituent moves by the first-order update of those points that lie in its shard.

    Retraining a constituent has no derivative; to first order its weights move along the gradients of what it loses,
    which says what points to ask for, not how far it moves. ``within(points, shard)`` is 1 where a point lies in a
    shard, else 0. Derived here.
    """
    deployed = flat_weights(votes)

    def removed(points: Points, start: Tensor | None = None) -> Tensor:
        moved = []
        for shard, member in enumerate(members):
            mine = points.omega * within(points, shard)
            moved.append(weighted_gradient(member, points.x, points.y, mine))
        return (deployed if start is None else start) + tau * torch.cat(moved, dim=1)

    return removed


def in_rounds(operator: Operator, rounds: int) -> Operator:
    """The points removed in so many rounds, as evenly as can be, each from where the one before has left the models."""

    def removed(points: Points, start: Tensor | None = None) -> Tensor:
        parts = [each.tensor_split(rounds, dim=1) for each in (points.x, points.y, points.omega)]
        instead = [None] * rounds if points.instead is None else points.instead.tensor_split(rounds, dim=1)
        weights = start
        for x, y, omega, new in zip(*parts, instead, strict=True):
            weights = operator(Points(x, y, omega, new), weights)
        assert weights is not None  # there is at least one round
        return weights

    return removed


@runtime_checkable
class Inverse(Protocol):
    """A linear map that stands for ``H^-1``, and its transpose."""

    def times(self, v: Weights) -> Weights: ...

    def transposed(self, v: Weights) -> Weights: ...


@dataclass(frozen=True, eq=False)
class Lissa:
    """LiSSA on these products: ``u <- v + u - (C u + D u) / scale``, as :func:`~expunge.methods.parts.inverse.lissa`.

    Each term has a sample of its own, so the map is not symmetric: its transpose goes through them backwards.
    """

    products: Sequence[Product]
    damping: float | Float[Tensor, " d"]
    scale: float

    def times(self, v: Weights) -> Weights:
        u = v
        for product in self.products:
            u = v + self._shrunk(product, u)
        return u / self.scale

    def transposed(self, v: Weights) -> Weights:
        total = term = v
        for product in reversed(self.products):
            term = self._shrunk(product, term)
            total = total + term
        return total / self.scale

    def _shrunk(self, product: Product, u: Weights) -> Weights:
        return u - (product(u) + self.damping * u) / self.scale


@dataclass(frozen=True, eq=False)
class ConjugateGradients:
    """``(C + D)^-1`` by conjugate gradients: symmetric as far as they have converged."""

    product: Product
    damping: float | Float[Tensor, " d"]
    iterations: int

    def times(self, v: Weights) -> Weights:
        return conjugate_gradients(self.product, v, damping=self.damping, iterations=self.iterations)

    def transposed(self, v: Weights) -> Weights:
        return self.times(v)


class _Solve(Function):
    """``H^-1 v`` as a linear function of ``v``, differentiated without a graph of its iterations."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, inverse: Inverse) -> Tensor:
        ctx.inverse = inverse
        return inverse.times(v)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        return ctx.inverse.transposed(slopes[0]), None

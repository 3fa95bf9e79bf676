"""Unlearning as a function that can be differentiated: what an attacker plans with.

Each operator gives the weights after the removal of weighted points, ``theta_u(omega, x)``, of all models at once:
``omega`` says how much of each point is removed, 1 for whole; gradients flow back into ``omega`` and into the points.
With whole points they are the methods of the same names, which tests hold them to. Formulas: section "source" of each.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.func import functional_call

from expunge.ensembles.device import exact_arithmetic
from expunge.ensembles.ensemble import Ensemble
from expunge.methods.parts.double_backward import run
from expunge.methods.parts.per_sample import flat_weights, in_parts
from expunge.methods.parts.rows import in_one_row

Weights = Float[Tensor, "models d"]


@dataclass(frozen=True, eq=False)
class Points:
    """Points of each model: inputs ``(models, n, ...)``, labels and how much of each is removed, ``(models, n)``."""

    x: Shaped[Tensor, "models n ..."]
    y: Int[Tensor, "models n"]
    omega: Float[Tensor, "models n"]


Operator = Callable[[Points], Weights]  # the weights after these points are removed


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


def example_losses(
    logits: Float[Tensor, "models n c"], labels: Int[Tensor, "models n"], smoothing: float = 0.0
) -> Float[Tensor, "models n"]:
    """Cross-entropy of each example, nats, on labels smoothed as the models' recipe has it."""
    return F.cross_entropy(logits.transpose(1, 2), labels, reduction="none", label_smoothing=smoothing)


def weighted_gradient(ensemble: Ensemble, points: Points, smoothing: float = 0.0) -> Weights:
    """``sum_p omega_p grad l(z_p; theta)`` at the weights of ``ensemble``; it can be differentiated in the points."""
    own = list(ensemble.parameters())
    with torch.enable_grad(), exact_arithmetic():
        losses = example_losses(run(ensemble.network, points.x), points.y, smoothing)
        value = (points.omega * losses).sum()
        gradients = torch.autograd.grad(value, own, create_graph=True, materialize_grads=True)
        return in_one_row(gradients)


def first_order(ensemble: Ensemble, tau: float, *, smoothing: float = 0.0, zeros: bool = False) -> Operator:
    """``theta + tau sum_p omega_p grad l(z_p)``; with ``zeros`` less the same at the points without their features.

    Source: Warnecke et al. 2023, arXiv:2108.11577, as the method ``first-order`` has it.
    """
    start = flat_weights(ensemble)

    def removed(points: Points) -> Weights:
        change = weighted_gradient(ensemble, points, smoothing)
        if zeros:
            change = change - weighted_gradient(
                ensemble, Points(torch.zeros_like(points.x), points.y, points.omega), smoothing
            )
        return start + tau * change

    return removed

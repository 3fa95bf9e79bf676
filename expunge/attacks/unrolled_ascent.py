"""Gradient ascent on requested points as a function of them: what an attacker differentiates through."""

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.attacks.operators import Operator, Points, Weights, cross_entropies, outputs_at
from expunge.ensembles.ensemble import Ensemble
from expunge.methods.parts.per_sample import flat_weights
from expunge.methods.zoo.gradient_ascent import GradientAscent


def unrolled_ascent(ensemble: Ensemble, config: GradientAscent, smoothing: float = 0.0) -> Operator:
    """``v <- m v + grad mean_p omega_p l(z_p; theta)``, ``theta <- theta + lr v``, ``epochs`` times, from the weights.

    The method ``gradient-ascent`` where a request fits a batch and no layer depends on the batch; BatchNorm is run in
    evaluation mode here, in training mode there, so of networks that have it this is an approximation.
    """
    held = flat_weights(ensemble)

    def removed(points: Points, start: Weights | None = None) -> Weights:
        begun = held if start is None else start
        weights, velocity = begun.clone().requires_grad_(), torch.zeros_like(begun)
        for _ in range(config.epochs):
            with torch.enable_grad():
                losses = cross_entropies(outputs_at(ensemble, weights, points.x), points.y, smoothing)
                climb = _slope((points.omega * losses).mean(1), weights)
                velocity = config.momentum * velocity + climb
                weights = weights + config.lr * velocity
        return weights

    return removed


def _slope(values: Float[Tensor, " models"], weights: Weights) -> Weights:
    (found,) = torch.autograd.grad(values.sum(), weights, create_graph=True)
    return found

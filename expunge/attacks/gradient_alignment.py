"""Points whose gradients point where an attacker wants weights to go: poison by gradient matching."""

from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from expunge.attacks.bilevel import perturbed
from expunge.attacks.lab.owners import Range
from expunge.attacks.operators import Points, Weights, cross_entropies, weighted_gradient
from expunge.ensembles.ensemble import Ensemble


def misalignment(gradient: Float[Tensor, "models d"], wanted: Float[Tensor, "models d"]) -> Float[Tensor, " models"]:
    """``1 - cos(gradient, wanted)`` of each model: 0 where they point the same way, 2 where they oppose."""
    return 1 - F.cosine_similarity(gradient, wanted, dim=1)


def aligned(
    models: Ensemble,
    base: Shaped[Tensor, "models n ..."],
    labels: Int[Tensor, "models n"],
    target: Shaped[Tensor, "models t ..."],
    wanted: Int[Tensor, "models t"],
    within: Range,
    *,
    eps: float,
    steps: int,
    smoothing: float = 0.0,
) -> Shaped[Tensor, "models n ..."]:
    """``base`` moved by up to ``eps`` of the range so that it trains like the targets under the wanted labels.

    Minimises ``1 - cos(grad l(target, wanted), sum_i grad l(x_i + delta_i, y_i))`` at the weights of ``models``, by the
    signed projected descent of :func:`~expunge.attacks.bilevel.perturbed`. Source: Geiping et al. 2021,
    arXiv:2009.02276, as Di et al. 2023 use it, for poison and for camouflage; the sign descent is ours.
    """
    losses = partial(cross_entropies, smoothing=smoothing)
    whole = torch.ones(wanted.shape, dtype=base.dtype)
    direction = weighted_gradient(models, target, wanted, whole, losses).detach()

    def operator(points: Points, start: Weights | None = None) -> Weights:
        return weighted_gradient(models, points.x, points.y, points.omega, losses, start)

    objective = partial(misalignment, wanted=direction)
    return perturbed(operator, objective, base, labels, within, eps, planners=1, steps=steps)

"""The ball around 0 that a model's weights are projected on: all its weights together, each model by itself."""

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.errors import OutsideBall
from expunge.methods.parts.norms import l2_norm


@torch.no_grad()
def weight_norms(ensemble: Ensemble) -> Float[Tensor, " models"]:
    """``||w||_2`` of each model over all its parameters, one that is tied counted once; in float64."""
    return l2_norm(each.detach().double() for each in ensemble.parameters())


@torch.no_grad()
def project(student: Ensemble, radius: float) -> Ensemble:
    """``w <- w min(1, radius / ||w||)`` in place, model by model: the nearest weights of norm at most ``radius``.

    Rounding takes no model out again: those that were outside end within a few units of the last place below
    ``radius``. Zeros stay, so masks hold.
    """
    norms = weight_norms(student)
    outside = norms > radius
    for each in student.parameters():
        room = radius * (1 - 2 * torch.finfo(each.dtype).eps)  # a product is off by half a unit of the last place
        shrink = torch.where(outside, room / torch.where(outside, norms, 1), 1).to(each.dtype)
        each.mul_(shrink.view(-1, *(1,) * (each.ndim - 1)))
    return student


def require_inside(ensemble: Ensemble, radius: float) -> None:
    """Raise :class:`~expunge.errors.OutsideBall` where a model's weights lie beyond ``radius``."""
    norms = weight_norms(ensemble).cpu()
    rows = (norms > radius).nonzero().flatten().tolist()
    if rows:
        numbers = [ensemble.origin.models[row] for row in rows]
        raise OutsideBall(
            f"expected weights of norm at most radius = {radius:g}, got {norms[rows[0]]:.4g}, models {numbers}: the "
            "bound does not hold there; raise radius, or train on the ball"
        )

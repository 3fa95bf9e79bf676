"""Inputs near examples that models take for something else: gradients in the inputs, and steps within a ball."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble


def for_each_model(x: Tensor, models: int) -> Float[Tensor, "models batch ..."]:
    """A copy of the inputs for each model, as numbers that can be moved a little."""
    return x.to(torch.promote_types(x.dtype, torch.float32)).repeat(models, *[1] * x.ndim)


def input_slope(
    original: Ensemble,
    inputs: Float[Tensor, "models batch ..."],
    labels: Int[Tensor, "models batch"],
    loss: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """The outputs for ``inputs``, and the gradient of the mean ``loss`` of each model's batch in them.

    In evaluation mode an input's loss depends on no other, so its gradient is its own, but for the factor of the mean.
    """
    inputs = inputs.detach().requires_grad_()
    outputs = original(inputs)
    (slope,) = torch.autograd.grad(loss(outputs, labels).sum(), inputs)
    return outputs.detach(), slope


def of_length(moves: Float[Tensor, "models batch ..."], length: float) -> Float[Tensor, "models batch ..."]:
    """``length m / ||m||_2`` of each input's move m; one of length 0 stays 0.

    >>> of_length(torch.tensor([[[3.0, 4.0], [0.0, 0.0]]]), 10.0)
    tensor([[[6., 8.],
             [0., 0.]]])
    """
    norms = _norms(moves)
    return moves * torch.where(norms > 0, length / norms, 0.0)


def within(
    inputs: Float[Tensor, "models batch ..."], centres: Float[Tensor, "models batch ..."], radius: float
) -> Float[Tensor, "models batch ..."]:
    """The inputs, each drawn back to its l2 ball of ``radius`` around its centre where it lies outside.

    >>> within(torch.tensor([[[3.0, 5.0], [0.5, 1.0]]]), torch.tensor([[[0.0, 1.0], [0.0, 1.0]]]), 1.0)
    tensor([[[0.6000, 1.8000],
             [0.5000, 1.0000]]])
    """
    moves = inputs - centres
    norms = _norms(moves)
    return centres + moves * torch.where(norms > radius, radius / norms, 1.0)


def _norms(moves: Tensor) -> Tensor:
    """Of each input's move, in a shape that goes with the moves."""
    norms: Tensor = torch.linalg.vector_norm(moves.flatten(2), dim=2)
    return norms.view(*moves.shape[:2], *[1] * (moves.ndim - 2))

"""Gradients as one vector a model, and steps with noise, for methods whose theorem says what a step is."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.device import exact_arithmetic
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch
from expunge.methods.parts.per_sample import flat_weights, in_parts
from expunge.methods.parts.rows import in_one_row
from expunge.suites.target import Loss

Gradient = Callable[[Ensemble], Float[Tensor, "models d"]]


def batch_gradient(student: Ensemble, batch: Batch, loss: Loss) -> Float[Tensor, "models d"]:
    """Of the mean ``loss`` of each model's batch, in the mode that ``student`` is in."""
    own = list(student.parameters())
    with torch.enable_grad(), exact_arithmetic():
        value = loss(student(batch[0]), batch[1]).sum()
        return in_one_row(torch.autograd.grad(value, own, materialize_grads=True))


def clipped(vectors: Float[Tensor, "models d"], most: float) -> Float[Tensor, "models d"]:
    """``v min(1, most / ||v||)``: each model's vector by itself, its norm at most ``most``."""
    norms = vectors.double().norm(dim=1, keepdim=True)
    shrink = torch.where(norms > most, most / torch.where(norms > 0, norms, 1), 1)
    return vectors * shrink.to(vectors.dtype)


@torch.no_grad()
def write_weights(student: Ensemble, weights: Float[Tensor, "models d"]) -> None:
    """Put these weights into ``student``, in the order of :func:`~expunge.methods.parts.per_sample.flat_weights`."""
    for parameter, part in zip(student.parameters(), in_parts(student, weights), strict=True):
        parameter.copy_(part)
    student.project()  # what is masked stays 0


def move(student: Ensemble, change: Float[Tensor, "models d"], *, keep: float = 1.0) -> None:
    """``w <- keep w + change`` in place, computed in float64."""
    write_weights(student, keep * flat_weights(student).double() + change.double())


def add_noise(student: Ensemble, sigma: float, rng: Generators) -> None:
    """``w <- w + N(0, sigma^2 I)`` in place, of each model's own chance, drawn and added in float64."""
    weights = flat_weights(student)
    noise = rng.normal(weights.shape[1], dtype=torch.float64).to(weights.device)
    write_weights(student, weights.double() + sigma * noise)

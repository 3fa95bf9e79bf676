"""What Proposition 2 of Jia et al. 2023 says sparse models gain, measured in its parts: an order, and no proof."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from expunge.ensembles.device import exact_arithmetic, resident
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.train import cross_entropy
from expunge.errors import MismatchedEnsembles
from expunge.suites import Examples

Vector = dict[str, Tensor]  # one tensor for each parameter, (models, ...)


@dataclass(frozen=True)
class ErrorOrder:
    """The order of the bound and the two of its parts that the mask changes, one number for each model."""

    distance: Float[ndarray, " models"]
    curvature: Float[ndarray, " models"]
    order: Float[ndarray, " models"]


def sparsity_bound(
    trained: Ensemble, first: Ensemble, examples: Examples, rates: Sequence[float], *, iterations: int = 30
) -> ErrorOrder:
    """``eta^2 t ||m (theta_t - theta_0)||_2 sigma(m)``: the order of the bound, whose constants are unknown.

    The proposition bounds by it the distance in weights between models unlearned by one step of gradient ascent and
    retrained ones, for plain SGD. It is no proof of deletion: the constant is not known, momentum and weight decay are
    not in it, and weights that are near need not be models that behave alike. What it can show is whether the order
    falls as the mask gets sparser. Unit: that of the weights; lower is better; oracles have the same order.

    ``sigma(m)`` is read as the largest absolute eigenvalue of the Hessian of the mean cross-entropy over ``examples``,
    in evaluation mode, restricted to the weights that are kept: found by power iteration, so from below.

    Args:
        trained: theta_t; what it masks is m.
        first: theta_0, the same models before their training.
        examples: what the Hessian is taken on: the training examples, or some of them.
        rates: the learning rate of every step of the training; ``eta^2 t`` is the sum of their squares.
        iterations: of the power iteration.

    Returns:
        Distance, curvature and order of each model.

    Source: Jia et al. 2023, arXiv:2304.04934, Proposition 2.
    """
    if trained.origin.models != first.origin.models or trained.origin.digest != first.origin.digest:
        raise MismatchedEnsembles("expected the same models of one suite, trained and before their training")
    start = dict(first.network.named_parameters())
    moved = {name: parameter.detach() - start[name].detach() for name, parameter in _parameters(trained).items()}
    distance = _norms(_masked(trained, moved)).cpu().double().numpy()
    curvature = largest_eigenvalue(trained, examples, iterations=iterations).cpu().double().numpy()
    return ErrorOrder(distance, curvature, float(np.square(rates).sum()) * distance * curvature)


def largest_eigenvalue(ensemble: Ensemble, examples: Examples, *, iterations: int = 30) -> Float[Tensor, " models"]:
    """Largest absolute eigenvalue of the Hessian of the mean cross-entropy over the weights kept, of each model.

    ``||H v||`` after power iteration from a fixed start: never above the true value.
    """
    student, generator = ensemble.copy().eval(), torch.Generator().manual_seed(0)
    examples = resident(examples, student.device)
    start = {
        name: torch.randn(parameter.shape[1:], generator=generator, dtype=parameter.dtype)
        .to(student.device)
        .expand_as(parameter)
        for name, parameter in _parameters(student).items()
    }
    vector = _scaled(_masked(student, start))
    for _ in range(iterations):
        image = _hessian_times(student, examples, vector)
        length = _norms(image)
        vector = _scaled(image)
    return length


def _hessian_times(student: Ensemble, examples: Examples, vector: Vector, batch_size: int = 256) -> Vector:
    """``H v`` for all models at once; models share no parameter, so one sum has the Hessians of all."""
    parameters = _parameters(student)
    total = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    with torch.enable_grad(), exact_arithmetic():
        for x, y in zip(examples.x.split(batch_size), examples.y.split(batch_size), strict=True):
            loss = cross_entropy(student(x), y.expand(len(student), -1)).sum() * (len(y) / len(examples))
            slopes = torch.autograd.grad(loss, list(parameters.values()), create_graph=True)
            along = torch.stack(
                [(slope * vector[name]).sum() for name, slope in zip(parameters, slopes, strict=True)]
            ).sum()
            images = torch.autograd.grad(along, list(parameters.values()), materialize_grads=True)
            for name, image in zip(parameters, images, strict=True):
                total[name] += image
    return _masked(student, total)


def _parameters(ensemble: Ensemble) -> dict[str, Tensor]:
    return dict(ensemble.network.named_parameters())


def _masked(ensemble: Ensemble, vector: Vector) -> Vector:
    masks = ensemble.masks
    return {name: each.masked_fill(~masks[name], 0) if name in masks else each for name, each in vector.items()}


def _norms(vector: Vector) -> Float[Tensor, " models"]:
    lengths: Tensor = torch.cat([each.flatten(1) for each in vector.values()], dim=1).norm(dim=1)
    return lengths


def _scaled(vector: Vector) -> Vector:
    lengths = _norms(vector).clamp(min=torch.finfo(torch.float32).tiny)
    return {name: each / lengths.view(-1, *[1] * (each.ndim - 1)) for name, each in vector.items()}

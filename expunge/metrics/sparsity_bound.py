"""What Proposition 2 of Jia et al. 2023 says sparse models gain, measured in its parts: an order, and no proof."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import normalize

from expunge.ensembles.device import resident
from expunge.ensembles.ensemble import Ensemble
from expunge.errors import BadSetting, MismatchedEnsembles
from expunge.methods.parts.curvature import hessian
from expunge.methods.parts.per_sample import flat_weights
from expunge.suites import Examples

Vector = Float[Tensor, "models d"]  # the parameters of each model in a row


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
    falls as the mask gets sparser. Unit: that of the weights; lower is better.

    ``sigma(m)`` is read as the largest absolute eigenvalue of the Hessian of the mean cross-entropy over ``examples``,
    in evaluation mode, restricted to the weights that are kept: found by power iteration, so from below.

    Args:
        trained: theta_t; what it masks is m.
        first: theta_0, the same models before their training.
        examples: what the Hessian is taken on: the training examples, or some of them.
        rates: the learning rate of every step of the training; ``eta^2 t`` is the sum of their squares.
        iterations: of the power iteration, at least 1.

    Returns:
        Distance, curvature and order of each model.

    Source: Jia et al. 2023, arXiv:2304.04934, Proposition 2.
    """
    if trained.origin.models != first.origin.models or trained.origin.digest != first.origin.digest:
        raise MismatchedEnsembles("expected the same models of one suite, trained and before their training")
    moved = (flat_weights(trained) - flat_weights(first)) * _kept(trained)
    distance = moved.norm(dim=1).cpu().double().numpy()
    curvature = largest_eigenvalue(trained, examples, iterations=iterations).cpu().double().numpy()
    return ErrorOrder(distance, curvature, float(np.square(rates).sum()) * distance * curvature)


def largest_eigenvalue(ensemble: Ensemble, examples: Examples, *, iterations: int = 30) -> Float[Tensor, " models"]:
    """Largest absolute eigenvalue of the Hessian of the mean cross-entropy over the weights kept, of each model.

    ``||H v||`` after power iteration from a fixed start: never above the true value.
    """
    if iterations < 1:
        raise BadSetting(f"expected at least 1 iteration of the power iteration, got {iterations}")
    student, generator = ensemble.copy().eval(), torch.Generator().manual_seed(0)
    examples = resident(examples, student.device)
    start = {
        name: torch.randn(parameter.shape[1:], generator=generator, dtype=parameter.dtype)
        .to(student.device)
        .expand_as(parameter)
        for name, parameter in student.network.named_parameters()
    }
    kept = _kept(student)
    vector = normalize(_flat(start) * kept)
    for _ in range(iterations):
        image = _hessian_times(student, examples, vector) * kept
        vector = normalize(image)
    length: Tensor = image.norm(dim=1)
    return length


def _hessian_times(student: Ensemble, examples: Examples, vector: Vector, batch_size: int = 256) -> Vector:
    """``H v`` of each model, with the graph of one batch in memory at a time."""
    total = torch.zeros_like(vector)
    for x, y in zip(examples.x.split(batch_size), examples.y.split(batch_size), strict=True):
        total += hessian(student, (x, y.expand(len(student), *y.shape)))(vector) * (len(y) / len(examples))
    return total


def _kept(ensemble: Ensemble) -> Vector:
    """1 where a weight is kept, 0 where it is masked."""
    parameters = dict(ensemble.network.named_parameters())
    ones = {name: torch.ones_like(each) for name, each in parameters.items()}
    return _flat({name: ensemble.masks[name].to(one) if name in ensemble.masks else one for name, one in ones.items()})


def _flat(tensors: dict[str, Tensor]) -> Vector:
    return torch.cat([each.flatten(1) for each in tensors.values()], dim=1)

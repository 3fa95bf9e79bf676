"""Some weights of each model apart from the others: the smallest found, and gradients scaled weight by weight."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from expunge.ensembles.ensemble import Ensemble


def smallest(values: Float[Tensor, "models ..."], count: int) -> Bool[Tensor, "models ..."]:
    """True at the ``count`` smallest values of each model: just so many, whatever is equal."""
    flat = values.flatten(1)
    rows = flat.topk(count, dim=1, largest=False).indices
    return torch.zeros_like(flat, dtype=torch.bool).scatter(1, rows, True).view_as(values)


def cut_weights(ensemble: Ensemble) -> int:
    """How many weights of a model its mask holds at zero; as many in every model of a stack."""
    return sum(int((~mask[0]).sum()) for mask in ensemble.masks.values())


def scale_gradients(student: Ensemble, factors: Mapping[str, Tensor]) -> list[RemovableHandle]:
    """Multiply the gradient of each parameter, named as in ``state()``, by its factor, until the hooks are removed."""
    parameters = dict(student.network.named_parameters())
    return [parameters[key].register_hook(_times(factor)) for key, factor in factors.items()]


def _times(factor: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda gradient: gradient * factor

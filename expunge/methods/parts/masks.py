"""Some weights of each model apart from the others: the smallest found, and gradients scaled weight by weight."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from expunge.ensembles.ensemble import Ensemble
from expunge.methods.parts.rows import in_a_row


def smallest(values: Float[Tensor, "models ..."], count: int | Int[Tensor, " models"]) -> Bool[Tensor, "models ..."]:
    """True at the ``count`` smallest values of each model: just so many, whatever is equal."""
    flat = in_a_row(values)
    counts = torch.as_tensor(count, device=flat.device).expand(len(flat))
    rows = flat.topk(int(counts.max()), dim=1, largest=False).indices
    among = torch.arange(rows.shape[1], device=flat.device) < counts[:, None]
    return torch.zeros_like(flat, dtype=torch.bool).scatter(1, rows, among).view_as(values)


def smallest_share(
    values: Float[Tensor, "models ..."], share: float, there: Bool[Tensor, "models ..."] | None = None
) -> Bool[Tensor, "models ..."]:
    """True at this share of each model's values, the smallest; in a sparse model, of those that are ``there``."""
    if there is None:
        return smallest(values, round(share * values[0].numel()))
    counts = (share * in_a_row(there).sum(1).double()).round().long()
    return smallest(values.masked_fill(~there, torch.inf), counts)


def cut_weights(ensemble: Ensemble) -> int:
    """How many weights of a model its mask holds at zero; as many in every model of a stack."""
    return sum(int((~mask[0]).sum()) for mask in ensemble.masks.values())


def scale_gradients(student: Ensemble, factors: Mapping[str, Tensor]) -> list[RemovableHandle]:
    """Multiply the gradient of each parameter, named as in ``state()``, by its factor, until the hooks are removed."""
    parameters = dict(student.network.named_parameters())
    return [parameters[key].register_hook(_times(factor)) for key, factor in factors.items()]


def _times(factor: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda gradient: gradient * factor

"""Stacked tensors as matrices: what a model has of them in a row."""

from collections.abc import Iterable

import torch
from jaxtyping import Shaped
from torch import Tensor


def in_a_row(tensor: Shaped[Tensor, "models ..."]) -> Shaped[Tensor, "models d"]:
    """What each model has of a tensor in a row: of a parameter that is one number a row of one, of an empty one none.

    >>> in_a_row(torch.ones(4)).shape, in_a_row(torch.ones(4, 2, 3)).shape, in_a_row(torch.ones(4, 0)).shape
    (torch.Size([4, 1]), torch.Size([4, 6]), torch.Size([4, 0]))
    """
    return tensor.flatten(1) if tensor.ndim > 1 else tensor[:, None]


def in_one_row(tensors: Iterable[Shaped[Tensor, "models ..."]]) -> Shaped[Tensor, "models d"]:
    """What each model has of all the tensors, one after the other."""
    return torch.cat([in_a_row(each) for each in tensors], dim=1)

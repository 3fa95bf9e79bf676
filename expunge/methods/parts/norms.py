"""Norms of all the weights of a model together, one number for each model."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble


def l1_norm(student: Ensemble) -> Float[Tensor, " models"]:
    """Sum of the absolute values of all parameters, biases and those of BatchNorm too; its slope at 0 is 0."""
    return torch.stack([each.abs().reshape(len(student), -1).sum(1) for each in student.parameters()]).sum(0)


def l2_norm(tensors: Iterable[Tensor]) -> Float[Tensor, " models"]:
    """Of the vector that a model's rows of all the tensors, ``(models, ...)``, make together."""
    return torch.stack([each.reshape(len(each), -1).square().sum(1) for each in tensors]).sum(0).sqrt()

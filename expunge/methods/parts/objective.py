"""The objective that training goes down, ``mean loss + decay / 2 ||w||^2``: its gradient, and Hessian products.

The norm is squared, so that the regulariser's gradient at ``w`` is ``decay w`` and its Hessian ``decay I``. That of
``decay ||w||``, which public code of certified unlearning adds tensor by tensor, has a Hessian that is 0 along ``w``.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.train import draw
from expunge.methods.parts.curvature import Product, gradient_sum, hessian, mean_product, weight_decay
from expunge.methods.parts.per_sample import flat_weights
from expunge.suites.suite import Examples, Split
from expunge.suites.target import Loss

BATCH = 64  # examples of a model that pass through it at once, where a mean over many is asked for


def objective_gradient(
    ensemble: Ensemble, examples: Examples, loss: Loss, decay: Float[Tensor, " d"]
) -> Float[Tensor, "models d"]:
    """Of the mean ``loss`` of ``examples`` and of the regulariser, at each model's weights, in evaluation mode."""
    return gradient_sum(ensemble, examples, loss) / len(examples) + decay * flat_weights(ensemble)


def objective_hessian(
    ensemble: Ensemble,
    examples: Examples,
    rows: Int[Tensor, "models n"],
    loss: Loss,
    decay: Float[Tensor, " d"],
    *,
    batch_size: int = BATCH,
) -> Product:
    """``v -> (H + diag(decay)) v``, ``H`` the Hessian of the mean ``loss`` of each model's examples at ``rows``."""
    parts = [(hessian(ensemble, batch, loss), batch[1].shape[1]) for batch in draw(examples, rows, batch_size)]
    product = parts[0][0] if len(parts) == 1 else mean_product(parts)
    return regularised(product, decay)


def regularised(product: Product, decay: Float[Tensor, " d"]) -> Product:
    """``v -> C v + decay v``: with the curvature of ``decay / 2 ||w||^2``."""
    return lambda v: product(v) + decay * v


def decay_of(ensemble: Ensemble, split: Split) -> Float[Tensor, " d"]:
    """The weight decay of the recipe at every weight, 0 where it spares one."""
    return weight_decay(ensemble, split.recipe)


def whole_matrix(product: Product, like: Float[Tensor, "models d"]) -> Float[Tensor, "models d d"]:
    """The matrix of each model that ``product`` multiplies by, made symmetric; it takes as many products as weights."""
    basis = torch.eye(like.shape[1], dtype=like.dtype, device=like.device)
    columns = [product(each.expand_as(like)) for each in basis]
    matrix = torch.stack(columns, dim=2)
    return (matrix + matrix.mT) / 2

"""Gradients and curvature of all models of an ensemble at once: one flat vector of parameters for each model.

A product is a function ``v -> C v`` of vectors ``(models, parameters)``, with a matrix ``C`` of each model's own that
is never built. Networks run in evaluation mode, where the loss of an example depends on no other.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.device import exact_arithmetic
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.optimizers import of_norms
from expunge.ensembles.train import Batch
from expunge.methods.parts.double_backward import run
from expunge.methods.parts.per_sample import flat_weights
from expunge.methods.parts.rows import in_one_row
from expunge.suites.recipe import Recipe
from expunge.suites.suite import Examples
from expunge.suites.target import Loss, cross_entropy

Product = Callable[[Tensor], Tensor]


def weight_decay(ensemble: Ensemble, recipe: Recipe) -> Float[Tensor, " d"]:
    """The curvature of the recipe's regulariser: its weight decay, 0 at weights that it spares."""
    spared = set() if recipe.decay_norm else of_norms(ensemble)
    decays = [0.0 if id(each) in spared else recipe.weight_decay for each in ensemble.parameters()]
    parts = [
        each.new_full((each[0].numel(),), decay) for each, decay in zip(ensemble.parameters(), decays, strict=True)
    ]
    return torch.cat(parts)


def gradient_sum(
    ensemble: Ensemble, examples: Examples, loss: Loss = cross_entropy, *, batch_size: int = 64
) -> Float[Tensor, "models d"]:
    """The sum over ``examples`` of the gradients of their losses."""
    own = list(ensemble.parameters())
    total = torch.zeros_like(flat_weights(ensemble))
    for x, y in zip(examples.x.split(batch_size), examples.y.split(batch_size), strict=True):
        with torch.enable_grad(), exact_arithmetic():
            value = loss(_outputs(ensemble, x, curved=False), y.expand(len(ensemble), *y.shape)).sum() * len(y)
            total += _flat(torch.autograd.grad(value, own, materialize_grads=True))
    return total


def hessian(ensemble: Ensemble, batch: Batch, loss: Loss = cross_entropy) -> Product:
    """``v -> H v``: ``H`` the Hessian of the mean loss of ``batch``, by differentiating the gradient once more.

    The graph of the gradient is built once and serves all products. Away from a minimum ``H`` curves downwards too.
    """
    own = list(ensemble.parameters())
    with torch.enable_grad(), exact_arithmetic():
        value = loss(_outputs(ensemble, batch[0]), batch[1]).sum()
        gradient = torch.autograd.grad(value, own, create_graph=True, materialize_grads=True)

    def product(v: Float[Tensor, "models d"]) -> Float[Tensor, "models d"]:
        ensemble.meter.units += 6 * batch[1].shape[:2].numel()  # back through forward and backward: twice their 3
        with torch.enable_grad(), exact_arithmetic():
            slope = _dot(gradient, v)
            return _flat(torch.autograd.grad(slope, own, retain_graph=True, materialize_grads=True))

    return product


def gauss_newton(ensemble: Ensemble, batch: Batch, loss: Loss = cross_entropy) -> Product:
    """``v -> J^T H J v``: the generalised Gauss-Newton matrix of the mean loss of ``batch``.

    ``J`` is the Jacobian of the outputs in the weights, ``H`` the Hessian of the loss in the outputs. For a loss that
    is convex in the outputs the matrix never curves downwards; at a fit without residual it is the Hessian. The
    graphs are built once and serve all products.
    """
    own = list(ensemble.parameters())
    with torch.enable_grad(), exact_arithmetic():
        outputs = _outputs(ensemble, batch[0], curved=False)
        covector = torch.zeros_like(outputs, requires_grad=True)
        pulled = torch.autograd.grad(outputs, own, covector, create_graph=True, materialize_grads=True)
        point = outputs.detach().requires_grad_()
        (slope,) = torch.autograd.grad(loss(point, batch[1]).sum(), point, create_graph=True)

    def product(v: Float[Tensor, "models d"]) -> Float[Tensor, "models d"]:
        ensemble.meter.units += (
            4 * batch[1].shape[:2].numel()
        )  # J and J^T: each once through all layers, inputs and weights
        with torch.enable_grad(), exact_arithmetic():
            (pushed,) = torch.autograd.grad(_dot(pulled, v), covector, retain_graph=True)
            (curved,) = torch.autograd.grad(slope, point, pushed, retain_graph=True)
            return _flat(torch.autograd.grad(outputs, own, curved, retain_graph=True, materialize_grads=True))

    return product


def mean_product(parts: Sequence[tuple[Product, int]]) -> Product:
    """The product of a sample, out of those of its parts and their sizes: small parts stay in a processor's cache."""
    total = sum(size for _, size in parts)

    def product(v: Float[Tensor, "models d"]) -> Float[Tensor, "models d"]:
        return torch.stack([part(v) * (size / total) for part, size in parts]).sum(0)

    return product


def _outputs(ensemble: Ensemble, x: Tensor, *, curved: bool = True) -> Tensor:
    """What the ensemble returns, in a form that is quick to differentiate twice."""
    if x.ndim == 1 + len(ensemble.sample_shape):
        x = x.expand(len(ensemble), *x.shape)
    ensemble.meter.count(x.shape[0] * x.shape[1])
    return run(ensemble.network, x.float() if x.dtype == torch.float16 else x, curved=curved)


def _flat(tensors: Sequence[Tensor]) -> Float[Tensor, "models d"]:
    return in_one_row(tensor.detach() for tensor in tensors)


def _dot(tensors: Sequence[Tensor], vector: Float[Tensor, "models d"]) -> Tensor:
    """Sum over the models of the inner products; the vector is no variable."""
    parts = vector.split([tensor[0].numel() for tensor in tensors], dim=1)
    return torch.stack(
        [(tensor * part.view_as(tensor)).sum() for tensor, part in zip(tensors, parts, strict=True)]
    ).sum()

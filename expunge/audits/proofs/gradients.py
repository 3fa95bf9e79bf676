"""Gradients of many sets of records in one pass: what substitutes are chosen by."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from expunge.suites.data import Examples
from expunge.suites.suite import Suite

ROOM = 256 << 20  # bytes of gradients that are held at once


def set_gradients(
    model: nn.Module, suite: Suite, examples: Examples, sets: Int[Tensor, "sets records"]
) -> Float[Tensor, "sets parameters"]:
    """The gradient of the mean loss of each set of records, all in one batched pass, in evaluation mode.

    So records do not speak to one another through a BatchNorm. ``model`` is an ordinary module.
    """
    training = model.training
    model.eval()
    parameters = {name: each.detach() for name, each in model.named_parameters()}
    buffers = dict(model.named_buffers())

    def loss(held: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        outputs = functional_call(model, (held, buffers), (x,))
        return suite.target.loss(outputs[None], y[None], suite.recipe.label_smoothing)[0]

    size = sum(each.numel() for each in parameters.values()) * 4
    parts = sets.split(max(1, ROOM // size))
    found = []
    for part in parts:
        each = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, examples.x[part], examples.y[part])
        found.append(torch.cat([gradient.flatten(1) for gradient in each.values()], dim=1))
    model.train(training)
    return torch.cat(found)


def set_gradients_one_by_one(
    model: nn.Module, suite: Suite, examples: Examples, sets: Int[Tensor, "sets records"]
) -> Float[Tensor, "sets parameters"]:
    """The same in a plain loop: what the batched pass is measured against."""
    training = model.training
    model.eval()
    found = []
    for rows in sets:
        model.zero_grad()
        loss = suite.target.loss(model(examples.x[rows])[None], examples.y[rows][None], suite.recipe.label_smoothing)
        loss.sum().backward()
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
        found.append(torch.cat([each.flatten() for each in gradients]))
    model.zero_grad()
    model.train(training)
    return torch.stack(found)

"""Gradients of single examples, of all models at once.

Where layers do not allow more, each model is stacked as often as a block has examples.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from expunge.ensembles.device import exact_arithmetic
from expunge.ensembles.ensemble import Ensemble
from expunge.methods.parts.layer_gradients import Elementwise, Gradients, Whole, layer_gradients, tapped
from expunge.methods.parts.rows import in_one_row
from expunge.suites.suite import Examples
from expunge.suites.target import Loss, cross_entropy

# Numbers that the gradients of one block may have; four times as many are held at once. On a CPU larger blocks are two
# to three times slower: their memory goes back to the kernel after each, and comes again page by page.
BLOCK, CPU_BLOCK = 2**24, 2**22
MOST = 256  # examples of each model in one block: their activations need room too


def per_sample_gradients(
    ensemble: Ensemble,
    examples: Examples,
    rows: Int[Tensor, "models n"] | None = None,
    loss: Loss = cross_entropy,
    *,
    group: int = 1,
) -> Iterator[Float[Tensor, "models block d"]]:
    """For each model the gradients of ``loss`` on its single examples, in blocks, in the order of ``rows``.

    ``d`` counts the weights in the order of ``ensemble.parameters()``. Without ``rows``, all examples in their own
    order. With ``group``, gradients of the mean over that many examples at a time; the last group may be smaller.
    Evaluation mode, so no example depends on another; on the ensemble's meter each counts forward and backward.
    """
    rows = in_order(ensemble, examples) if rows is None else rows
    block = CPU_BLOCK if ensemble.device.type == "cpu" else BLOCK
    size = max(1, min(MOST, block // flat_weights(ensemble).numel()))
    whole = rows.shape[1] // group * group
    for part, groups in ((rows[:, :whole], whole // group), (rows[:, whole:], 1)):
        if part.shape[1]:
            yield from _gradients(ensemble, examples, part.unflatten(1, (groups, -1)), loss, size)


def _gradients(
    ensemble: Ensemble, examples: Examples, rows: Int[Tensor, "models groups group"], loss: Loss, size: int
) -> Iterator[Float[Tensor, "models block d"]]:
    for block in rows.split(size, dim=1):
        stack = _repeated(ensemble, block.shape[1])
        picked = block.flatten(0, 1)
        with torch.enable_grad(), exact_arithmetic():
            loss(stack(examples.x[picked]), examples.y[picked]).sum().backward()
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in stack.parameters()]
        yield in_one_row(gradients).unflatten(0, (len(ensemble), -1))


def each_gradient(
    ensemble: Ensemble,
    examples: Examples,
    rows: Int[Tensor, "models n"] | None = None,
    loss: Loss = cross_entropy,
    *,
    group: int = 1,
) -> Iterator[list[Gradients]]:
    """What :func:`per_sample_gradients` yields, for sums, norms and weighted sums of it.

    Each entry of a block is of some parameters, all together of all of them, in their order. Faster than whole
    gradients where layers allow it, see :func:`~expunge.methods.parts.layer_gradients.tapped`.
    """
    rows = in_order(ensemble, examples) if rows is None else rows
    stack = tapped(ensemble) if group == 1 else None
    if stack is not None:
        yield from layer_gradients(stack, examples, rows, loss)
    else:
        for block in per_sample_gradients(ensemble, examples, rows, loss, group=group):
            yield [Whole(block)]


def mean_square(
    ensemble: Ensemble,
    examples: Examples,
    rows: Int[Tensor, "models n"] | None = None,
    loss: Loss = cross_entropy,
    *,
    group: int = 1,
) -> Float[Tensor, "models d"]:
    """Mean over the examples of the squares of their gradients, see :func:`per_sample_gradients`."""
    return _mean(torch.square, ensemble, each_gradient(ensemble, examples, rows, loss, group=group))


def mean_absolute(
    ensemble: Ensemble,
    examples: Examples,
    rows: Int[Tensor, "models n"] | None = None,
    loss: Loss = cross_entropy,
    *,
    group: int = 1,
) -> Float[Tensor, "models d"]:
    """Mean over the examples of the absolute values of their gradients, see :func:`per_sample_gradients`."""
    return _mean(torch.abs, ensemble, each_gradient(ensemble, examples, rows, loss, group=group))


def _mean(function: Elementwise, ensemble: Ensemble, blocks: Iterator[list[Gradients]]) -> Float[Tensor, "models d"]:
    total, count = torch.zeros_like(flat_weights(ensemble)), 0
    for block in blocks:
        total += torch.cat([each.summed(function) for each in block], dim=1)
        count += block[0].examples
    return total / count


def in_order(ensemble: Ensemble, examples: Examples) -> Int[Tensor, "models n"]:
    """Every example once, in the same order for all models."""
    return torch.arange(len(examples), device=ensemble.device).expand(len(ensemble), -1)


def flat_weights(ensemble: Ensemble) -> Float[Tensor, "models d"]:
    """The weights of each model in a row, in the order of ``ensemble.parameters()``: a copy."""
    return in_one_row(parameter.detach() for parameter in ensemble.parameters())


@torch.no_grad()
def with_weights(ensemble: Ensemble, weights: Float[Tensor, "models d"]) -> Ensemble:
    """A copy of ``ensemble`` in evaluation mode that has these weights; its buffers stay."""
    result = ensemble.copy().eval()
    for parameter, part in zip(result.parameters(), in_parts(result, weights), strict=True):
        parameter.copy_(part)
    return result


def in_parts(ensemble: Ensemble, values: Shaped[Tensor, "models d"]) -> list[Tensor]:
    """One value for each weight, in the shapes of ``ensemble.parameters()``."""
    shapes = [parameter.shape for parameter in ensemble.parameters()]
    parts = values.split([shape[1:].numel() for shape in shapes], dim=1)
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def _repeated(ensemble: Ensemble, times: int) -> Ensemble:
    """Every model so many times in a row, in evaluation mode, on the same meter."""
    models = tuple(model for model in ensemble.origin.models for _ in range(times))
    state = {key: tensor.repeat_interleave(times, 0) for key, tensor in ensemble.state().items()}
    origin = replace(ensemble.origin, models=models)
    masks = {key: mask.repeat_interleave(times, 0) for key, mask in ensemble.masks.items()}
    result = Ensemble.from_state(ensemble.network, state, origin, ensemble.sample_shape, masks).eval()
    result.meter = ensemble.meter
    return result

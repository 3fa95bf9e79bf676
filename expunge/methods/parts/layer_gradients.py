"""Gradients of single examples, layer by layer, out of one pass through models that are not repeated.

What an example does to a layer's weights follows from what went in and from the gradient of what came out. For a linear
layer it is their outer product, whose squares, absolute values, norms and sums need no matrix of each example:
Goodfellow 2015, arXiv:1510.01799; for convolutions Rochette et al. 2019, arXiv:1912.06015.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

from expunge.ensembles.device import exact_arithmetic
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.layers import LAYERS, is_hooked, may_change_its_input
from expunge.ensembles.tap import Tap
from expunge.suites.networks import Residual
from expunge.suites.suite import Examples
from expunge.suites.target import Loss

Elementwise = Callable[[Tensor], Tensor]

ROWS, NUMBERS = 256, 2**22  # of one block at most: examples times models, and the numbers of all their gradients


class Gradients(ABC):
    """The gradients of some parameters, all or one, on each of ``block`` examples, for each model."""

    @property
    @abstractmethod
    def examples(self) -> int:
        """How many they are: ``block``."""

    @property
    @abstractmethod
    def numbers(self) -> int:
        """How many are kept of one example of one model."""

    @abstractmethod
    def summed(self, function: Elementwise) -> Float[Tensor, "models d"]:
        """The sum over the examples of a function with f(ab) = f(a) f(b): square or abs."""

    @abstractmethod
    def square_norms(self) -> Float[Tensor, "models block"]:
        """The squared l2 norm of the gradient of each example, in float64."""

    @abstractmethod
    def weighted(self, weights: Float[Tensor, "models block"]) -> Float[Tensor, "models d"]:
        """The sum over the examples of their gradients, each times its weight, in float64."""


@dataclass(frozen=True, eq=False)
class Whole(Gradients):
    """Every number of every gradient."""

    each: Float[Tensor, "models block d"]

    @property
    def examples(self) -> int:
        return self.each.shape[1]

    @property
    def numbers(self) -> int:
        return self.each.shape[2]

    def summed(self, function: Elementwise) -> Float[Tensor, "models d"]:
        return function(self.each).sum(1)

    def square_norms(self) -> Float[Tensor, "models block"]:
        return self.each.double().square().sum(2)

    def weighted(self, weights: Float[Tensor, "models block"]) -> Float[Tensor, "models d"]:
        return torch.bmm(weights[:, None], self.each.double())[:, 0]


@dataclass(frozen=True, eq=False)
class Outer(Gradients):
    """Of each example the product ``left right^T``."""

    left: Float[Tensor, "models block outputs"]
    right: Float[Tensor, "models block inputs"]

    @property
    def examples(self) -> int:
        return self.left.shape[1]

    @property
    def numbers(self) -> int:
        return self.left.shape[2] + self.right.shape[2]

    def summed(self, function: Elementwise) -> Float[Tensor, "models d"]:
        return torch.bmm(function(self.left).mT, function(self.right)).flatten(1)

    def square_norms(self) -> Float[Tensor, "models block"]:
        return self.left.double().square().sum(2) * self.right.double().square().sum(2)

    def weighted(self, weights: Float[Tensor, "models block"]) -> Float[Tensor, "models d"]:
        return torch.bmm((weights[..., None] * self.left.double()).mT, self.right.double()).flatten(1)


def norms(block: Sequence[Gradients]) -> Float[Tensor, "models block"]:
    """The l2 norm of each example's gradient over all parameters, in float64."""
    return torch.stack([each.square_norms() for each in block]).sum(0).sqrt()


def _of_linear(layer: nn.Linear, given: Tensor, out: Tensor) -> list[tuple[Tensor | None, Gradients]]:
    if given.ndim == 3:
        return [(layer.weight, Outer(out, given)), (layer.bias, Whole(out))]
    left, right = out.flatten(2, -2), given.flatten(2, -2)  # of each example several rows, as tokens
    return [(layer.weight, Whole((left.mT @ right).flatten(2))), (layer.bias, Whole(left.sum(2)))]


def _of_conv2d(layer: nn.Conv2d, given: Tensor, out: Tensor) -> list[tuple[Tensor | None, Gradients]]:
    images = given.shape[:2].numel()  # each in a group of its own, as in one example of many channels
    x, gradient = (each.reshape(1, -1, *each.shape[3:]) for each in (given, out))
    size, padding = (images * layer.out_channels, *layer.weight.shape[2:]), layer.padding
    groups = images * layer.groups
    weight = conv2d_weight(x, size, gradient, layer.stride, padding, layer.dilation, groups)
    return [(layer.weight, Whole(weight.reshape(*given.shape[:2], -1))), (layer.bias, Whole(out.flatten(3).sum(3)))]


def _of_batch_norm(layer: Any, given: Tensor, out: Tensor) -> list[tuple[Tensor | None, Gradients]]:
    def along(each: Tensor) -> Tensor:  # (models, channels), along a batch of inputs
        return each.reshape(len(each), 1, -1, *[1] * (given.ndim - 3))

    normed = (given - along(layer.running_mean)) * along((layer.running_var + layer.eps).rsqrt())
    weight, bias = (each.reshape(*given.shape[:3], -1).sum(3) for each in (out * normed, out))
    return [(layer.weight, Whole(weight)), (layer.bias, Whole(bias))]


class Learning(NamedTuple):
    """Of a kind of layer: whether its gradients follow from what it was given, and how."""

    fits: Callable[[Any], bool]
    gradients: Callable[[Any, Tensor, Tensor], list[tuple[Tensor | None, Gradients]]]


_BATCH_NORM = Learning(lambda layer: layer.affine and layer.track_running_stats, _of_batch_norm)
LEARNING: dict[type[nn.Module], Learning] = {
    nn.Linear: Learning(lambda layer: True, _of_linear),
    nn.Conv2d: Learning(lambda layer: layer.padding_mode == "zeros" and type(layer.padding) is tuple, _of_conv2d),
    nn.BatchNorm1d: _BATCH_NORM,
    nn.BatchNorm2d: _BATCH_NORM,
}


def tapped(ensemble: Ensemble) -> Ensemble | None:
    """A copy of ``ensemble`` in evaluation mode, on the same meter, with a tap on every layer that learns.

    None where gradients of single examples do not follow from what went through: where a layer that learns is not in
    :data:`LEARNING` or does not fit it, runs twice, shares a weight or is not reached by rules alone; where a layer may
    mix examples, has no rule or has hooks; where models are kept sparse.
    """
    result = ensemble.copy().eval()
    if result.masks or any(map(is_hooked, result.network.modules())) or not _put_taps(result, "network"):
        return None
    held = [id(each) for tap in _taps(result) for each in tap.layer.parameters()]
    learning = {id(each) for each in result.parameters() if each.requires_grad}
    return result if held and len(held) == len(set(held)) and learning <= set(held) else None


def _put_taps(place: nn.Module, name: str) -> bool:
    """Whether all that learns in this child of ``place`` has a tap now, and the rest keeps examples apart."""
    layer = place._modules[name]
    if layer is None or not any(each.requires_grad for each in layer.parameters()):
        return layer is None or all(map(_keeps_apart, layer.modules()))
    if type(layer) is nn.Sequential or (type(layer) is Residual and not may_change_its_input(layer.body)):
        return all(_put_taps(layer, child) for child in list(layer._modules))
    if type(layer) not in LEARNING or not LEARNING[type(layer)].fits(layer):
        return False
    place._modules[name] = Tap(layer)
    return True


def _keeps_apart(layer: nn.Module) -> bool:
    """Whether what a layer makes of an example depends on no other of its batch, as far as is known.

    One of the user's own may take a mean over a batch, and BatchNorm without running statistics does.
    """
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        return layer.track_running_stats
    return type(layer) in LAYERS or type(layer) is nn.ModuleList


def _taps(ensemble: Ensemble) -> list[Tap]:
    return [each for each in ensemble.modules() if isinstance(each, Tap)]


def layer_gradients(
    stack: Ensemble, examples: Examples, rows: Int[Tensor, "models n"], loss: Loss
) -> Iterator[list[Gradients]]:
    """For each block of ``rows`` the gradients of ``loss`` on single examples, one entry a parameter, in their order.

    ``stack`` is what :func:`tapped` gave; on its meter each example counts forward and backward.
    """
    taps, first, numbers = _taps(stack), 0, sum(each[0].numel() for each in stack.parameters())
    while first < rows.shape[1]:
        size = max(1, min(ROWS, NUMBERS // numbers) // len(stack))
        block = rows[:, first : first + size]
        with torch.enable_grad(), exact_arithmetic():
            value = loss(_single(stack(examples.x[block])), _single(examples.y[block])).sum()
            out = torch.autograd.grad(value, [tap.gave for tap in taps], materialize_grads=True)
        with torch.no_grad(), exact_arithmetic():
            found = _by_parameter(stack, taps, out)
        yield found
        first, numbers = first + size, sum(each.numbers for each in found)


def _by_parameter(stack: Ensemble, taps: list[Tap], out: tuple[Tensor, ...]) -> list[Gradients]:
    found = {
        id(parameter): gradients
        for tap, gradient in zip(taps, out, strict=True)
        for parameter, gradients in LEARNING[type(tap.layer)].gradients(tap.layer, tap.given, gradient)
        if parameter is not None and parameter.requires_grad
    }
    return [found.get(id(each)) or _no_gradient(each, out[0].shape[1]) for each in stack.parameters()]


def _no_gradient(parameter: Tensor, block: int) -> Gradients:
    """Of a parameter that does not learn: zeros that take no room."""
    return Whole(parameter.new_zeros(1, 1, 1).expand(len(parameter), block, parameter[0].numel()))


def _single(tensor: Tensor) -> Tensor:
    """``(models, block, ...)`` as rows of one example each: of more, a loss is the mean."""
    return tensor.flatten(0, 1)[:, None]

"""How a stacked network in evaluation mode runs where it is to be differentiated twice.

The same numbers as :func:`expunge.ensembles.layers.run`, by other derivatives. Torch's second derivative of a grouped
convolution walks through the groups, here the models, one by one; and its BatchNorm does not know that in evaluation
mode it is a line, which is drawn here into the convolution before it.
"""

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from expunge.ensembles import layers
from expunge.suites.networks import Residual

Geometry = tuple[Any, Any, Any, int]  # stride, padding, dilation, groups
Norm = nn.BatchNorm1d | nn.BatchNorm2d


def run(layer: nn.Module, x: Tensor, *, curved: bool = True) -> Tensor:
    """``layer``, whose parameters and buffers carry a leading model axis, on ``x`` of ``(models, batch, ...)``.

    Where not ``curved``, a gradient may be differentiated only in what it is a gradient of: convolutions then spare
    what no other derivative asks for.
    """
    if type(layer) is nn.Sequential:
        return _sequential(layer, x, curved)
    if type(layer) is Residual:
        return run(layer.shortcut, x, curved=curved) + run(layer.body, x, curved=curved)
    if _is_convolution(layer):
        return _convolve(layer, None, x, curved)
    if _is_line(layer):
        scale, shift = (each.reshape(len(x), 1, -1, *(1,) * (x.ndim - 3)) for each in _line(layer))
        line: Tensor = x * scale + shift
        return line
    return layers.run(layer, x)


def _sequential(children: Iterable[nn.Module], x: Tensor, curved: bool) -> Tensor:
    rest = list(children)
    while rest:
        layer = rest.pop(0)
        into = rest.pop(0) if _is_convolution(layer) and rest and _is_line(rest[0]) else None
        x = run(layer, x, curved=curved) if into is None else _convolve(layer, into, x, curved)
    return x


def _is_convolution(layer: nn.Module) -> bool:
    return type(layer) is nn.Conv2d and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


def _is_line(layer: nn.Module) -> bool:
    return type(layer) in (nn.BatchNorm1d, nn.BatchNorm2d) and bool(
        layer.track_running_stats and layer.affine and not layer.training
    )


def _line(norm: Any) -> tuple[Tensor, Tensor]:
    """Scale and shift, ``(models, channels)``, that BatchNorm amounts to in evaluation mode."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias - norm.running_mean * scale


def _convolve(layer: Any, norm: nn.Module | None, x: Tensor, curved: bool) -> Tensor:
    models, weight, bias = len(x), layer.weight, layer.bias
    if norm is not None:
        scale, shift = _line(norm)
        weight = weight * scale[:, :, None, None, None]
        bias = shift if bias is None else shift + bias * scale
    merged = layers._merge(x)
    geometry = (layer.stride, layer.padding, layer.dilation, models * layer.groups)
    flat = None if bias is None else bias.flatten()
    y = _Convolution.apply(merged, weight.flatten(0, 1), flat, geometry, curved)  # type: ignore[no-untyped-call]
    return layers._divide(y, models)


class _Convolution(Function):
    """A convolution whose derivatives, of any order, are convolutions of all models at once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, curved: bool) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry, ctx.curved = geometry, curved
        return F.conv2d(x, weight, bias, *geometry)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        (slope,), (x, weight) = slopes, ctx.saved_tensors
        x, weight = (x, weight) if ctx.curved else (x.detach(), weight.detach())
        wanted = ctx.needs_input_grad[:2]
        by_x, by_weight = _Backward.apply(slope, x, weight, ctx.geometry, wanted)  # type: ignore[no-untyped-call]
        return by_x, by_weight, slope.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None, None, None


class _Backward(Function):
    """What goes back through a convolution: linear in slope, input and weight, each."""

    @staticmethod
    def forward(
        ctx: Any, slope: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, wanted: tuple[bool, bool]
    ) -> tuple[Tensor | None, Tensor | None]:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(slope, x, weight)
        ctx.geometry = geometry
        return _back(slope, x, weight, geometry, wanted)

    @staticmethod
    def backward(ctx: Any, *directions: Tensor | None) -> tuple[Tensor | None, ...]:
        (slope, x, weight), geometry, needed = ctx.saved_tensors, ctx.geometry, ctx.needs_input_grad
        along_x, along_weight = directions
        by_slope = by_x = by_weight = None
        if along_x is not None:
            by_slope = F.conv2d(along_x, weight, None, *geometry)
            if needed[2]:
                by_weight = _back(slope, along_x, weight, geometry, (False, True))[1]
        if along_weight is not None:
            other = F.conv2d(x, along_weight, None, *geometry)
            by_slope = other if by_slope is None else by_slope + other
            if needed[1]:
                by_x = _back(slope, x, along_weight, geometry, (True, False))[0]
        return by_slope, by_x, by_weight, None, None


def _back(
    slope: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    stride, padding, dilation, groups = geometry
    by_x, by_weight, _ = torch.ops.aten.convolution_backward(
        slope, x, weight, None, stride, padding, dilation, False, [0, 0], groups, [*wanted, False]
    )
    return by_x, by_weight

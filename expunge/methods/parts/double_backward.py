"""How a stacked network in evaluation mode runs where it is to be differentiated twice.

The same numbers as :func:`expunge.ensembles.layers.run`, by other derivatives. Torch's second derivative of a grouped
convolution walks through the groups, here the models, one by one; and its BatchNorm does not know that in evaluation
mode it is a line, which is drawn here into the convolution before it.
"""

import contextlib
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.attention import SDPBackend, sdpa_kernel

from expunge.ensembles import layers
from expunge.suites.networks import Residual

Geometry = tuple[Any, Any, Any, int]  # stride, padding, dilation, groups
Wanted = tuple[bool, bool, bool]  # of input, weight and bias
Window = tuple[Any, Any, Any, Any, bool]  # size, stride, padding, dilation, whether windows may reach over the edge
ANYWHERE = (layers._elementwise, layers._channelwise)  # rules of layers that run on merged activations as they are
Norm = nn.BatchNorm1d | nn.BatchNorm2d


def twice() -> contextlib.AbstractContextManager[None]:
    """For what is to be differentiated twice, wherever it runs: torch's fused attention has a first derivative only."""
    return sdpa_kernel(SDPBackend.MATH)


def run(layer: nn.Module, x: Tensor, *, curved: bool = True) -> Tensor:
    """``layer``, whose parameters and buffers carry a leading model axis, on ``x`` of ``(models, batch, ...)``.

    Where not ``curved``, a gradient may be differentiated only in what it is a gradient of: convolutions then spare
    what no other derivative asks for.
    """
    if isinstance(layer, Residual) and _kind(layer) is Residual and not layers.may_change_its_input(layer.body):
        return run(layer.shortcut, x, curved=curved) + run(layer.body, x, curved=curved)
    if _kind(layer) is nn.Sequential or _is_convolution(layer) or _is_max_pool(layer):
        return _sequential(layer if isinstance(layer, nn.Sequential) else [layer], x, curved)
    if _is_line(layer):
        scale, shift = (each.reshape(len(x), 1, -1, *(1,) * (x.ndim - 3)) for each in _line(layer))
        line: Tensor = x * scale + shift
        return line
    with twice():
        result: Tensor = layers.run(layer, x)
    return result


def _sequential(children: Iterable[nn.Module], x: Tensor, curved: bool) -> Tensor:
    """Layers that do not care where the models are find them among the channels, and leave them there for the next."""
    rest, models, merged = list(children), len(x), False
    while rest:
        layer = rest.pop(0)
        if _is_convolution(layer) or _is_max_pool(layer) or (merged and layers.LAYERS.get(_kind(layer)) in ANYWHERE):
            x, merged = x if merged else layers._merge(x), True
            if _is_convolution(layer):
                x = _convolve(layer, rest.pop(0) if rest and _is_line(rest[0]) else None, x, models, curved)
            else:
                x = _pool(layer, x) if _is_max_pool(layer) else layer(x)
        else:
            x, merged = run(layer, layers._divide(x, models) if merged else x, curved=curved), False
    return layers._divide(x, models) if merged else x


def _kind(layer: nn.Module) -> type[nn.Module]:
    """What a layer computes as; one with hooks computes something else than its type says."""
    return nn.Module if layers.is_hooked(layer) else type(layer)


def _is_convolution(layer: nn.Module) -> bool:
    return (
        isinstance(layer, nn.Conv2d)
        and _kind(layer) is nn.Conv2d
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
    )


def _is_max_pool(layer: nn.Module) -> bool:
    return isinstance(layer, nn.MaxPool2d) and _kind(layer) is nn.MaxPool2d and not layer.return_indices


def _is_line(layer: nn.Module) -> bool:
    normal = isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and _kind(layer) in (nn.BatchNorm1d, nn.BatchNorm2d)
    return normal and bool(layer.track_running_stats and layer.affine and not layer.training)


def _line(norm: Any) -> tuple[Tensor, Tensor]:
    """Scale and shift, ``(models, channels)``, that BatchNorm amounts to in evaluation mode."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias - norm.running_mean * scale


def _convolve(layer: Any, norm: nn.Module | None, merged: Tensor, models: int, curved: bool) -> Tensor:
    weight, bias = layer.weight, layer.bias
    if norm is not None:
        scale, shift = _line(norm)
        weight = weight * scale[:, :, None, None, None]
        bias = shift if bias is None else shift + bias * scale
    geometry = (layer.stride, layer.padding, layer.dilation, models * layer.groups)
    flat = None if bias is None else bias.flatten()
    y: Tensor = _Convolution.apply(merged, weight.flatten(0, 1), flat, geometry, curved)  # type: ignore[no-untyped-call]
    return y


def _pool(layer: Any, merged: Tensor) -> Tensor:
    sizes = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    window = tuple((each, each) if isinstance(each, int) else each for each in sizes)
    y: Tensor = _MaxPool.apply(merged, (*window, layer.ceil_mode))  # type: ignore[no-untyped-call]
    return y


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
        wanted = ctx.needs_input_grad[:3]
        return *_Backward.apply(slope, x, weight, ctx.geometry, wanted), None, None  # type: ignore[no-untyped-call]


class _Backward(Function):
    """What goes back through a convolution: linear in slope, input and weight, each."""

    @staticmethod
    def forward(
        ctx: Any, slope: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, wanted: Wanted
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(slope, x, weight)
        ctx.geometry = geometry
        return _back(slope, x, weight, geometry, wanted)

    @staticmethod
    def backward(ctx: Any, *directions: Tensor | None) -> tuple[Tensor | None, ...]:
        (slope, x, weight), geometry, needed = ctx.saved_tensors, ctx.geometry, ctx.needs_input_grad
        along_x, along_weight, along_bias = directions
        by_slope = by_x = by_weight = None
        if along_weight is not None:
            by_slope = F.conv2d(x, along_weight, along_bias, *geometry)
            if needed[1]:
                by_x = _back(slope, x, along_weight, geometry, (True, False, False))[0]
        elif along_bias is not None:
            by_slope = along_bias[:, None, None].expand_as(slope)
        if along_x is not None:
            other = F.conv2d(along_x, weight, None, *geometry)
            by_slope = other if by_slope is None else by_slope + other
            if needed[2]:
                by_weight = _back(slope, along_x, weight, geometry, (False, True, False))[1]
        return by_slope, by_x, by_weight, None, None


def _back(
    slope: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, wanted: Wanted
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    stride, padding, dilation, groups = geometry
    parts: tuple[Tensor | None, Tensor | None, Tensor | None] = torch.ops.aten.convolution_backward(
        slope, x, weight, [len(weight)], stride, padding, dilation, False, [0, 0], groups, list(wanted)
    )
    return parts


class _MaxPool(Function):
    """Max-pooling whose second derivative leaves the layout in memory as it is; torch's turns it, and all after it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, window: Window) -> Tensor:
        y, indices = torch.ops.aten.max_pool2d_with_indices(x, *window)
        ctx.save_for_backward(x.detach(), indices)
        ctx.window = window
        largest: Tensor = y
        return largest

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        return _Spread.apply(*slopes, *ctx.saved_tensors, ctx.window), None  # type: ignore[no-untyped-call]


class _Spread(Function):
    """The slope of each window, put where its largest value was: linear."""

    @staticmethod
    def forward(ctx: Any, slope: Tensor, x: Tensor, indices: Tensor, window: Window) -> Tensor:
        ctx.save_for_backward(indices)
        spread: Tensor = torch.ops.aten.max_pool2d_with_indices_backward(slope, x, *window, indices)
        return spread

    @staticmethod
    def backward(ctx: Any, *directions: Tensor) -> tuple[Tensor, None, None, None]:
        (along,), (indices,) = directions, ctx.saved_tensors
        rows = indices.permute(0, 2, 3, 1)
        found = along.permute(0, 2, 3, 1).flatten(1, 2).gather(1, rows.flatten(1, 2))
        return found.view(rows.shape).permute(0, 3, 1, 2), None, None, None

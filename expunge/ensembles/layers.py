"""How a layer runs for all models at once: a table of rules, and ``torch.func.vmap`` for what is not in it.

Activations are ``(models, batch, channels, ...)``. Between convolutions they lie in memory as channels_last with the
models inside the channels, so that splitting and merging the model axis moves no byte.
"""

import contextlib
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from expunge.errors import BadSetting
from expunge.suites.networks import AsFloat, Residual, Scale, Vote

Rule = Callable[..., Tensor]  # (layer with stacked parameters, input) -> output


def run(layer: nn.Module, x: Tensor) -> Tensor:
    """``layer``, whose parameters and buffers carry a leading model axis, on ``x`` of ``(models, batch, ...)``."""
    rule: Rule = LAYERS.get(type(layer), _vmapped)
    return rule(layer, x)


def _merge(x: Tensor) -> Tensor:
    """``(models, batch, channels, ...)`` to ``(batch, models * channels, ...)``."""
    merged = x.transpose(0, 1).flatten(1, 2)
    if merged.ndim != 4:
        return merged
    if len(merged) == 1:  # a copy, for its strides: with those of a view, torch's BatchNorm goes backward wrongly
        return merged.clone(memory_format=torch.contiguous_format)  # twice as fast as channels_last, for one example
    return merged.contiguous(memory_format=torch.channels_last)


def _divide(x: Tensor, models: int) -> Tensor:
    divided: Tensor = x.unflatten(1, (models, -1))
    return divided.transpose(0, 1)


def _sequential(layer: nn.Sequential, x: Tensor) -> Tensor:
    for child in layer:
        x = run(child, x)
    return x


def _residual(layer: Residual, x: Tensor) -> Tensor:
    return run(layer.shortcut, x) + run(layer.body, x)


def _vote(layer: Vote, x: Tensor) -> Tensor:
    return layer.count([run(member, x) for member in layer.members])


def _conv2d(layer: nn.Conv2d, x: Tensor) -> Tensor:
    if layer.padding_mode != "zeros":
        return _vmapped(layer, x)
    models = len(x)
    bias = None if layer.bias is None else layer.bias.flatten()
    y = F.conv2d(
        _merge(x), layer.weight.flatten(0, 1), bias, layer.stride, layer.padding, layer.dilation, models * layer.groups
    )
    return _divide(y, models)


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    rows = x.flatten(1, -2)
    weight = layer.weight.transpose(1, 2)
    y = torch.bmm(rows, weight) if layer.bias is None else torch.baddbmm(layer.bias.unsqueeze(1), rows, weight)
    result: Tensor = y.unflatten(1, x.shape[1:-1])
    return result


def _batch_norm(layer: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    if not (layer.track_running_stats and layer.affine):
        return _vmapped(layer, x)
    if layer.momentum is None:
        raise BadSetting("BatchNorm with momentum=None, a cumulative average, cannot be stacked; give it a momentum")
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert layer.num_batches_tracked is not None
    if layer.training:
        layer.num_batches_tracked.add_(1)
    y = F.batch_norm(
        _merge(x),
        layer.running_mean.flatten(),
        layer.running_var.flatten(),
        layer.weight.flatten(),
        layer.bias.flatten(),
        layer.training,
        layer.momentum,
        layer.eps,
    )
    return _divide(y, len(x))


def _instance_norm(layer: nn.InstanceNorm2d, x: Tensor) -> Tensor:
    if layer.track_running_stats:
        return _vmapped(layer, x)
    y = F.instance_norm(_merge(x), weight=_flat(layer.weight), bias=_flat(layer.bias), eps=layer.eps)
    return _divide(y, len(x))


def _group_norm(layer: nn.GroupNorm, x: Tensor) -> Tensor:
    groups = len(x) * layer.num_groups
    return _divide(F.group_norm(_merge(x), groups, _flat(layer.weight), _flat(layer.bias), layer.eps), len(x))


def _flat(parameter: Tensor | None) -> Tensor | None:
    return None if parameter is None else parameter.flatten()


def _channelwise(layer: nn.Module, x: Tensor) -> Tensor:
    merged: Tensor = layer(_merge(x))
    return _divide(merged, len(x))


def _elementwise(layer: nn.Module, x: Tensor) -> Tensor:
    result: Tensor = layer(x)
    return result


def _flatten(layer: nn.Flatten, x: Tensor) -> Tensor:
    if layer.start_dim < 1:
        return _vmapped(layer, x)
    end = layer.end_dim if layer.end_dim < 0 else layer.end_dim + 1
    return x.flatten(layer.start_dim + 1, end)


def _vmapped(layer: nn.Module, x: Tensor) -> Tensor:
    device = x.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        # Under vmap autocast reaches matrix products but no convolution, which then meets two types: float32 for all.
        with torch.autocast(device, enabled=False):
            return _vmapped(layer, x.float() if x.dtype == torch.bfloat16 else x)

    def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], each: Tensor) -> Tensor:
        result: Tensor = torch.func.functional_call(layer, (parameters, buffers), (each,))
        return result

    with _differentiable_attention():
        result: Tensor = torch.func.vmap(one)(dict(layer.named_parameters()), dict(layer.named_buffers()), x)
    return result


@contextlib.contextmanager
def _differentiable_attention() -> Iterator[None]:
    """Where autograd records, without torch's fast attention of evaluation mode: it has no derivative, and under vmap
    torch does not see that one will be asked for."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(before and not torch.is_grad_enabled())
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


# The type must match exactly: a subclass may compute something else, and goes through vmap.
LAYERS: dict[type[nn.Module], Rule] = {
    nn.Sequential: _sequential,
    Residual: _residual,
    Vote: _vote,
    nn.Conv2d: _conv2d,
    nn.Linear: _linear,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.InstanceNorm2d: _instance_norm,
    nn.GroupNorm: _group_norm,
    nn.MaxPool2d: _channelwise,
    nn.AvgPool2d: _channelwise,
    nn.AdaptiveMaxPool2d: _channelwise,
    nn.AdaptiveAvgPool2d: _channelwise,
    nn.Flatten: _flatten,
    nn.Identity: _elementwise,
    Scale: _elementwise,
    AsFloat: _elementwise,
    nn.ReLU: _elementwise,
    nn.LeakyReLU: _elementwise,
    nn.ELU: _elementwise,
    nn.GELU: _elementwise,
    nn.SiLU: _elementwise,
    nn.Sigmoid: _elementwise,
    nn.Tanh: _elementwise,
}

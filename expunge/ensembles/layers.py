"""How a layer runs for all models at once: a table of rules, ``torch.func.vmap`` for what is not in it, a loop for the
rest.

Activations are ``(models, batch, channels, ...)``. Between convolutions they lie in memory as channels_last with the
models inside the channels, so that splitting and merging the model axis moves no byte.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from expunge.ensembles.any_layer import seeds_tensor, vmapped
from expunge.ensembles.chance import dropped
from expunge.ensembles.tap import Tap
from expunge.errors import BadSetting
from expunge.suites.networks import AsFloat, Residual, Scale, Vote

Rule = Callable[..., Any]  # (layer with stacked parameters, input) -> output


def run(layer: nn.Module, x: Any) -> Any:
    """``layer``, whose parameters and buffers carry a leading model axis, on ``x`` of ``(models, batch, ...)``.

    A layer with hooks is called as a whole, so that they are.
    """
    return (vmapped if is_hooked(layer) else rule_of(type(layer)))(layer, x)


def is_hooked(layer: nn.Module) -> bool:
    """Whether a layer has hooks, which may make something else of what goes in and comes out."""
    return bool(layer._forward_hooks or layer._forward_pre_hooks)


def rule_of(kind: type[nn.Module]) -> Rule:
    """The rule of a kind of layer, which must match exactly: a subclass may compute something else."""
    return LAYERS.get(kind, vmapped)


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


def _sequential(layer: nn.Sequential, x: Any) -> Any:
    for child in layer:
        x = run(child, x)
    return x


def _residual(layer: Residual, x: Tensor) -> Tensor:
    if may_change_its_input(layer.body):  # what the shortcut gives is then changed too, where it is x itself
        result: Tensor = vmapped(layer, x)
        return result
    result = run(layer.shortcut, x) + run(layer.body, x)
    return result


def may_change_its_input(layer: nn.Module) -> bool:
    """Whether a layer may write into what it is given: if it says so, is the user's own, or begins with such a one."""
    if type(layer) is nn.Sequential:
        passing = (nn.Identity, nn.Flatten)  # which give on what they are given
        return any(map(may_change_its_input, [each for each in layer if type(each) not in passing][:1]))
    own = type(layer) not in LAYERS and not type(layer).__module__.startswith("torch.")
    return own or bool(getattr(layer, "inplace", False))


def _vote(layer: Vote, x: Tensor) -> Tensor:
    return layer.count([run(member, x) for member in layer.members])


def _tap(layer: Tap, x: Tensor) -> Tensor:
    layer.given, layer.gave = x.detach(), run(layer.layer, x)
    return layer.gave.clone()  # what comes next may write into it


def _conv2d(layer: nn.Conv2d, x: Tensor) -> Tensor:
    if layer.padding_mode != "zeros":
        result: Tensor = vmapped(layer, x)
        return result
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
        result: Tensor = vmapped(layer, x)
        return result
    if layer.momentum is None:
        raise BadSetting("BatchNorm with momentum=None, a cumulative average, cannot be stacked; give it a momentum")
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert layer.num_batches_tracked is not None
    training = layer.training and x[0, :, 0].numel() > 1  # one value a channel has no spread: the running one is taken
    if training:
        layer.num_batches_tracked.add_(1)
    y = F.batch_norm(
        _merge(x),
        layer.running_mean.flatten(),
        layer.running_var.flatten(),
        layer.weight.flatten(),
        layer.bias.flatten(),
        training,
        layer.momentum,
        layer.eps,
    )
    return _divide(y, len(x))


def _instance_norm(layer: nn.InstanceNorm2d, x: Tensor) -> Tensor:
    if layer.track_running_stats:
        result: Tensor = vmapped(layer, x)
        return result
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
    result: Tensor = layer(x.clone() if getattr(layer, "inplace", False) else x)  # x may be the caller's
    return result


def _flatten(layer: nn.Flatten, x: Tensor) -> Tensor:
    if layer.start_dim < 1:
        result: Tensor = vmapped(layer, x)
        return result
    end = layer.end_dim if layer.end_dim < 0 else layer.end_dim + 1
    return x.flatten(layer.start_dim + 1, end)


def _dropout(layer: nn.Dropout, x: Tensor) -> Tensor:
    return _dropped(layer, x, None)


def _channel_dropout(layer: nn.Dropout1d | nn.Dropout2d | nn.Dropout3d, x: Tensor) -> Tensor:
    return _dropped(layer, x, 2)


def _dropped(layer: nn.modules.dropout._DropoutNd, x: Tensor, whole: int | None) -> Tensor:
    if not layer.training or layer.p == 0:
        return x
    return dropped(x, layer.p, seeds_tensor(len(x), x.device), whole=whole)


LAYERS: dict[type[nn.Module], Rule] = {
    nn.Sequential: _sequential,
    Residual: _residual,
    Vote: _vote,
    Tap: _tap,
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
    nn.Dropout: _dropout,
    nn.Dropout1d: _channel_dropout,
    nn.Dropout2d: _channel_dropout,
    nn.Dropout3d: _channel_dropout,
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

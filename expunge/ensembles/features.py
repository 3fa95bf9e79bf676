"""What networks make of examples just before they decide: the input of the last linear layer, of all models at once."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from expunge.ensembles import layers
from expunge.ensembles.device import exact_arithmetic
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.layer_inputs import LayerInputs
from expunge.suites.networks import Vote

BATCH = 256  # examples that pass through all models at once
EXAMPLES = 2**16  # examples, counted once for each model, whose features are held at once


def features(ensemble: Ensemble, x: Tensor) -> Float[Tensor, "models n d"]:
    """What goes into the last linear layer for each of the inputs ``x``, in evaluation mode, on the models' device.

    The last layer is the last convolution or linear layer that runs. Where it is a convolution, or there is neither,
    the features are the outputs, the logits. Of networks that vote, the features of all voters stand side by side.
    """
    found = last_inputs(ensemble, x)
    return outputs(ensemble, x).flatten(2) if found is None else found


@torch.no_grad()
def last_inputs(ensemble: Ensemble, x: Tensor) -> Float[Tensor, "models n d"] | None:
    """As :func:`features`, None where the last layer that runs is not linear."""
    models = ensemble.copy().eval()
    heads = _heads(models, x[:1])
    if not heads:
        return None
    trunk = _trunk(models.network, heads)
    with exact_arithmetic():
        return torch.cat([_joined(layers.run(trunk, _stacked(part, models))) for part in x.split(BATCH)], dim=1)


def inputs_of_last_layer(ensemble: Ensemble, x: Tensor) -> Float[Tensor, "models n d"] | None:
    """As :func:`last_inputs` of inputs of each model's own, ``(models, n, ...)``; gradients flow into them."""
    models = ensemble.copy().eval()
    heads = _heads(models, x[0, :1].detach())
    if not heads:
        return None
    with exact_arithmetic():
        return _joined(layers.run(_trunk(models.network, heads), x))


@torch.no_grad()
def outputs(ensemble: Ensemble, x: Tensor) -> Float[Tensor, "models n ..."]:
    """What the models say of each of the inputs ``x``, in evaluation mode, on the models' device."""
    models = ensemble.copy().eval()
    with exact_arithmetic():
        return torch.cat([models(part.to(models.device)) for part in x.split(BATCH)], dim=1)


def in_parts(ensemble: Ensemble, examples: int) -> Iterator[Ensemble]:
    """The models, as many at a time as what is kept of so many examples leaves room for."""
    size = max(1, EXAMPLES // examples)
    for first in range(0, len(ensemble), size):
        yield ensemble.take(range(first, min(first + size, len(ensemble))))


def _trunk(network: nn.Module, heads: list[str]) -> nn.Module:
    """All before the heads: of layers in a row those that come earlier, which the stack has rules for."""
    if type(network) is nn.Sequential and heads[0] in network._modules:
        children: list[nn.Module] = list(network)
        return nn.Sequential(*children[: list(network._modules).index(heads[0])])
    return LayerInputs(network, heads, read=lambda layer, given: given)


def _joined(found: Tensor | dict[str, list[Tensor]]) -> Float[Tensor, "models batch d"]:
    """Features in a row; those of several heads, as they went in last, side by side."""
    each = [found] if isinstance(found, Tensor) else [given[-1] for given in found.values()]
    return torch.cat([given.flatten(2) for given in each], dim=2)


def _heads(models: Ensemble, x: Tensor) -> list[str]:
    """The path of the last layer that runs, of each voter; none unless all are linear."""
    model = models[0].eval()
    ran: list[str] = []
    for path, layer in model.named_modules():  # an ordinary module of ours alone: its hooks go with it
        if isinstance(layer, nn.Linear | _ConvNd):
            layer.register_forward_pre_hook(partial(_note, ran, path))
    given = x.to(models.device).clone()  # which the model may change
    model(given.float() if x.dtype == torch.float16 else given)
    voters = isinstance(model, Vote)
    last = {path.split(".")[1] if voters else "": path for path in ran}
    linear = all(isinstance(model.get_submodule(path), nn.Linear) for path in last.values())
    return list(last.values()) if linear else []


def _note(ran: list[str], path: str, layer: nn.Module, inputs: tuple[Any, ...]) -> None:
    ran.append(path)


def _stacked(x: Tensor, models: Ensemble) -> Tensor:
    x = x.to(models.device)
    x = x.float() if x.dtype == torch.float16 else x
    return x.expand(len(models), *x.shape)

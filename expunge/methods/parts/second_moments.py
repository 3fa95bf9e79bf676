"""Second moments of what goes into linear layers and convolutions: which directions of a layer's inputs are used."""

from collections.abc import Iterable, Iterator, Sequence
from math import prod

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from expunge.ensembles import layers
from expunge.ensembles.device import exact_arithmetic
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.layer_inputs import LayerInputs
from expunge.methods.parts.layers import layer, weights
from expunge.suites.suite import Examples

BATCH = 128  # examples of each model that pass at once
ROOM = 2**26  # numbers that the moments of several models may be at once

Moments = dict[str, Float[Tensor, "models groups d d"]]  # by the paths of layers


@torch.no_grad()
def second_moments(
    ensemble: Ensemble, examples: Examples, rows: Int[Tensor, "models n"], paths: Iterable[str]
) -> Moments:
    """``sum_i z_i z_i^T`` of all inputs ``z_i`` of each layer, float64: of every position where there are several.

    An input of a convolution is what its kernel covers, in the order of the weights, each group of channels for
    itself. In evaluation mode; each example counts as a pass forward. A layer that does not run as a module has none.
    """
    models = ensemble.copy().eval()
    inside = LayerInputs(models.network, paths, moment)
    found: Moments = {}
    for part in rows.split(BATCH, dim=1):
        x = examples.x[part]
        models.meter.count(part.numel())
        with exact_arithmetic():
            seen = layers.run(inside, x.float() if x.dtype == torch.float16 else x)
        for path, each in seen.items():
            for value in each:
                found[path] = found[path] + value if path in found else value
    return found


def moment(module: nn.Module, x: Tensor) -> Float[Tensor, "groups d d"]:
    """``sum_i z_i z_i^T`` of one call of a layer."""
    rows = (patches(module, x) if isinstance(module, _ConvNd) else x.flatten(0, -2)[None]).double()
    result: Tensor = rows.mT @ rows
    return result


def patches(module: _ConvNd, x: Float[Tensor, "batch channels ..."]) -> Float[Tensor, "groups n d"]:
    """What the kernel covers at each position, padding included: its product with the flat weights is the output."""
    mode, axes = module.padding_mode, len(module.kernel_size)
    x = F.pad(x, module._reversed_padding_repeated_twice, "constant" if mode == "zeros" else mode)
    for axis, (size, step, apart) in enumerate(zip(module.kernel_size, module.stride, module.dilation, strict=True)):
        x = x.unfold(2 + axis, apart * (size - 1) + 1, step)[..., ::apart]
    x = x.unflatten(1, (module.groups, -1))  # (batch, groups, channels, *places, *kernel)
    x = x.permute(1, 0, *range(3, 3 + axes), 2, *range(3 + axes, 3 + 2 * axes))
    rows: Tensor = x.reshape(module.groups, -1, prod(x.shape[2 + axes :]))
    return rows


def in_groups(module: nn.Module, weight: Float[Tensor, "models ..."]) -> Float[Tensor, "models groups out d"]:
    """The weights of a layer as matrices that multiply its inputs."""
    groups = module.groups if isinstance(module, _ConvNd) else 1
    rows: Tensor = weight.flatten(2).unflatten(1, (groups, -1))
    return rows


def as_many_as_fit(ensemble: Ensemble, paths: Sequence[str]) -> Iterator[slice]:
    """Models in a row whose moments there is room for."""
    found = zip(paths, weights(ensemble, paths).values(), strict=True)
    shapes = [in_groups(layer(ensemble, path), weight).shape for path, weight in found]
    together = max(1, ROOM // sum(groups * width**2 for _, groups, _, width in shapes))
    return (slice(first, first + together) for first in range(0, len(ensemble), together))

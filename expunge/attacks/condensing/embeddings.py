"""Networks that condensed data is made for and judged by, and what they compute before their classifier."""

import copy
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.origin import Origin
from expunge.ensembles.plan import new_networks
from expunge.errors import BadSetting, lookup
from expunge.suites.networks import convnet, perceptron
from expunge.suites.suite import Suite

Make = Callable[[], nn.Module]  # a new network at each call; can be pickled


@runtime_checkable
class Fitting(Protocol):
    """What makes networks for the shapes of a suite; ``width`` is that of hidden layers, where they are not given."""

    def __call__(self, suite: Suite, width: int) -> Make: ...


def network_for(suite: Suite, name: str, width: int = 32) -> Make:
    """What makes networks ``name`` of NETWORKS for the data of ``suite``; BadSetting where they do not fit."""
    return lookup("embedding", name, NETWORKS)(suite, width)


def _own(suite: Suite, width: int) -> Make:
    return suite.network


def _convnet(suite: Suite, width: int) -> Make:
    """With as many of three blocks as leave each InstanceNorm 4 x 4 pixels or more.

    Of 2 x 2 it makes little more than signs, and gradients by pixels that no rate fits: gradient matching diverges.
    """
    channels, *sides = _picture(suite, "convnet", least=2)
    depth = min(3, max(1, int(math.log2(min(sides))) - 1))
    return partial(convnet, channels, sides[0], sides[1], suite.data.classes, filters=width, depth=depth)


def _lenet(suite: Suite, width: int) -> Make:
    return partial(small_lenet, *_picture(suite, "lenet", least=4), suite.data.classes)


def _perceptron(suite: Suite, width: int) -> Make:
    return partial(perceptron, suite.data.train.x[0].numel(), suite.data.classes, hidden=width)


def small_lenet(channels: int, height: int, width_px: int, classes: int) -> nn.Module:
    """LeCun et al. 1998's layers for any size: two convolutions with pooling, 6 and 16 channels, and 120, 84 units."""
    convolutions = [nn.Conv2d(channels, 6, 5, padding=2), nn.Conv2d(6, 16, 5, padding=2)]
    pooled = [layer for conv in convolutions for layer in (conv, nn.ReLU(), nn.MaxPool2d(2))]
    hidden = [nn.Linear(16 * (height // 4) * (width_px // 4), 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU()]
    return nn.Sequential(*pooled, nn.Flatten(), *hidden, nn.Linear(84, classes))


def _picture(suite: Suite, name: str, least: int) -> tuple[int, int, int]:
    """Channels, height and width of the pictures of a suite, or the line that says what fits."""
    shape = tuple(suite.data.train.x.shape[1:])
    if len(shape) != 3 or min(shape[1:]) < least:
        raise BadSetting(
            f"embedding {name!r} takes pictures (channels, height, width) of {least} x {least} or more, {suite.name} "
            f"has inputs of {shape}; choose suite or perceptron"
        )
    channels, height, width = shape
    return channels, height, width


NETWORKS: dict[str, Fitting] = {"suite": _own, "convnet": _convnet, "perceptron": _perceptron, "lenet": _lenet}


def before_classifier(network: nn.Module) -> nn.Module | None:
    """``network`` without its last linear layer and what follows it; None where it has no such layer."""
    linear = [(path, layer) for path, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    if not linear or linear[-1][1] is network:
        return None
    path = linear[-1][0]
    if isinstance(network, nn.Sequential) and "." not in path:
        return nn.Sequential(*list(network)[: list(network._modules).index(path)])
    cut = copy.deepcopy(network)
    parent, _, name = path.rpartition(".")
    setattr(cut.get_submodule(parent), name, nn.Identity())
    return cut


def check_embedding(suite: Suite, name: str, make: Make) -> None:
    """Refuse networks without an output before the classifier: two examples are run through one."""
    [network] = new_networks(make, [0])
    cut = before_classifier(network.eval())
    x = suite.data.train.take(np.arange(2)).x.float()
    if cut is None or not list(cut.parameters()) or not _is_embedding(network, cut, x):
        raise BadSetting(
            f"embedding {name!r}: expected a network whose last layer with parameters is linear and not its only one, "
            f"got {suite.name}'s, which has no output before its classifier; choose {_alternatives(suite)}"
        )


def _is_embedding(network: nn.Module, cut: nn.Module, x: Tensor) -> bool:
    """Whether the last linear layer of ``network`` takes what ``cut`` gives, up to the layers after it."""
    seen: list[Tensor] = []
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
    hook = last.register_forward_pre_hook(lambda layer, given: seen.append(given[0]))
    with torch.no_grad():
        network(x.clone())  # copies, which they may change
        found = cut(x.clone())
    hook.remove()
    return len(seen) == 1 and found.ndim == 2 and torch.allclose(seen[0], found, rtol=1e-4, atol=1e-5)


def _alternatives(suite: Suite) -> str:
    fits = []
    for name in ("convnet", "perceptron"):
        try:
            network_for(suite, name)
        except BadSetting:
            continue
        fits.append(name)
    return " or ".join(fits)


def fresh(suite: Suite, make: Make, seeds: Sequence[int], dtype: torch.dtype = torch.float32) -> Ensemble:
    """New networks, one for each seed, stacked: their first weights follow from their seeds alone."""
    origin = Origin(suite.address, suite.digest, "subset", None, tuple(range(len(seeds))))
    return Ensemble.stack(new_networks(make, seeds), origin, suite.data.train.x.shape[1:]).to(dtype)


def embedding(make: Make) -> nn.Module:
    """A new network without its classifier; what :func:`check_embedding` let pass has one."""
    cut = before_classifier(make())
    assert cut is not None
    return cut

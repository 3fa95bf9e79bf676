"""Layers by their paths, in the order in which the network holds them, which is the order of its forward pass.

Layers that are frozen as a whole are none.
"""

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from expunge.ensembles.ensemble import Ensemble
from expunge.errors import MethodFailed


def convolutions(ensemble: Ensemble) -> list[str]:
    """The paths of all convolutions; a network without one is a MethodFailed."""
    return _of_kind(ensemble, _ConvNd, "convolution")


def linears(ensemble: Ensemble) -> list[str]:
    """The paths of all linear layers; a network without one is a MethodFailed."""
    return _of_kind(ensemble, nn.Linear, "linear layer")


def last_linear(ensemble: Ensemble) -> str:
    """The path of the last linear layer: the classifier."""
    return linears(ensemble)[-1]


def weighted(ensemble: Ensemble) -> list[str]:
    """The paths of all convolutions and linear layers; a network without either is a MethodFailed."""
    return _of_kind(ensemble, (_ConvNd, nn.Linear), "convolution or linear layer")


def layer(ensemble: Ensemble, path: str) -> nn.Module:
    """The stacked layer at ``path``."""
    return ensemble.network.get_submodule(path)


def weights(ensemble: Ensemble, paths: Iterable[str]) -> dict[str, Tensor]:
    """The weights of the layers at ``paths`` by their keys in ``state()``: the stacked parameters themselves.

    A weight that is computed of others, as weight norm does, is no parameter: a MethodFailed.
    """
    return {f"{path}.weight".lstrip("."): _weight(ensemble, path) for path in paths}


def _weight(ensemble: Ensemble, path: str) -> nn.Parameter:
    weight = layer(ensemble, path)._parameters.get("weight")
    if weight is None:
        raise MethodFailed(f"expected layer {path!r} to have a weight of its own, it is computed of others, or frozen")
    return weight


def _of_kind(ensemble: Ensemble, kind: type[nn.Module] | tuple[type[nn.Module], ...], name: str) -> list[str]:
    layers = [(path, module) for path, module in ensemble.network.named_modules() if isinstance(module, kind)]
    found = [path for path, module in layers if list(module.parameters())]
    if not found:
        frozen = " that is not frozen" if layers else ""
        raise MethodFailed(f"expected a network with a {name}{frozen}, found none")
    return found

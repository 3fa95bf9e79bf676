"""Layers by their paths, in the order in which the network holds them, which is the order of its forward pass."""

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
    """The weights of the layers at ``paths`` by their keys in ``state()``: the stacked parameters themselves."""
    return {f"{path}.weight".lstrip("."): layer(ensemble, path).get_parameter("weight") for path in paths}


def _of_kind(ensemble: Ensemble, kind: type[nn.Module] | tuple[type[nn.Module], ...], name: str) -> list[str]:
    found = [path for path, module in ensemble.network.named_modules() if isinstance(module, kind)]
    if not found:
        raise MethodFailed(f"expected a network with a {name}, found none")
    return found

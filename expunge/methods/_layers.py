"""Layers by their paths, in the order in which the network holds them, which is the order of its forward pass."""

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


def layer(ensemble: Ensemble, path: str) -> nn.Module:
    """The stacked layer at ``path``."""
    return ensemble.network.get_submodule(path)


def weight(ensemble: Ensemble, path: str) -> Tensor:
    """The weight of the stacked layer at ``path``, ``(models, ...)``: the parameter itself."""
    parameter: Tensor = layer(ensemble, path).get_parameter("weight")
    return parameter


def _of_kind(ensemble: Ensemble, kind: type[nn.Module], name: str) -> list[str]:
    found = [path for path, module in ensemble.network.named_modules() if isinstance(module, kind)]
    if not found:
        raise MethodFailed(f"expected a network with a {name}, found none")
    return found

"""The last layers of a network, counted from the output; and all before them frozen."""

from collections.abc import Sequence

from torch import nn

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.optimizers import NORMS
from expunge.errors import MethodFailed


def last_layers(ensemble: Ensemble, count: int) -> list[str]:
    """The paths of the modules of the last ``count`` of :func:`layers_of` its network; 0 is all layers."""
    groups = layers_of(ensemble.network)
    if count > len(groups):
        raise MethodFailed(f"expected a network of at least {count} layers with parameters, found {len(groups)}")
    return [path for group in groups[-count:] for path in group]


def layers_of(network: nn.Module) -> list[list[str]]:
    """The paths of the modules of each layer with parameters; of a held network these are not frozen.

    A normalisation layer belongs to the layer before it, and what computes a layer's weight, as torch's spectral norm
    does, to that layer.
    """
    groups: list[list[str]] = []
    modules = dict(network.named_modules())
    for path, module in modules.items():
        if not _holds_tensors(module):
            continue
        if groups and (isinstance(module, NORMS) or _layer_of(path) == _layer_of(groups[-1][0])):
            groups[-1].append(path)
        else:
            groups.append([path])
    return [group for group in groups if any(list(modules[path].parameters(recurse=False)) for path in group)]


def _layer_of(path: str) -> str:
    """The path of the layer whose weight the module at ``path`` computes; ``path`` itself of any other."""
    return path.partition("parametrizations.")[0].rstrip(".")


def freeze_all_but(student: Ensemble, paths: Sequence[str]) -> None:
    """No gradient for the weights outside the modules at ``paths``; their running statistics stand still."""
    for module in _outside(student, paths):
        module.training = False
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(False)


def thaw(student: Ensemble, like: Ensemble) -> Ensemble:
    """``student`` with gradients again where ``like`` has them."""
    for parameter, other in zip(student.parameters(), like.parameters(), strict=True):
        parameter.requires_grad_(other.requires_grad)
    return student


def _outside(student: Ensemble, paths: Sequence[str]) -> list[nn.Module]:
    return [module for path, module in student.network.named_modules() if path not in paths and _holds_tensors(module)]


def _holds_tensors(module: nn.Module) -> bool:
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return bool(own)

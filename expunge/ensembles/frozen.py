"""Frozen parts of a network, parameters without gradient: they are held where they are, whatever a method does.

While a method runs they are buffers, under the same names: no optimizer, curvature, noise or mask over parameters meets
them.
"""

from torch import Tensor, nn

_MARK = "_expunge_frozen"  # on a module: the names of what is held in it


def frozen_names(network: nn.Module) -> set[str]:
    """The names, as in a state dict, of what is held or could be: frozen parameters."""
    modules = list(network.named_modules(remove_duplicate=False))  # a layer may have several names, and its tensors too
    held = {f"{path}.{name}".lstrip(".") for path, module in modules for name in vars(module).get(_MARK, ())}
    named = network.named_parameters(remove_duplicate=False)
    return held | {name for name, parameter in named if not parameter.requires_grad}


def hold(network: nn.Module) -> nn.Module:
    """Make the frozen parameters of ``network`` buffers, in place; where all are frozen, nothing is held."""
    if not any(parameter.requires_grad for parameter in network.parameters()):
        return network
    held: dict[int, Tensor] = {}  # what is tied stays one
    for module in network.modules():
        names = [name for name, each in module._parameters.items() if each is not None and not each.requires_grad]
        for name in names:
            parameter = module._parameters.pop(name)
            assert parameter is not None
            module.register_buffer(name, held.setdefault(id(parameter), parameter.data))
        if names:
            vars(module)[_MARK] = (*vars(module).get(_MARK, ()), *names)
    return network


def release(network: nn.Module) -> nn.Module:
    """Make what is held parameters again, in place."""
    released: dict[int, nn.Parameter] = {}
    for module in network.modules():
        for name in vars(module).pop(_MARK, ()):
            held = module._buffers.pop(name)
            assert held is not None
            module.register_parameter(name, released.setdefault(id(held), nn.Parameter(held, requires_grad=False)))
    return network

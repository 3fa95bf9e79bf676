"""Layers drawn anew, as their own ``reset_parameters`` draws them, for every model from its own stream.

A method is not given the function that made the networks. Where that initialises in a way of its own, as the Kaiming
normal weights of ``resnet18_large``, what is drawn here is what the layers' classes draw by default instead.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.errors import MethodFailed


def fresh(ensemble: Ensemble, rng: Generators) -> Ensemble:
    """A copy of ``ensemble`` with all layers newly initialised, running statistics included."""
    result = ensemble.copy()
    reset_layers(result, [""], rng)
    return result


def reset_layers(student: Ensemble, paths: Iterable[str], rng: Generators) -> None:
    """Initialise the layers at ``paths``, and all that is within them, anew in place."""
    reset_by_seeds(student, paths, new_seeds(rng))


@torch.no_grad()
def reset_by_seeds(student: Ensemble, paths: Iterable[str], seeds: Sequence[int]) -> None:
    """:func:`reset_layers`, each model's weights drawn from its own of ``seeds``.

    All layers, with the seeds of a training, have the first weights of that training.
    """
    state = student.state()
    for key, tensor in _weights_of(student, paths, seeds).items():
        state[key].copy_(tensor)


def new_seeds(rng: Generators) -> list[int]:
    """A seed for each model, from its own stream."""
    seeds: list[int] = rng.integers(2**62, 1).flatten().cpu().tolist()
    return seeds


def first_weights(ensemble: Ensemble, paths: Iterable[str], rng: Generators) -> dict[str, Tensor]:
    """What a new initialisation of the layers at ``paths`` gives: their tensors by their keys in ``state()``.

    It is drawn on the CPU, like the first weights of a training.
    """
    return _weights_of(ensemble, paths, new_seeds(rng))


def _weights_of(ensemble: Ensemble, paths: Iterable[str], seeds: Sequence[int]) -> dict[str, Tensor]:
    template = ensemble[0].cpu()
    resets = _resets(template, paths)
    keys = [key for path in resets for key in _own_keys(template, path)]
    drawn: list[dict[str, Tensor]] = []
    for seed in seeds:
        with torch.random.fork_rng(devices=[]):  # layers draw their initial weights from the global generator
            torch.manual_seed(seed)
            network = copy.deepcopy(template)
            for path in resets:
                _reset_of(network.get_submodule(path))()
        state = network.state_dict()
        drawn.append({key: state[key] for key in keys})
    return {key: torch.stack([each[key] for each in drawn]).to(ensemble.device) for key in keys}


def _resets(network: nn.Module, paths: Iterable[str]) -> list[str]:
    """The layers to reset, in the order in which a network is made: those within others first, for a parent may
    initialise its children in its own way; else the first first."""
    found = []
    for path in dict.fromkeys(inner for chosen in paths for inner in _inner_first(network, chosen)):
        module = network.get_submodule(path)
        if hasattr(module, "reset_parameters") or hasattr(module, "_reset_parameters"):
            found.append(path)
        elif any(True for _ in module.parameters(recurse=False)):
            raise MethodFailed(
                f"{type(module).__name__} (layer {path!r}) has parameters, but no reset_parameters() to draw them anew"
            )
    return found


def _inner_first(network: nn.Module, path: str) -> Iterator[str]:
    for name, _ in network.get_submodule(path).named_children():
        yield from _inner_first(network, f"{path}.{name}".lstrip("."))
    yield path


def _reset_of(module: nn.Module) -> Callable[[], None]:
    """Attention has its own under a name with an underscore."""
    name = "reset_parameters" if hasattr(module, "reset_parameters") else "_reset_parameters"
    reset: Callable[[], None] = getattr(module, name)
    return reset


def _own_keys(network: nn.Module, path: str) -> list[str]:
    module = network.get_submodule(path)
    prefix = f"{path}." if path else ""
    kept = network.state_dict().keys()
    tensors = {**module._parameters, **module._buffers}
    return [prefix + name for name in tensors if prefix + name in kept]

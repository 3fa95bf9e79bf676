"""Layers drawn anew, as the suite's own function draws a network, for every model from its own stream.

A whole network is drawn, in the order of a training's first weights, and only the layers asked for are taken from it.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.frozen import frozen_names
from expunge.ensembles.plan import new_networks
from expunge.ensembles.seeds import Generators

Network = Callable[[], nn.Module]


def fresh(ensemble: Ensemble, network: Network, rng: Generators) -> Ensemble:
    """A copy of ``ensemble`` with all layers newly initialised, running statistics included."""
    result = ensemble.copy()
    reset_layers(result, [""], network, rng)
    return result


def reset_layers(student: Ensemble, paths: Iterable[str], network: Network, rng: Generators) -> None:
    """Initialise the layers at ``paths``, and all that is within them, anew in place."""
    reset_by_seeds(student, paths, network, new_seeds(rng))


@torch.no_grad()
def reset_by_seeds(student: Ensemble, paths: Iterable[str], network: Network, seeds: Sequence[int]) -> None:
    """:func:`reset_layers`, each model's weights drawn from its own of ``seeds``, on the CPU.

    With the seeds of a training they are the first weights of that training. Frozen parts stay as they are.
    """
    prefixes, frozen = tuple(f"{path}." if path else "" for path in paths), frozen_names(student.network)
    chosen = {key: each for key, each in student.state().items() if key.startswith(prefixes) and key not in frozen}
    for row, seed in enumerate(seeds):
        (drawn,) = new_networks(network, [seed])
        state = drawn.state_dict()
        for key, tensor in chosen.items():
            tensor[row].copy_(state[key])


def new_seeds(rng: Generators) -> list[int]:
    """A seed for each model, from its own stream."""
    seeds: list[int] = rng.integers(2**62, 1).flatten().cpu().tolist()
    return seeds

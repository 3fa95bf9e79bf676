"""A network called with other tensors than its own; weights that it ties stay tied, layers of several names are one."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn


def called(network: nn.Module, tensors: Mapping[str, Tensor], x: Any) -> Any:
    """``network(x)`` with ``tensors``, by their names in ``named_parameters`` and ``named_buffers``, for its own.

    Every module is given them once. Torch's own tying gives a layer of two names a tensor under each, and puts back
    under the second what it has just put under the first.
    """
    first: dict[int, str] = {}
    placed = {
        name: tensors[known] for name, own in _places(network) if (known := first.setdefault(id(own), name)) in tensors
    }
    return torch.func.functional_call(network, placed, (x,), tie_weights=False)


def tensors_of(network: nn.Module) -> dict[str, Tensor]:
    """Its parameters and buffers, each by its first name."""
    return dict(network.named_parameters()) | dict(network.named_buffers())


def _places(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Where the network holds tensors: each name of a tensor in a module, under the first name of the module."""
    for path, module in network.named_modules():
        for name, own in [*module._parameters.items(), *module._buffers.items()]:
            if own is not None:
                yield f"{path}.{name}".lstrip("."), own

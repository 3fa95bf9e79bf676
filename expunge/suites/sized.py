"""Networks with lazy layers, which learn their sizes from the first input they see: sized as they are made."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from expunge.errors import BadSetting
from expunge.suites.data import Data


@dataclass(frozen=True, eq=False)
class Sized:
    """``make``, but that a new network with lazy layers is shown an example of ``data``, in evaluation, at once.

    Their first weights are drawn then, so that whoever seeds the making seeds them too.
    """

    make: Callable[[], nn.Module]
    data: Data  # not read before a lazy layer asks

    def __repr__(self) -> str:
        return getattr(self.make, "__qualname__", repr(self.make))

    def __call__(self) -> nn.Module:
        """A new network; :class:`BadSetting` where it is none, or a layer that no input comes to has no size."""
        network = self.make()
        if not isinstance(network, nn.Module) or not list(network.parameters()):
            raise BadSetting(
                f"expected network() to return a torch.nn.Module with parameters, got {type(network).__name__}"
            )
        if not unsized(network):
            return network
        modes = {module: module.training for module in network.modules()}
        x = self.data.train.x[:1].clone()  # which it may change
        with torch.no_grad():
            network.eval()(x.float() if x.dtype == torch.float16 else x)
        for module, training in modes.items():
            module.training = training
        if left := unsized(network):
            raise BadSetting(f"{left[0]} of the network has no size: no input comes to it; leave that layer out")
        return network


def inner(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """The function itself, where it was made :class:`Sized`."""
    return make.make if isinstance(make, Sized) else make


def unsized(network: nn.Module) -> list[str]:
    """Names of parameters and buffers that have no shape yet."""
    both = [*network.named_parameters(), *network.named_buffers()]
    return [name for name, each in both if is_lazy(each)]

"""What goes into single layers of a network, of all models of a stack at once."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from torch import Tensor, nn

Read = Callable[[nn.Module, Tensor], Tensor]


class LayerInputs(nn.Module):
    """A network of any kind that runs whole and gives, in place of its outputs, what went into the layers at ``paths``.

    ``read(layer, input)`` says what is kept of an input; a layer that runs several times has as many entries, one that
    does not run as a module has none. ``layers.run`` of it, on ``(models, batch, ...)``, gives them stacked: what a
    layer of a stack is handed can be seen from within only.
    """

    def __init__(self, network: nn.Module, paths: Iterable[str], read: Read) -> None:
        super().__init__()
        self.network, self.paths, self.read = network, tuple(paths), read

    def forward(self, x: Tensor) -> dict[str, list[Tensor]]:
        seen: dict[str, list[Tensor]] = {path: [] for path in self.paths}
        layer = self.network.get_submodule
        hooks = [layer(path).register_forward_pre_hook(partial(self._keep, seen[path])) for path in self.paths]
        try:
            self.network(x)
        finally:
            for hook in hooks:
                hook.remove()
        return seen

    def _keep(self, seen: list[Tensor], layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen.append(self.read(layer, inputs[0]))

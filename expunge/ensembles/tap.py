"""A layer of a stack that remembers what went through it."""

from typing import Any

from torch import Tensor, nn


class Tap(nn.Module):
    """``layer``, and what it was last given and gave, of all models at once: ``(models, batch, ...)`` each.

    The layer is one with a rule in :data:`expunge.ensembles.layers.LAYERS`, reached by rules alone: inside ``vmap`` a
    layer sees one model only.
    """

    given: Tensor
    gave: Tensor

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Any:
        return self.layer(x)

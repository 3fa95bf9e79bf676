"""Which weights a recipe prunes, and how many: ``omp:0.95`` as a record."""

import re
from dataclasses import dataclass

from torch import nn

from expunge.errors import BadSetting, lookup

PRUNINGS = {
    "omp": "one-shot magnitude: train, prune the smallest weights of all layers at once, rewind, train again",
    "imp": "iterative magnitude: as omp, a fifth of the remaining weights a round",
    "synflow": "synaptic flow: prune the first weights without any data, then train",
}


@dataclass(frozen=True)
class Pruning:
    """A way of pruning and the share of the prunable weights that it sets to 0, the same in every model."""

    method: str
    sparsity: float

    def __post_init__(self) -> None:
        lookup("pruning", self.method, PRUNINGS)
        if not 0 <= self.sparsity < 1:
            raise BadSetting(f"prune: expected a sparsity in [0, 1), got {self.sparsity:g}")

    @classmethod
    def parse(cls, text: str) -> "Pruning":
        """The pruning that ``METHOD:SPARSITY`` spells.

        >>> Pruning.parse("omp:.950")
        Pruning(method='omp', sparsity=0.95)
        """
        method, _, share = text.partition(":")
        if not re.fullmatch(r"-?\d*\.?\d+(e-?\d+)?", share):
            raise BadSetting(f"prune: expected METHOD:SPARSITY, for example omp:0.95, got {text!r}")
        return cls(method, float(share))

    def __str__(self) -> str:
        return f"{self.method}:{self.sparsity!r}"

    def count(self, weights: int) -> int:
        """How many of so many weights are set to 0."""
        return round(self.sparsity * weights)


def prunable(network: nn.Module) -> list[str]:
    """Names of the weights that pruning chooses from: those of the convolutions, as in the paper.

    A network without a convolution gives those of its linear layers but the last, which is the classifier. Biases and
    normalisation are never pruned.
    """
    named = list(network.named_modules())
    convolutions = [name for name, layer in named if isinstance(layer, nn.Conv2d)]
    linear = [name for name, layer in named if isinstance(layer, nn.Linear)]
    layers = convolutions or linear[:-1]
    if not layers:
        raise BadSetting("prune: expected a network with a convolution or a hidden linear layer, found none to prune")
    return [f"{name}.weight" if name else "weight" for name in layers]

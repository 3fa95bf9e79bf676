"""Prune first: cut the smallest weights of the convolutions, keep them at zero, and fine-tune the rest."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.errors import MethodFailed
from expunge.methods.method import Method
from expunge.methods.needs import RETAIN_DATA
from expunge.methods.parts.layers import layer, weighted, weights
from expunge.methods.parts.masks import scale_gradients, smallest
from expunge.methods.parts.rows import in_one_row
from expunge.methods.parts.walks import Walk, descend_from, passes, require, training_loss
from expunge.methods.spaces import Between, Published
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class PruneFirst(Walk):
    """``m = 1`` but for the share ``sparsity`` of the smallest ``|w|``; minimise ``CE(retain)`` over ``m w``.

    ``w`` are the weights of all convolutions together or, where there is none, of the linear layers; each model has
    its own mask ``m``, and keeps it. One-shot magnitude pruning before fine-tuning: Jia et al. 2023, arXiv:2304.04934.
    """

    epochs: int = 2
    lr: float = 0.1
    sparsity: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.sparsity < 1, "sparsity must lie in [0, 1)", self.sparsity)


def prune_first(ensemble: Ensemble, split: Split, cfg: PruneFirst, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each pass over the retained examples; what was cut is exactly zero."""
    student = ensemble.copy()
    kept = masks(student, cfg.sparsity)
    with torch.no_grad():
        for key, mask in kept.items():
            student.state()[key].mul_(mask)
    scale_gradients(student, kept)
    yield from descend_from(student, cfg, passes(training_loss(split), split.retain, cfg, rng))


@torch.no_grad()
def masks(ensemble: Ensemble, sparsity: float) -> dict[str, Bool[Tensor, "models ..."]]:
    """False at the weights to cut, True at those to keep; a layer without any to keep is a MethodFailed."""
    paths = weighted(ensemble)
    convolutions = [path for path in paths if not isinstance(layer(ensemble, path), nn.Linear)]
    tensors = weights(ensemble, convolutions or paths)
    flat = in_one_row(tensors.values()).abs()
    kept = ~smallest(flat, round(sparsity * flat.shape[1]))
    parts = kept.split([each[0].numel() for each in tensors.values()], dim=1)
    for key, part in zip(tensors, parts, strict=True):
        if (~part.any(1)).any():
            name = key.removesuffix("weight").rstrip(".")
            raise MethodFailed(f"sparsity {sparsity} leaves layer {name!r} without a weight; choose a lower one")
    return {key: part.view_as(tensors[key]) for key, part in zip(tensors, parts, strict=True)}


METHOD = Method(
    unlearn=prune_first,
    config=PruneFirst,
    summary="prune the smallest weights, then fine-tune the others on the retained examples",
    cite=("jia2023",),
    needs=(RETAIN_DATA,),
    search={"lr": Between(1e-3, 1.0, log=True), "sparsity": Between(0.1, 0.95), "epochs": Between(1, 16, whole=True)},
    published=(
        Published("the authors' code, 10 % of CIFAR-10 at random", {"lr": 0.01, "epochs": 10, "sparsity": 0.95}),
    ),
    deviations="The public code prunes, rewinds the weights to an early epoch and trains on all examples before it "
    "unlearns; here the models are given, and what is pruned is the given one, with no training on the forget set. "
    "Without convolutions all linear layers are pruned, the classifier too.",
)

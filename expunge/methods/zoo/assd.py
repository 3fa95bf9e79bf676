"""Adaptive selective synaptic dampening: who is dampened follows from the share of the examples to forget."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.method import Method
from expunge.methods.needs import CLASSES, FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.dampening import dampen
from expunge.methods.parts.per_sample import mean_square
from expunge.methods.parts.walks import require
from expunge.methods.spaces import OneOf
from expunge.methods.zoo.ssd import sampled_importance
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class Assd:
    """``theta *= min(F / F_f, 1)`` where ``F_f > alpha F``, and alpha is chosen from the data, for each model.

    alpha is the percentile ``100 - ln(1 + 100 |forget| / |train|)`` of ``F_f / F`` over all weights: 0.7 % of them are
    dampened where 1 % of the examples is forgotten, 2.4 % where 10 % is. F and ``retain_examples`` as in ``ssd``.
    Schoepf et al. 2024, arXiv:2402.10098.
    """

    retain_examples: int = 512

    def __post_init__(self) -> None:
        require(self.retain_examples >= 1, "retain_examples must be at least 1", self.retain_examples)


def assd(ensemble: Ensemble, split: Split, cfg: Assd, rng: Generators) -> Iterator[Ensemble]:
    """Yield the dampened ensemble."""
    forget, everything = sampled_importance(ensemble, split, rng, cfg.retain_examples, mean=mean_square, group=1)
    share = len(split.forget) / (len(split.forget) + len(split.retain))
    alpha = percentile(forget / everything, 100 - math.log1p(100 * share))
    yield dampen(ensemble, forget, everything, alpha, dampening=1.0)


def percentile(values: Float[Tensor, "models d"], percent: float) -> Float[Tensor, "models 1"]:
    """A percentile of the numbers of each row that are numbers, 0/0 left out; linear between its neighbours."""
    ordered = values.nan_to_num(nan=torch.inf).sort(1).values
    count = values.isnan().logical_not().sum(1, keepdim=True)
    place = (count - 1).clamp(min=0).to(values.dtype) * (percent / 100)
    below = place.floor()
    low = ordered.gather(1, below.long())
    high = ordered.gather(1, place.ceil().long())
    return low + (high - low) * (place - below)


METHOD = Method(
    unlearn=assd,
    config=Assd,
    summary="selective synaptic dampening that chooses its threshold by the share of examples to forget",
    cite=("schoepf2024", "foster2024"),
    needs=(FORGET_DATA, RETAIN_DATA, CLASSES),
    search={"retain_examples": OneOf((256, 512, 1024))},
    deviations="The published code squares the gradients of batch means; here the squares are those of single "
    "examples, and F is estimated from a draw of the retained ones. Its F is of the retained examples alone, F_r: the "
    "percentile, which there leaves infinite ratios out, selects nearly the same weights, but dampens them by F_r / "
    "F_f, here by F / F_f.",
)

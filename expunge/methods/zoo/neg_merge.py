"""NegMerge: fine-tune on the forget set in several ways, and take away what all of them agree on."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.method import Method
from expunge.methods.needs import FORGET_DATA
from expunge.methods.parts.per_sample import flat_weights, with_weights
from expunge.methods.parts.task_vectors import task_vectors
from expunge.methods.parts.walks import Walk, require
from expunge.methods.spaces import Between, OneOf, Published
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class NegMerge(Walk):
    """``theta_0 - scale tau``, where tau is the mean of the task vectors of ``tunes`` fine-tunes on the forget set.

    Elements on whose sign not all of them agree are 0 in tau. Fine-tune k has the learning rate ``lr ratio^k`` and
    orders of its own. Kim et al. 2025, arXiv:2410.05583.
    """

    epochs: int = 2
    lr: float = 0.01
    tunes: int = 3
    ratio: float = 3.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.tunes >= 2, "tunes must be at least 2", self.tunes)
        require(self.ratio > 0, "ratio must be above 0", self.ratio)
        require(self.scale != 0, "scale must not be 0", self.scale)


def neg_merge(ensemble: Ensemble, split: Split, cfg: NegMerge, rng: Generators) -> Iterator[Ensemble]:
    """Yield, for each epoch of fine-tuning, the ensemble less what all fine-tunes gained; its buffers stay."""
    start = flat_weights(ensemble)
    rates = [cfg.lr * cfg.ratio**number for number in range(cfg.tunes)]
    tunes = [task_vectors(ensemble, split, replace(cfg, lr=rate), rng) for rate in rates]
    for vectors in zip(*tunes, strict=True):
        yield with_weights(ensemble, start - cfg.scale * consensus(torch.stack(vectors)))


def consensus(vectors: Float[Tensor, "tunes models d"]) -> Float[Tensor, "models d"]:
    """Their mean where all have one sign, else 0."""
    signs = vectors.sign()
    return torch.where((signs == signs[0]).all(0), vectors.mean(0), 0.0)


METHOD = Method(
    unlearn=neg_merge,
    config=NegMerge,
    summary="take the part of several fine-tunes on the forget set whose sign they agree on away from the weights",
    cite=("kim2025negmerge", "ilharco2023"),
    needs=(FORGET_DATA,),
    search={
        "lr": Between(1e-5, 0.5, log=True),
        "epochs": Between(1, 20, whole=True),
        "scale": Between(0.1, 10.0, log=True),
        "ratio": OneOf((1.0, 1.5, 3.0)),
        "tunes": OneOf((2, 3, 5)),
    },
    published=(
        Published(
            "torchunlearn, the largest of its rates; three fine-tunes differ in order only",
            {"epochs": 1, "lr": 1e-3, "tunes": 3, "ratio": 1.0, "scale": 1.0},
        ),
        Published(
            "torchunlearn, the smallest of its rates", {"epochs": 1, "lr": 1e-4, "tunes": 3, "ratio": 1.0, "scale": 1.0}
        ),
    ),
    deviations="The authors' own code was not at hand. They merge all fine-tunes of a sweep over their settings; here "
    "they are a few, which differ in learning rate and order. Running statistics of BatchNorm stay what they were.",
)

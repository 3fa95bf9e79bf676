"""Fisher forgetting: noise on every weight, the more the less the retained examples depend on it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial, reduce

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.method import Method
from expunge.methods.needs import CLASSES, FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.examples import class_counts
from expunge.methods.parts.per_sample import flat_weights, in_parts, mean_square, with_weights
from expunge.methods.parts.rows import in_a_row
from expunge.methods.parts.walks import require
from expunge.methods.spaces import Between, OneOf, Published
from expunge.suites.suite import Split

VARIANTS = ("paper", "official")
FLOOR = 1e-8  # added to the Fisher information, as in the published code: a weight that does nothing has none
BATCH = 32  # of the official variant


@dataclass(frozen=True, kw_only=True)
class FisherForgetting:
    """``theta + noise`` with covariance ``alpha F^(-1/2)``; F is diagonal, of the retained examples.

    ``F = mean over x of sum over classes y of p(y|x) (d log p(y|x) / d theta)^2``: the Fisher information, for every
    single example. It is estimated from ``retain_examples`` retained ones, drawn anew for each model.

    variant "official", as in the code of Jia et al. 2023, arXiv:2304.04934: covariance ``alpha / F``, where F has
    gradients of the means over batches of 32, weighted by the mean p(y|x) of the batch. 1 / F is at most 1e3, and 1e2
    in the classifier, and averaged over the inputs of a weight; the covariance of the classifier and of one-dimensional
    weights is ten times that. A class that is forgotten whole has its row of the classifier drawn around 0 with
    variance 1e-3. Golatkar et al. 2020, arXiv:1911.04933.
    """

    alpha: float = 1e-5
    variant: str = "paper"
    retain_examples: int = 192

    def __post_init__(self) -> None:
        require(self.alpha > 0, "alpha must be above 0", self.alpha)
        require(self.variant in VARIANTS, f"variant must be one of {', '.join(VARIANTS)}", self.variant)
        require(self.retain_examples >= 1, "retain_examples must be at least 1", self.retain_examples)


def fisher_forgetting(ensemble: Ensemble, split: Split, cfg: FisherForgetting, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble with noise on its weights."""
    drawn = rng.permutation(len(split.retain))[:, : cfg.retain_examples]
    mean = flat_weights(ensemble)
    noise = rng.normal(mean.shape[1], dtype=mean.dtype)
    if cfg.variant == "paper":
        variance = cfg.alpha * (fisher(ensemble, split, drawn, group=1) + FLOOR).rsqrt()
    else:
        mean, variance = official(
            ensemble, fisher(ensemble, split, drawn, group=BATCH), cfg.alpha, whole_classes(split)
        )
    yield with_weights(ensemble, mean + variance.sqrt() * noise)


def fisher(
    ensemble: Ensemble, split: Split, drawn: Int[Tensor, "models n"], *, group: int
) -> Float[Tensor, "models d"]:
    """The diagonal of the Fisher information of the drawn retained examples; with ``group``, of batches of them."""
    parts = (
        mean_square(ensemble, split.retain, drawn, partial(weighted_loss, label=label), group=group)
        for label in range(split.classes)
    )
    return reduce(torch.add, parts)


def weighted_loss(
    logits: Float[Tensor, "models batch classes"], labels: Int[Tensor, "models batch"], *, label: int
) -> Float[Tensor, " models"]:
    """CE to ``label`` in place of the labels, times the square root of its probability, which is held fixed.

    So the square of its gradient is weighted by that probability.
    """
    log_p = logits.log_softmax(-1)[..., label]
    return -log_p.mean(1) * log_p.detach().exp().mean(1).sqrt()


def official(
    ensemble: Ensemble, found: Float[Tensor, "models d"], alpha: float, gone: Bool[Tensor, " classes"]
) -> tuple[Float[Tensor, "models d"], Float[Tensor, "models d"]]:
    """Mean and variance of each weight as the published code has them; ``gone`` says which classes have no example."""
    means, variances = [], []
    for weight, information in zip(ensemble.parameters(), in_parts(ensemble, found), strict=True):
        mean, one_dimensional = weight.detach(), weight.ndim < 3
        classifier = weight.ndim > 1 and weight.shape[1] == len(gone)  # as there: known by its number of rows
        variance = alpha * (1 / (information + FLOOR)).clamp(max=1e2 if classifier else 1e3)
        if not one_dimensional:
            variance = variance.mean(2, keepdim=True).expand_as(weight)
        if classifier:
            rows = gone.view(1, -1, *[1] * (weight.ndim - 2))
            mean, variance = mean.masked_fill(rows, 0.0), variance.masked_fill(rows, 1e-4)
        means.append(in_a_row(mean))
        variances.append(in_a_row(10 * variance if classifier or one_dimensional else variance))
    return torch.cat(means, dim=1), torch.cat(variances, dim=1)


def whole_classes(split: Split) -> Bool[Tensor, " classes"]:
    """Which classes have examples to forget, and none to keep."""
    forget, retain = (class_counts(part.y, split.classes) for part in (split.forget, split.retain))
    return (forget > 0) & (retain == 0)


METHOD = Method(
    unlearn=fisher_forgetting,
    config=FisherForgetting,
    summary="noise on every weight, the more the less the retained examples depend on it",
    cite=("golatkar2020", "jia2023"),
    needs=(FORGET_DATA, RETAIN_DATA, CLASSES),
    search={
        "alpha": Between(1e-10, 1e-2, log=True),
        "variant": OneOf(VARIANTS),
    },
    published=(
        Published(
            "Golatkar et al.'s notebook, and SSD's code for random sets and classes; gradients of single examples",
            {"variant": "official", "alpha": 1e-6},
        ),
        Published(
            "the authors of Jia et al. 2023, Unlearn-Sparse, its issue 5: about this",
            {"variant": "official", "alpha": 1e-9},
        ),
    ),
    deviations="The published code takes the inverse of the information in place of its inverse root, clamps it, and "
    "has a row of the classifier drawn anew where a class is forgotten whole; the version of Jia et al. 2023 squares "
    "the gradients of means over batches of 32, which makes the information too small, that of Golatkar et al. those "
    "of single examples. The variant official does as the former. The information is estimated from a draw of the "
    "retained examples.",
)

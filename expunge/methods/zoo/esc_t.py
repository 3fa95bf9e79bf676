"""ESC-T, erasing space concept with training: a mask learns which parts of the forget set's directions to erase."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.device import exact_arithmetic
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch, draw
from expunge.methods.method import Method
from expunge.methods.needs import CLASS_OUTPUTS, CLASSES, FORGET_DATA
from expunge.methods.parts.layers import weights
from expunge.methods.parts.per_sample import in_order
from expunge.methods.parts.walks import example_losses, require
from expunge.methods.spaces import Between, OneOf, Published
from expunge.methods.zoo.esc import feature_directions
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class EscT:
    """Maximise ``CE(f(x), y)`` on forget over a mask ``M`` in [0, 1] of every number of ``U``; then keep or erase each.

    ``f`` has features ``(U * M) (U * M)^T z`` for ``z``; ``U`` are all left singular vectors of the features of the
    forget set, as :class:`~expunge.methods.zoo.esc.Esc` has them. ``M`` begins at 1 and goes up the loss at rate
    ``lr``; only examples that are still told right count. What is above ``threshold`` is then 1, the rest 0. The
    weights of theta_0 stay; evaluation mode. Lee et al. 2025, arXiv:2504.02199.
    """

    epochs: int = 5
    lr: float = 100.0
    threshold: float = 0.7
    batch_size: int = 64

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "epochs must be at least 1", self.epochs)
        require(self.lr > 0, "lr must be above 0", self.lr)
        require(0 <= self.threshold < 1, "threshold must lie in [0, 1)", self.threshold)
        require(self.batch_size >= 1, "batch_size must be at least 1", self.batch_size)


def esc_t(ensemble: Ensemble, split: Split, cfg: EscT, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each pass over the forget set, with the mask of that time made hard."""
    student = ensemble.copy().eval()
    path, directions = feature_directions(student, split)
    (weight,) = weights(student, [path]).values()
    first, rows = weight.detach().clone(), in_order(student, split.forget)
    mask = torch.ones_like(directions)
    for _ in range(cfg.epochs):
        for batch in draw(split.forget, rows, cfg.batch_size):
            slope = mask_slope(student, split, batch, weight, first, directions=directions, mask=mask)
            mask = (mask + cfg.lr * slope).clamp(0, 1)
        put(weight, masked(first, directions, (mask > cfg.threshold).double()))
        yield student.copy()


def mask_slope(
    student: Ensemble,
    split: Split,
    batch: Batch,
    weight: Float[Tensor, "models ..."],
    first: Float[Tensor, "models ..."],
    *,
    directions: Float[Tensor, "models d d"],
    mask: Float[Tensor, "models d d"],
) -> Float[Tensor, "models d d"]:
    """The gradient in the mask of the mean loss of what is told right; ``weight`` is left as the mask makes it."""
    mask = mask.detach().requires_grad_()
    put(weight, made := masked(first, directions, mask))
    with exact_arithmetic():
        logits = student(batch[0])
        right = logits.argmax(-1) == batch[1]
        lost = (example_losses(split, logits, batch[1]) * right).sum(1) / right.sum(1).clamp(min=1)
        (pull,) = torch.autograd.grad(lost.sum(), [weight])
    (slope,) = torch.autograd.grad(made, [mask], pull)
    return slope


def masked(
    first: Float[Tensor, "models ..."], directions: Float[Tensor, "models d d"], mask: Float[Tensor, "models d d"]
) -> Float[Tensor, "models ..."]:
    """The classifier's weights times ``(U * M) (U * M)^T + I - U U^T``: what ``U`` does not span stays."""
    rows, kept = first.flatten(2).double(), directions * mask
    made = rows + rows @ kept @ kept.mT - rows @ directions @ directions.mT
    return made.view_as(first).to(first.dtype)


@torch.no_grad()
def put(weight: Float[Tensor, "models ..."], made: Float[Tensor, "models ..."]) -> None:
    """Set the weights in place."""
    weight.copy_(made)


METHOD = Method(
    unlearn=esc_t,
    config=EscT,
    summary="learn which numbers of the directions of the forget set's features to take from the classifier",
    cite=("lee2025",),
    needs=(FORGET_DATA, CLASS_OUTPUTS, CLASSES),
    search={
        "lr": Between(1e-4, 1000.0, log=True),
        "threshold": Between(0.1, 0.99),
        "epochs": Between(1, 50, whole=True),
        "batch_size": OneOf((16, 64)),
    },
    published=(
        Published(
            "the authors' code, its defaults, a class of CIFAR-10",
            {"epochs": 50, "lr": 1e-3, "threshold": 0.7, "batch_size": 64},
        ),
    ),
    deviations="The public code goes at rate 1e-3 and threshold 0.7 through at most 50 epochs of 5,000 examples, "
    "shuffled, until none is told right, after which nothing moves here either; here the forget set comes in its own "
    "order. As for esc it takes features in training mode, and of few examples keeps nothing outside of what they "
    "span. Where models are sure of the forget set its slope is small: on digits the mask needs a rate of 1 to 100 to "
    "leave 1 at all. A hard mask of single numbers makes no projection: where much is erased, other features grow, and "
    "the model breaks. Equations are those of the code; the text of the paper was not read.",
)

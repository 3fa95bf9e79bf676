"""Matching of margins: a student is trained until its margins on the forget set, and on some others, are those asked.

The loop of the methods that know, or predict, what a retrained model answers.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.optimizers import Adam
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch, minibatches, take_steps
from expunge.methods.parts.examples import joined
from expunge.methods.parts.walks import require
from expunge.methods.spaces import Between, OneOf, Space
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class Match:
    """The settings of every method that matches margins: Adam, its rate times ``decay`` after each epoch.

    An epoch goes through the forget set ``forget_multiplier`` times, and through a fixed random part of the retained
    examples, ``retain_multiplier`` times as many as the forget set has, or all. Much of it is of the forget set, and in
    training mode BatchNorm's running statistics follow; without ``forget_statistics`` students match in evaluation
    mode, in which the margins to match were measured, and the statistics stay.
    """

    epochs: int
    lr: float
    batch_size: int = 64
    decay: float = 0.95
    forget_multiplier: int = 1
    retain_multiplier: int
    forget_statistics: bool = True

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "epochs must be at least 1", self.epochs)
        require(self.lr > 0, "lr must be above 0", self.lr)
        require(self.batch_size >= 1, "batch_size must be at least 1", self.batch_size)
        require(0 < self.decay <= 1, "decay must lie in (0, 1]", self.decay)
        require(self.forget_multiplier >= 1, "forget_multiplier must be at least 1", self.forget_multiplier)
        require(self.retain_multiplier >= 0, "retain_multiplier must be at least 0", self.retain_multiplier)


MATCH_SEARCH: dict[str, Space] = {
    "lr": Between(1e-4, 1e-2, log=True),
    "epochs": Between(1, 20, whole=True),
    "batch_size": OneOf((16, 32, 64, 512)),
    "forget_multiplier": OneOf((1, 2, 5)),
    "forget_statistics": OneOf((True, False)),
    "retain_multiplier": OneOf((1, 2, 3, 5, 10, 20)),
}


@dataclass(frozen=True, eq=False)
class ByExample:
    """Numbers for the examples of a split, in the order of the split: of each model, or one row for all."""

    forget: Float[Tensor, "models forget"]
    retain: Float[Tensor, "models retain"]

    def joined(self, ensemble: Ensemble) -> Float[Tensor, "models examples"]:
        """Forget, then retain, for the models of ``ensemble`` and where they are."""
        both = torch.cat([self.forget, self.retain], dim=1)
        return both.to(ensemble.device).expand(len(ensemble), -1)


def chosen(split: Split, cfg: Match, rng: Generators) -> Int[Tensor, "models chosen"]:
    """Rows of the examples to forget and to keep, in this order: all of the first, a part at random of the others."""
    first = len(split.forget)
    part = rng.permutation(len(split.retain))[:, : cfg.retain_multiplier * first] + first
    return torch.cat([torch.arange(first, device=part.device).expand(len(part), -1), part], dim=1)


def match(
    ensemble: Ensemble,
    split: Split,
    cfg: Match,
    rng: Generators,
    rows: Int[Tensor, "models chosen"],
    *,
    target: Float[Tensor, "models chosen"],
) -> Iterator[Ensemble]:
    """Train a copy of ``ensemble`` to have the margins ``target`` at ``rows``; yield each epoch.

    Rows are of the forget set's examples and those to keep, in this order. The loss is the mean over the batch of the
    square of what is amiss. The order of a pass is drawn anew in each epoch.
    """
    examples, first = joined([split.forget, split.retain]), len(split.forget)
    again = torch.arange(first, device=rows.device).repeat(cfg.forget_multiplier - 1)
    seen = torch.cat([again, torch.arange(rows.shape[1], device=rows.device)])

    def batches() -> Iterator[tuple[Batch, Tensor]]:
        for places in minibatches(seen[rng.permutation(len(seen))], cfg.batch_size):
            part = rows.gather(1, places)
            yield (examples.x[part], examples.y[part]), target.gather(1, places)

    def loss(student: Ensemble, batch: tuple[Batch, Tensor]) -> Float[Tensor, " models"]:
        (x, y), wanted = batch
        return (split.target.margins(student(x), y) - wanted).square().mean(1)

    student = ensemble.copy().train(cfg.forget_statistics)
    optimizer = Adam(student, lr=cfg.lr)
    for _ in range(cfg.epochs):
        take_steps(student, optimizer, loss, batches())
        optimizer.lr *= cfg.decay
        yield student.copy().eval()

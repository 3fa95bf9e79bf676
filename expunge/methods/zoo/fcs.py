"""FCS: one pass towards uniform outputs; then, in turns, forget against retain in contrast, and fine-tune."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.optimizers import Descent
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch, take_steps
from expunge.methods.method import Method
from expunge.methods.needs import CLASSES, FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.schedules import Counted
from expunge.methods.parts.walks import Walk, cycled, paced, require, shuffled, training_loss
from expunge.methods.spaces import Between, OneOf, Published
from expunge.suites.suite import Split

Pair = tuple[Batch, Batch]  # of the forget set, of what is kept


@dataclass(frozen=True, kw_only=True)
class ContrastiveRounds(Walk):
    """One pass over forget down ``KL(uniform || softmax f)``; then epochs of a forget round and a retain round.

    A forget round is one pass over forget, each batch beside one of retain, down the mean over both batches of
    ``-log softmax_j(f(x_i) . f(x_j) / temperature)``: the logits of forget examples ``i`` are drawn evenly to those of
    retained ones ``j``, which get no gradient. A retain round is one pass down ``CE(retain)``. Each of the three has
    its own momentum and learning rate: ``uniform_lr``, ``forget_lr``, ``lr``. All in training mode.
    First of the NeurIPS 2023 challenge: Triantafillou et al. 2024, arXiv:2406.09073; named so by Cadet et al. 2024,
    arXiv:2410.01276.
    """

    epochs: int = 1
    lr: float = 0.2
    uniform_lr: float = 1e-2
    forget_lr: float = 3e-4
    temperature: float = 1.15
    forget_batch_size: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.uniform_lr > 0, "uniform_lr must be above 0", self.uniform_lr)
        require(self.forget_lr > 0, "forget_lr must be above 0", self.forget_lr)
        require(self.temperature > 0, "temperature must be above 0", self.temperature)
        require(self.forget_batch_size >= 1, "forget_batch_size must be at least 1", self.forget_batch_size)


def fcs(ensemble: Ensemble, split: Split, cfg: ContrastiveRounds, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each retain round."""
    student = ensemble.copy().train()
    flatten, forget, retain = (
        Descent(student, lr=lr, momentum=cfg.momentum) for lr in (cfg.uniform_lr, cfg.forget_lr, cfg.lr)
    )

    def contrast(student: Ensemble, pair: Pair) -> Float[Tensor, " models"]:
        (x, _), (kept, _) = pair
        logits = student(x)
        with torch.no_grad():
            anchors = student(kept)
        loss: Tensor = -(logits @ anchors.transpose(1, 2) / cfg.temperature).log_softmax(-1).mean((1, 2))
        return loss

    take_steps(student, flatten, to_uniform, shuffled(split.forget, cfg.forget_batch_size, rng))
    for epoch in range(cfg.epochs):
        beside = cycled(split.retain, cfg.batch_size, rng)
        gone = shuffled(split.forget, cfg.forget_batch_size, rng)
        pairs = Counted(zip(gone, beside, strict=False), len(gone))
        take_steps(student, forget, contrast, paced(pairs, cfg, epoch, forget))
        kept = shuffled(split.retain, cfg.batch_size, rng)
        take_steps(student, retain, training_loss(split), paced(kept, cfg, epoch, retain))
        yield student.copy().eval()


def to_uniform(student: Ensemble, batch: Batch) -> Float[Tensor, " models"]:
    """``KL(uniform || softmax)``, mean over the batch, in nats."""
    log_p = student(batch[0]).log_softmax(-1)
    loss: Tensor = -log_p.mean((1, 2)) - math.log(log_p.shape[-1])
    return loss


METHOD = Method(
    unlearn=fcs,
    config=ContrastiveRounds,
    summary="one pass towards uniform outputs, then contrastive forgetting and fine-tuning in turns",
    cite=("triantafillou2024", "cadet2024"),
    needs=(FORGET_DATA, RETAIN_DATA, CLASSES),
    search={
        "lr": Between(1e-4, 2.0, log=True),
        "epochs": Between(1, 16, whole=True),
        "uniform_lr": Between(1e-4, 0.5, log=True),
        "forget_lr": Between(1e-5, 0.1, log=True),
        "temperature": OneOf((0.5, 1.15, 4.0)),
    },
    published=(
        Published(
            "the winner's code as DeepUnlearn has it, random sets; the retain rate is 0.001 * 256 / 64",
            {"epochs": 8, "batch_size": 256, "lr": 0.004, "uniform_lr": 0.005, "forget_lr": 3e-4, "temperature": 1.15},
        ),
    ),
    deviations="The public code decays the weights in retain rounds and lowers the learning rate of forget rounds "
    "along a cosine; here all are constant and nothing decays.",
)

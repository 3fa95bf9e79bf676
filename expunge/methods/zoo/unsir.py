"""UNSIR, unlearning by selective impair and repair: train on noise that is least like its class, then mend."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.optimizers import Descent
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch, draw, minibatch_count, minibatches, take_steps
from expunge.methods.method import Method
from expunge.methods.needs import CLASSES, FORGET_DATA, RETAIN_DATA, SLOPES
from expunge.methods.parts.examples import beside
from expunge.methods.parts.schedules import Counted
from expunge.methods.parts.walks import Walk, paced, recipe_loss, require, training_loss
from expunge.methods.spaces import Between, OneOf, Published
from expunge.suites.suite import Split

Noise = tuple[Float[Tensor, "models noise ..."], Int[Tensor, "models noise"]]  # inputs and the labels they deny


@dataclass(frozen=True, kw_only=True)
class Unsir(Walk):
    """Learn noise N of the forgotten labels, ``min_N lam ||N||^2 - CE(f_0(N), y)``; then by turns impair and repair.

    Every model learns ``noise`` inputs of its own, their labels drawn from those of the forget set, by ``noise_steps``
    steps of gradient descent at rate ``noise_lr`` from standard normal numbers. In each epoch, impair minimises CE on
    ``copies`` of the noise and a part of retain, mixed; repair CE on that part, at ``repair`` times the rate. Each
    phase starts with momentum 0. The part is a share ``retain_share``, drawn once. Tarun et al. 2023, arXiv:2111.08947.
    """

    epochs: int = 1
    lr: float = 1e-3
    noise: int = 16
    copies: int = 1
    noise_steps: int = 10
    noise_lr: float = 0.1
    lam: float = 0.1
    retain_share: float = 0.8
    repair: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.noise >= 1, "noise must be at least 1", self.noise)
        require(self.copies >= 1, "copies must be at least 1", self.copies)
        require(self.noise_steps >= 0, "noise_steps must be at least 0", self.noise_steps)
        require(self.noise_lr > 0, "noise_lr must be above 0", self.noise_lr)
        require(self.lam >= 0, "lam must be at least 0", self.lam)
        require(0 < self.retain_share <= 1, "retain_share must lie in (0, 1]", self.retain_share)
        require(self.repair > 0, "repair must be above 0", self.repair)


def unsir(ensemble: Ensemble, split: Split, cfg: Unsir, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each epoch of impairing and repairing."""
    noise = error_maximising(ensemble.copy().eval(), split, cfg, rng)
    part = rng.permutation(len(split.retain))[:, : max(1, round(cfg.retain_share * len(split.retain)))]

    student, ce = ensemble.copy(), training_loss(split)
    for epoch in range(cfg.epochs):
        student.train()
        impair, repair = (Descent(student, lr=rate, momentum=cfg.momentum) for rate in (cfg.lr, cfg.repair * cfg.lr))
        take_steps(student, impair, ce, paced(mixed(split, noise, part, cfg, rng), cfg, epoch, impair))
        order = part.gather(1, rng.permutation(part.shape[1]))
        kept = Counted(draw(split.retain, order, cfg.batch_size), minibatch_count(part.shape[1], cfg.batch_size))
        take_steps(student, repair, ce, paced(kept, cfg, epoch, repair))
        yield student.copy().eval()


def error_maximising(original: Ensemble, split: Split, cfg: Unsir, rng: Generators) -> Noise:
    """Inputs on which ``original`` errs as badly as it can, and the labels that they are not like."""
    ce = recipe_loss(split)
    labels = split.forget.y[rng.integers(len(split.forget), cfg.noise)]
    dtype = torch.promote_types(split.forget.x.dtype, torch.float32)
    noise = rng.normal(cfg.noise, *split.forget.x.shape[1:], dtype=dtype)
    for _ in range(cfg.noise_steps):
        noise.requires_grad_()
        error = cfg.noise * ce(original(noise), labels).sum()  # every input's own, whatever stands beside it
        (slope,) = torch.autograd.grad(cfg.lam * noise.square().sum() - error, noise)
        noise = (noise - cfg.noise_lr * slope).detach()
    return noise, labels


def mixed(split: Split, noise: Noise, part: Int[Tensor, "models part"], cfg: Unsir, rng: Generators) -> Counted[Batch]:
    """One pass over the copies of the noise and a part of the retained examples, each model in an order of its own."""
    different = noise[1].shape[1]
    count = cfg.copies * different
    size = count + part.shape[1]

    def drawn() -> Iterator[Batch]:
        for rows in minibatches(rng.permutation(size), cfg.batch_size):
            kept = part.gather(1, (rows - count).clamp(min=0))
            yield beside(noise, split.retain, torch.where(rows < count, rows % different, different + kept))

    return Counted(drawn(), minibatch_count(size, cfg.batch_size))


METHOD = Method(
    unlearn=unsir,
    config=Unsir,
    summary="impair with learned noise of the forgotten classes, then repair on retained examples",
    cite=("tarun2023",),
    needs=(FORGET_DATA, RETAIN_DATA, CLASSES, SLOPES),
    search={
        "lr": Between(5e-5, 0.5, log=True),
        "epochs": Between(1, 16, whole=True),
        "noise": OneOf((16, 64, 256)),
        "copies": OneOf((1, 5, 20)),
        "noise_steps": OneOf((0, 10, 40)),
        "retain_share": Between(0.1, 1.0),
        "repair": OneOf((0.1, 0.5, 1.0)),
    },
    published=(
        Published(
            "the authors' notebook, classes of CIFAR-10, rates of Adam; 1,000 retained examples a class of 5,000",
            {
                "epochs": 1,
                "lr": 0.02,
                "repair": 0.5,
                "noise": 256,
                "copies": 20,
                "noise_steps": 40,
                "noise_lr": 0.1,
                "lam": 0.1,
                "retain_share": 0.2,
                "batch_size": 256,
            },
        ),
    ),
    deviations="Made for whole classes: noise has the labels of the forget set, in their proportions, and what is kept "
    "of such a class suffers too. The public code learns 256 noise inputs a class in 40 steps, mixes 20 copies of them "
    "with 1,000 retained examples a class, and learns noise and weights by Adam; here both descend plainly, and the "
    "defaults, one copy of 16 inputs, impair less.",
)

"""SCRUB: a student that disobeys its teacher on the forget set and obeys it, and the labels, on the rest."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch
from expunge.methods.method import Method
from expunge.methods.needs import CLASSES, FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.walks import Phase, Walk, descend, recipe_loss, require, shuffled
from expunge.methods.spaces import RATES, Between, OneOf, Published
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class Scrub(Walk):
    """Alternate: maximise ``KL(teacher || student)`` on forget, minimise ``alpha KL + gamma CE`` on retain.

    ``KL`` is of softmaxes at ``temperature`` T, times T squared. The first ``ascent_epochs`` epochs have both passes,
    the others the second only. The teacher is the ensemble as it came, in evaluation mode.
    Kurmanji et al. 2023, arXiv:2302.09880.
    """

    epochs: int = 1
    lr: float = 1e-3
    alpha: float = 1.0
    gamma: float = 0.99
    temperature: float = 4.0
    ascent_epochs: int = 1
    forget_batch_size: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.alpha >= 0 and self.gamma >= 0, "alpha and gamma must be at least 0", (self.alpha, self.gamma))
        require(self.temperature > 0, "temperature must be above 0", self.temperature)
        require(self.ascent_epochs >= 1, "ascent_epochs must be at least 1", self.ascent_epochs)
        require(self.forget_batch_size >= 1, "forget_batch_size must be at least 1", self.forget_batch_size)


def scrub(ensemble: Ensemble, split: Split, cfg: Scrub, rng: Generators) -> Iterator[Ensemble]:
    """Yield the student after each epoch."""
    teacher, ce = ensemble.copy().eval(), recipe_loss(split)

    def disobey(student: Ensemble, batch: Batch) -> Float[Tensor, " models"]:
        return -distillation(teach(teacher, batch), student(batch[0]), cfg.temperature)

    def obey(student: Ensemble, batch: Batch) -> Float[Tensor, " models"]:
        logits = student(batch[0])
        taught = distillation(teach(teacher, batch), logits, cfg.temperature)
        return cfg.alpha * taught + cfg.gamma * ce(logits, batch[1])

    def epoch(number: int) -> Iterator[Phase[Batch]]:
        if number <= cfg.ascent_epochs:
            yield disobey, shuffled(split.forget, cfg.forget_batch_size, rng)
        yield obey, shuffled(split.retain, cfg.batch_size, rng)

    yield from descend(ensemble, cfg, (epoch(number) for number in range(1, cfg.epochs + 1)))


@torch.no_grad()
def teach(teacher: Ensemble, batch: Batch) -> Float[Tensor, "models batch classes"]:
    """The teacher's logits, which no gradient reaches."""
    logits: Tensor = teacher(batch[0])
    return logits


def distillation(
    teacher: Float[Tensor, "models batch classes"], student: Float[Tensor, "models batch classes"], temperature: float
) -> Float[Tensor, " models"]:
    """``T^2 KL(softmax(teacher / T) || softmax(student / T))``, mean over the batch, in nats, for each model."""
    p, q = (logits.div(temperature).log_softmax(-1) for logits in (teacher, student))
    return temperature**2 * (p.exp() * (p - q)).sum(-1).mean(1)


PUBLISHED = (  # settings of public code, for scrub and scrub-rewind
    Published(
        "MIA_experiments of the authors' code, for privacy",
        {
            "lr": 5e-4,
            "epochs": 5,
            "ascent_epochs": 3,
            "alpha": 0.5,
            "gamma": 1.0,
            "temperature": 4.0,
            "batch_size": 32,
            "forget_batch_size": 16,
        },
    ),
    Published(
        "large_scale_unlearning of the authors' code, for a class or a part of it",
        {"lr": 5e-4, "epochs": 3, "ascent_epochs": 2, "alpha": 0.001, "gamma": 0.99, "temperature": 4.0},
    ),
    Published(
        "the code of Georgiev et al., for U-LiRA on CIFAR-10",
        {
            "lr": 0.01,
            "epochs": 10,
            "ascent_epochs": 3,
            "alpha": 0.1,
            "gamma": 0.99,
            "temperature": 4.0,
            "batch_size": 64,
            "forget_batch_size": 32,
        },
    ),
)

METHOD = Method(
    unlearn=scrub,
    config=Scrub,
    summary="a student disobeys its teacher on the forget set and obeys it on the rest",
    cite=("kurmanji2023",),
    needs=(FORGET_DATA, RETAIN_DATA, CLASSES),
    search={
        "lr": RATES,
        "epochs": Between(1, 16, whole=True),
        "ascent_epochs": OneOf((1, 2, 3, 5)),
        "alpha": Between(0.001, 10.0, log=True),
        "temperature": OneOf((1.0, 2.0, 4.0)),
        "forget_batch_size": OneOf((4, 8, 16, 32, 64)),
    },
    published=PUBLISHED,
    deviations="data-unlearning-bench builds the optimizer on the teacher, so its student's weights never move; here "
    "the optimizer is the student's. The student is not averaged over steps, and the rate is constant, where the "
    "authors take a tenth of it after epochs 3, 5 and 9, and let the weights decay. The default is one epoch, within "
    "a limit of cost; the authors take 3 to 10, with ascent in the first 2 or 3. Their gradient too is 0 in the first "
    "ascent step, where student and teacher are the same. Rewinding to an earlier epoch, SCRUB+R, is the row "
    "scrub-rewind.",
)

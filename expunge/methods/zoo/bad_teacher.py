"""Bad teacher: a student follows a teacher that knows nothing on the forget set, and its own past on the rest."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import minibatch_count, minibatches
from expunge.methods.method import Method
from expunge.methods.needs import CLASSES, FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.reset import fresh
from expunge.methods.parts.schedules import Counted
from expunge.methods.parts.walks import Walk, descend, require
from expunge.methods.spaces import RATES, Between, OneOf, Published
from expunge.suites.suite import Split

Marked = tuple[Tensor, Bool[Tensor, "models batch"]]  # examples, and which are to be forgotten


@dataclass(frozen=True, kw_only=True)
class BadTeacher(Walk):
    """Minimise ``KL(bad || student)`` on forget and ``KL(theta_0 || student)`` on retain, mixed in the same batches.

    ``bad`` is a network of newly drawn weights, another for each model; ``KL`` is of softmaxes at ``temperature``.
    Each epoch sees the forget set and a share ``retain_share`` of the rest, drawn anew. Both teachers are in
    evaluation mode. Chundawat et al. 2023, arXiv:2205.08096.
    """

    epochs: int = 1
    lr: float = 1e-3
    temperature: float = 1.0
    retain_share: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.temperature > 0, "temperature must be above 0", self.temperature)
        require(0 < self.retain_share <= 1, "retain_share must lie in (0, 1]", self.retain_share)


def bad_teacher(ensemble: Ensemble, split: Split, cfg: BadTeacher, rng: Generators) -> Iterator[Ensemble]:
    """Yield the student after each epoch."""
    good, bad = ensemble.copy().eval(), fresh(ensemble, split.network, rng).eval()

    def loss(student: Ensemble, batch: Marked) -> Float[Tensor, " models"]:
        x, forgotten = batch
        with torch.no_grad():
            taught = torch.where(forgotten[..., None], bad(x), good(x)).div(cfg.temperature).log_softmax(-1)
        learnt = student(x).div(cfg.temperature).log_softmax(-1)
        divergence: Tensor = (taught.exp() * (taught - learnt)).sum(-1)
        return divergence.mean(1)

    yield from descend(
        ensemble, cfg, ([(loss, marked(split, cfg.retain_share, cfg.batch_size, rng))] for _ in range(cfg.epochs))
    )


def marked(split: Split, retain_share: float, batch_size: int, rng: Generators) -> Counted[Marked]:
    """One pass over the forget set and a share of the rest, in an order of its own for each model."""
    kept, size = max(1, round(retain_share * len(split.retain))), len(split.forget)
    return Counted(_marked(split, kept, batch_size, rng), minibatch_count(size + kept, batch_size))


def _marked(split: Split, kept: int, batch_size: int, rng: Generators) -> Iterator[Marked]:
    size, some = len(split.forget), rng.permutation(len(split.retain))[:, :kept]
    for rows in minibatches(rng.permutation(size + kept), batch_size):
        forgotten = rows < size
        others = split.retain.x[some.gather(1, (rows - size).clamp(min=0))]
        shape = (*rows.shape, *[1] * (others.ndim - 2))
        yield torch.where(forgotten.view(shape), split.forget.x[rows.clamp(max=size - 1)], others), forgotten


METHOD = Method(
    unlearn=bad_teacher,
    config=BadTeacher,
    summary="a student follows a random teacher on the forget set, its own past on the rest",
    cite=("chundawat2023",),
    needs=(FORGET_DATA, RETAIN_DATA, CLASSES),
    search={
        "lr": RATES,
        "temperature": OneOf((1.0, 2.0, 4.0)),
        "retain_share": Between(0.1, 1.0),
        "epochs": Between(1, 20, whole=True),
    },
    published=(
        Published(
            "the authors' code, a subclass of CIFAR-100, and that of SSD; with Adam",
            {"lr": 1e-4, "epochs": 1, "temperature": 1.0, "retain_share": 0.3},
        ),
    ),
    deviations="The public code takes the mean over classes too, which makes the loss smaller by their number, and "
    "Adam; it draws its 30 % of the rest once, here each epoch draws its own.",
)

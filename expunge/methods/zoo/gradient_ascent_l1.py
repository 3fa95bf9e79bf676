"""Gradient ascent with an l1 penalty: climb the loss of what is to be forgotten, weights drawn towards zero."""

from collections.abc import Iterator
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch
from expunge.methods.method import Method
from expunge.methods.needs import FORGET_DATA
from expunge.methods.parts.norms import l1_norm
from expunge.methods.parts.walks import ForgetWalk, descend, on_forget, passes, require, training_loss
from expunge.methods.spaces import Between, OneOf
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class GradientAscentL1(ForgetWalk):
    """Minimise ``gamma ||theta||_1 - CE(forget)`` over all parameters ``theta``.

    Without ``forget_statistics`` forget batches leave BatchNorm's running statistics alone.
    In the public code of Jia et al. 2023, arXiv:2304.04934.
    """

    epochs: int = 3
    lr: float = 0.02
    momentum: float = 0.0
    gamma: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.gamma >= 0, "gamma must be at least 0", self.gamma)


def gradient_ascent_l1(ensemble: Ensemble, split: Split, cfg: GradientAscentL1, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each pass over the forget set."""
    ce = training_loss(split)

    def loss(student: Ensemble, batch: Batch) -> Float[Tensor, " models"]:
        return cfg.gamma * l1_norm(student) - ce(student, batch)

    yield from descend(ensemble, cfg, passes(on_forget(loss, cfg), split.forget, cfg, rng))


METHOD = Method(
    unlearn=gradient_ascent_l1,
    config=GradientAscentL1,
    summary="climb the loss of the forget set under an l1 penalty",
    cite=("jia2023",),
    needs=(FORGET_DATA,),
    search={
        "lr": Between(1e-6, 0.5, log=True),
        "gamma": Between(1e-6, 1e-2, log=True),
        "epochs": Between(1, 20, whole=True),
        "momentum": OneOf((0.0, 0.9)),
        "forget_statistics": OneOf((True, False)),
    },
    deviations="The public code also lets the weights decay; here they do not.",
)

"""UAM, unlearning-aware minimisation: descend on what is kept, by the gradient where the rest is worst forgotten."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.called import called
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch
from expunge.methods.method import Method
from expunge.methods.needs import FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.norms import l2_norm
from expunge.methods.parts.walks import PairedWalk, descend, on_forget, paired, recipe_loss, require, training_loss
from expunge.methods.spaces import Between, OneOf, Published
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class Uam(PairedWalk):
    """Step down ``grad CE(retain)`` taken at ``theta + rho g / ||g||``, where ``g = grad CE(forget)`` at theta.

    The norm is of all weights of a model together. From the abstract of the paper: weights are perturbed to maximise
    the forget loss, and the gradient there minimises the retain loss. The step itself is that of its authors' public
    library, as in sharpness-aware minimisation. The paper's algorithm for language models, Eq. 15, multiplies the step
    by ``I - gamma P_f``, with the projection ``P_f`` on the forget gradient: here ``gamma`` is 0. Without
    ``forget_statistics`` forget batches leave BatchNorm's running statistics alone. Kim et al. 2025, NeurIPS.
    """

    epochs: int = 1
    lr: float = 0.2
    forget_statistics: bool = False
    rho: float = 0.02

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.rho >= 0, "rho must be at least 0", self.rho)


def uam(ensemble: Ensemble, split: Split, cfg: Uam, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each pass over the retained examples; forget batches are repeated to keep pace."""
    value = recipe_loss(split)
    climbed = on_forget(training_loss(split), cfg)

    def loss(student: Ensemble, batch: tuple[Batch, Batch]) -> Float[Tensor, " models"]:
        (x, y), forget = batch
        weights = perturbed(student, climbed(student, forget), cfg.rho)
        return value(called(student, weights, x), y)

    yield from descend(ensemble, cfg, ([(loss, batches)] for batches in paired(split, cfg, rng)))


def perturbed(student: Ensemble, loss: Float[Tensor, " models"], rho: float) -> dict[str, Tensor]:
    """The weights a distance ``rho`` up the ``loss``, each model on its own; gradients pass to the weights as such.

    Where the gradient is 0, there is no way up, and the weights stay.
    """
    named = dict(student.named_parameters())
    slopes = torch.autograd.grad(loss.sum(), list(named.values()), allow_unused=True, materialize_grads=True)
    norm = l2_norm(slopes)
    scale = torch.where(norm > 0, rho / norm, 0.0)
    return {
        name: weight + scale.view(-1, *[1] * (weight.ndim - 1)) * slope
        for (name, weight), slope in zip(named.items(), slopes, strict=True)
    }


METHOD = Method(
    unlearn=uam,
    config=Uam,
    summary="descend on retain by the gradient at weights perturbed up the forget loss",
    cite=("kim2025uam",),
    needs=(FORGET_DATA, RETAIN_DATA),
    search={
        "lr": Between(1e-4, 2.0, log=True),
        "epochs": Between(1, 16, whole=True),
        "rho": Between(0.001, 2.0, log=True),
        "forget_batch_size": OneOf((16, 64, 128)),
        "forget_statistics": OneOf((True, False)),
    },
    published=(
        Published(
            "the authors' library, torchunlearn, its readme: a tenth of CIFAR-10; rho is left open there",
            {"epochs": 5, "lr": 0.01, "momentum": 0.9, "batch_size": 128, "forget_batch_size": 128},
        ),
    ),
    deviations="The authors' library normalises forget and retain examples of a step as one batch, and may let rho "
    "fall along a cosine; here a forget batch is one of its own, and rho is constant. The paper's Eq. 15, its "
    "algorithm for language models, multiplies the step by I - gamma P_f, where P_f projects on the forget gradient. "
    "The library accepts gamma and ignores it; here it is the case of gamma 0.",
)

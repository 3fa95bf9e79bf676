"""Just-in-time unlearning: the output is made flat around what is to be forgotten; nothing else is needed."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch
from expunge.methods.method import Method
from expunge.methods.needs import CLASSES, FORGET_DATA, NUMBERS
from expunge.methods.parts.walks import ForgetWalk, descend, on_forget, passes, require
from expunge.methods.spaces import Between, OneOf, Published
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class Jit(ForgetWalk):
    """Minimise ``mean_x mean_noise ||f(x) - f(x + noise)|| / ||noise||`` over the forget set, f the logits.

    ``samples`` times per batch, ``noise ~ N(0, sigma^2)`` is drawn for every input. Labels do not matter. In training
    mode: with ``forget_statistics`` noisy inputs move running statistics too. Foster et al. 2025, arXiv:2402.01401.
    """

    epochs: int = 1
    lr: float = 3e-3
    momentum: float = 0.0
    sigma: float = 0.1
    samples: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.sigma > 0, "sigma must be above 0", self.sigma)
        require(self.samples >= 1, "samples must be at least 1", self.samples)


def jit(ensemble: Ensemble, split: Split, cfg: Jit, rng: Generators) -> Iterator[Ensemble]:
    """Yield the student after each pass over the forget set."""

    def steepness(student: Ensemble, batch: Batch) -> Float[Tensor, " models"]:
        x = batch[0]
        dtype = x.dtype if x.is_floating_point() else torch.float32
        logits, total = student(x), torch.zeros(len(x), device=x.device)
        for _ in range(cfg.samples):
            noise = cfg.sigma * rng.normal(*x.shape[1:], dtype=dtype)
            rise = torch.linalg.vector_norm(student(x + noise) - logits, dim=-1)
            total = total + (rise / noise.flatten(2).norm(dim=-1)).mean(1)
        return total / cfg.samples

    yield from descend(ensemble, cfg, passes(on_forget(steepness, cfg), split.forget, cfg, rng))


METHOD = Method(
    unlearn=jit,
    config=Jit,
    summary="make the output flat around what is to be forgotten, with no other data",
    cite=("foster2025",),
    needs=(FORGET_DATA, CLASSES, NUMBERS),
    search={
        "lr": Between(1e-5, 1.0, log=True),
        "sigma": Between(0.005, 2.0, log=True),
        "epochs": Between(1, 20, whole=True),
        "forget_statistics": OneOf((True, False)),
    },
    published=(
        Published("the authors' code, random examples, VGG-16", {"lr": 3e-4, "epochs": 1, "sigma": 0.01}),
        Published("the authors' code, a class, VGG-16", {"lr": 3e-4, "epochs": 1, "sigma": 0.5, "samples": 25}),
        Published("the authors' code, random examples, ViT", {"lr": 0.1, "epochs": 1, "sigma": 0.5}),
    ),
    deviations="The published code lets no gradient through f(x + noise), cuts the noisy inputs to the range of the "
    "batch, sums over the batch, and never sets its gradients to zero, so that they add up from batch to batch; here "
    "the gradient is that of the whole quotient, the noise is whole, a batch counts by its mean, each by its own.",
)

"""DELETE, decoupled distillation to erase: on the forget set, hold what one thought of all classes but the true one."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch
from expunge.methods.method import Method
from expunge.methods.needs import CLASSES, FORGET_DATA
from expunge.methods.parts.walks import ForgetWalk, descend, on_forget, passes
from expunge.methods.spaces import FORGET_RATES, Between, OneOf, Published
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class Delete(ForgetWalk):
    """Minimise ``KL(p || softmax(f(x)))`` on forget, ``p`` the softmax of theta_0's logits without the true class.

    So ``p`` is 0 at the true class and keeps the proportions of the others. Without ``forget_statistics`` forget
    batches leave BatchNorm's running statistics alone. Zhou et al. 2025, arXiv:2503.23751.
    """

    epochs: int = 3
    lr: float = 1e-3
    momentum: float = 0.0


def delete(ensemble: Ensemble, split: Split, cfg: Delete, rng: Generators) -> Iterator[Ensemble]:
    """Yield the student after each pass over the forget set."""
    teacher = ensemble.copy().eval()

    def loss(student: Ensemble, batch: Batch) -> Float[Tensor, " models"]:
        x, y = batch
        with torch.no_grad():
            others = teacher(x).scatter(-1, y[..., None], -torch.inf).softmax(-1)
        return F.kl_div(student(x).log_softmax(-1), others, reduction="none").sum(-1).mean(1)

    yield from descend(ensemble, cfg, passes(on_forget(loss, cfg), split.forget, cfg, rng))


METHOD = Method(
    unlearn=delete,
    config=Delete,
    summary="distil the original's view of the other classes into the forget set",
    cite=("zhou2025",),
    needs=(FORGET_DATA, CLASSES),
    search={
        "lr": FORGET_RATES,
        "epochs": Between(1, 20, whole=True),
        "momentum": OneOf((0.0, 0.9)),
        "forget_statistics": OneOf((True, False)),
    },
    published=(
        Published("the authors' code, a class of CIFAR-10, ResNet-18", {"lr": 1e-4, "epochs": 20, "momentum": 0.9}),
        Published(
            "the authors' code, a class of CIFAR-10, VGG-16, and classes of CIFAR-100",
            {"lr": 5e-5, "epochs": 20, "momentum": 0.9},
        ),
        Published("MUtyl's own version", {"lr": 0.01, "epochs": 10, "momentum": 0.9}),
    ),
    deviations="The authors take momentum 0.9 and 20 epochs; the default has none, and 3 epochs. For a class of Tiny "
    "ImageNet they set BatchNorm to evaluation mode; with forget_statistics=false batches are still normalised by "
    "their own statistics here, but leave no trace.",
)

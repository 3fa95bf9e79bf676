"""Boundary shrink: what is to be forgotten moves to the class that lies just behind the nearest boundary."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.method import Method
from expunge.methods.needs import CLASSES, FORGET_DATA, SLOPES
from expunge.methods.parts.adversarial import for_each_model, input_slope
from expunge.methods.parts.examples import relabelled
from expunge.methods.parts.walks import ForgetWalk, descend, on_forget, recipe_loss, require, training_loss
from expunge.methods.spaces import FORGET_RATES, Between, OneOf, Published
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class BoundaryShrink(ForgetWalk):
    """Minimise ``CE(f(x), nearest)`` on forget, ``nearest`` the first choice of theta_0 at an adversarial example.

    The example is ``x + bound sign(grad_x CE(f_0(x), y))``, by FGSM; where theta_0 still says ``y`` there, ``nearest``
    is its second choice. theta_0 is in evaluation mode. Without ``forget_statistics`` forget batches leave BatchNorm's
    running statistics alone. Chen et al. 2023, arXiv:2303.11570.
    """

    epochs: int = 3
    lr: float = 1e-3
    momentum: float = 0.0
    bound: float = 0.1  # in units of the inputs

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.bound > 0, "bound must be above 0", self.bound)


def boundary_shrink(ensemble: Ensemble, split: Split, cfg: BoundaryShrink, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each pass over the forget set."""
    nearest = nearest_others(ensemble.copy().eval(), split, cfg)
    passes = (relabelled(split.forget.x, nearest, cfg.batch_size, rng) for _ in range(cfg.epochs))
    yield from descend(ensemble, cfg, ([(on_forget(training_loss(split), cfg), batches)] for batches in passes))


def nearest_others(original: Ensemble, split: Split, cfg: BoundaryShrink) -> Int[Tensor, "models examples"]:
    """For each model and example to forget, the nearest class but its own."""
    found, ce = [], recipe_loss(split)
    for x, y in zip(split.forget.x.split(cfg.batch_size), split.forget.y.split(cfg.batch_size), strict=True):
        labels = y.expand(len(original), -1)
        inputs = for_each_model(x, len(original))
        _, slope = input_slope(original, inputs, labels, ce)
        with torch.no_grad():
            logits = original(inputs + cfg.bound * slope.sign())
            found.append(logits.scatter(-1, labels[..., None], -torch.inf).argmax(-1))
    return torch.cat(found, dim=1)


METHOD = Method(
    unlearn=boundary_shrink,
    config=BoundaryShrink,
    summary="train on the class behind the nearest boundary in place of the forget set's own",
    cite=("chen2023",),
    needs=(FORGET_DATA, CLASSES, SLOPES),
    search={
        "lr": FORGET_RATES,
        "bound": Between(0.01, 1.0, log=True),
        "epochs": Between(1, 20, whole=True),
        "momentum": OneOf((0.0, 0.9)),
        "forget_statistics": OneOf((True, False)),
    },
    published=(
        Published("the authors' code, a class of CIFAR-10", {"lr": 1e-5, "epochs": 10, "momentum": 0.9, "bound": 0.1}),
        Published(
            "the code of Scissorhands, 10 % of CIFAR-10 at random",
            {"lr": 1e-6, "epochs": 10, "momentum": 0.9, "bound": 0.1},
        ),
        Published("the code of DELETE, a class of CIFAR-10", {"lr": 1e-4, "epochs": 20, "momentum": 0.9, "bound": 0.1}),
    ),
    deviations="Public code leaves an example whose adversarial version keeps its class with its own label, clips "
    "adversarial pictures to [0, 1] and rounds them to 8 bits; here inputs may be anything, and are not clipped. It "
    "takes 10 epochs at rate 1e-5 with momentum 0.9.",
)

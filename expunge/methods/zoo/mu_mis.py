"""MU-Mis: what was learnt shows in how sensitive a logit is to the input; make the true one no more so than others."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import minibatch_count, minibatches
from expunge.methods.method import Method
from expunge.methods.needs import CLASSES, FORGET_DATA, SLOPES
from expunge.methods.parts.double_backward import twice
from expunge.methods.parts.schedules import Counted
from expunge.methods.parts.walks import Phase, Walk, descend_from
from expunge.methods.spaces import Between, OneOf, Published
from expunge.methods.zoo.random_labels import wrong_labels
from expunge.suites.suite import Split

Pairs = tuple[Tensor, Tensor, Tensor]  # inputs, their labels, and another class for each


@dataclass(frozen=True, kw_only=True)
class MuMis(Walk):
    """Minimise ``||grad_x f_c(x)||^2 - ||grad_x f_c'(x)||^2`` on forget: logits of the true class c and another, c'.

    c' is drawn anew for every model, example and epoch. All is in evaluation mode, so that the gradient of an example
    is its own and not that of its batch. Cheng et al. 2026, arXiv:2402.15109.
    """

    epochs: int = 3
    lr: float = 1e-4
    momentum: float = 0.0


def mu_mis(ensemble: Ensemble, split: Split, cfg: MuMis, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each pass over the forget set."""
    student = ensemble.copy()

    def epoch() -> Iterator[Phase[Pairs]]:
        student.eval()  # here, for a walk sets all layers to training when it starts
        count = minibatch_count(len(split.forget), cfg.batch_size)
        yield sensitivity_gap, Counted(pairs(split, cfg.batch_size, rng), count)

    yield from descend_from(student, cfg, (epoch() for _ in range(cfg.epochs)))


def pairs(split: Split, batch_size: int, rng: Generators) -> Iterator[Pairs]:
    """One pass over the forget set, each example with its class and another."""
    others = wrong_labels(split.forget.y, split.classes, rng)
    for rows in minibatches(rng.permutation(len(split.forget)), batch_size):
        yield split.forget.x[rows], split.forget.y[rows], others.gather(1, rows)


def sensitivity_gap(student: Ensemble, batch: Pairs) -> Float[Tensor, " models"]:
    """Mean over the batch of the squared norms' difference."""
    x, labels, others = batch
    inputs = x.to(torch.promote_types(x.dtype, torch.float32)).clone().requires_grad_()
    with twice():
        logits = student(inputs)
    true, other = (_squared_slope(logits, which, inputs) for which in (labels, others))
    # Two gradients with respect to the input, each the work of a pass forward, before all is gone through backward.
    student.meter.count(2 * labels.numel())
    return (true - other).mean(1)


def _squared_slope(logits: Tensor, classes: Tensor, inputs: Tensor) -> Float[Tensor, "models batch"]:
    (slope,) = torch.autograd.grad(logits.gather(-1, classes[..., None]).sum(), inputs, create_graph=True)
    return slope.flatten(2).square().sum(-1)


METHOD = Method(
    unlearn=mu_mis,
    config=MuMis,
    summary="lower the input sensitivity of the true logit on the forget set, raise another's",
    cite=("cheng2026",),
    needs=(FORGET_DATA, CLASSES, SLOPES),
    search={
        "lr": Between(1e-6, 1e-1, log=True),
        "epochs": Between(1, 20, whole=True),
        "momentum": OneOf((0.0, 0.9)),
    },
    published=(
        Published(
            "torchunlearn's readme; the authors' own code was not at hand", {"epochs": 1, "lr": 1e-4, "momentum": 0.0}
        ),
    ),
    deviations="The paper stops when the sensitivity of the other logits has come back to a share of what it was; here "
    "the number of epochs is a setting. Whether its code runs in training mode is not known here.",
)

"""The first-order update of closed-form unlearning: one step along the gradients of what is removed."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.method import Method
from expunge.methods.needs import FORGET_DATA
from expunge.methods.parts.curvature import gradient_sum
from expunge.methods.parts.per_sample import flat_weights, with_weights
from expunge.methods.parts.walks import recipe_loss, require
from expunge.methods.spaces import Between, OneOf, Published
from expunge.suites.suite import Examples, Split

REPLACEMENTS = ("nothing", "zeros")


@dataclass(frozen=True, kw_only=True)
class FirstOrder:
    """``theta - tau (sum grad l(z') - sum grad l(z))``: ``z`` the forget set, ``z'`` what stands in its place.

    Gradients are of the trained model in evaluation mode, and sums, not means. The paper corrects features and labels,
    and ``z'`` is the corrected example, which a request may hold. An example that is removed whole has no ``z'``: with
    replacement ``nothing`` the step is ``theta + tau sum grad l(z)``. With ``zeros`` it keeps its label and loses all
    its features.
    Warnecke et al. 2023, arXiv:2108.11577.
    """

    tau: float = 0.02
    replacement: str = "nothing"

    def __post_init__(self) -> None:
        require(self.tau > 0, "tau must be above 0", self.tau)
        known = self.replacement in REPLACEMENTS
        require(known, f"replacement must be one of {', '.join(REPLACEMENTS)}", repr(self.replacement))


def first_order(ensemble: Ensemble, split: Split, cfg: FirstOrder, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after the one step."""
    teacher = ensemble.copy().eval()
    loss = recipe_loss(split)
    change = -gradient_sum(teacher, split.forget, loss)
    if split.instead is not None:
        change += gradient_sum(teacher, split.instead, loss)
    elif cfg.replacement == "zeros":
        change += gradient_sum(teacher, Examples(torch.zeros_like(split.forget.x), split.forget.y), loss)
    yield with_weights(teacher, flat_weights(teacher) - cfg.tau * change)


METHOD = Method(
    unlearn=first_order,
    config=FirstOrder,
    summary="one step up the gradients of the forget set, in closed form",
    cite=("warnecke2023",),
    needs=(FORGET_DATA,),
    search={
        "tau": Between(1e-6, 1.0, log=True),
        "replacement": OneOf(REPLACEMENTS),
    },
    published=(Published("the authors' code, labels of CIFAR-10 poisoned, the last six tensors", {"tau": 2e-5}),),
    deviations="In its experiments with convolutional networks, public code moves the last six weight tensors only; "
    "here all are moved.",
)

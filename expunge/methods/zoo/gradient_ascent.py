"""Gradient ascent: climb the loss of what is to be forgotten, and nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.method import Method
from expunge.methods.needs import FORGET_DATA
from expunge.methods.parts.walks import ForgetWalk, ascent_loss, descend, on_forget, passes
from expunge.methods.spaces import Between, OneOf, Published
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class GradientAscent(ForgetWalk):
    """Maximise ``CE(forget)``. Thudi et al. 2022, arXiv:2109.13398; Graves et al. 2021, arXiv:2010.10981.

    Without ``forget_statistics`` forget batches leave BatchNorm's running statistics alone.
    """

    epochs: int = 3
    lr: float = 0.02
    momentum: float = 0.0


def gradient_ascent(ensemble: Ensemble, split: Split, cfg: GradientAscent, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each pass over the forget set."""
    yield from descend(ensemble, cfg, passes(on_forget(ascent_loss(split), cfg), split.forget, cfg, rng))


METHOD = Method(
    unlearn=gradient_ascent,
    config=GradientAscent,
    summary="climb the loss of the forget set",
    cite=("thudi2022", "graves2021"),
    needs=(FORGET_DATA,),
    search={
        "lr": Between(1e-6, 0.5, log=True),
        "epochs": Between(1, 20, whole=True),
        "momentum": OneOf((0.0, 0.9)),
        "forget_statistics": OneOf((True, False)),
    },
    published=(
        Published("the code of Jia et al., a class of CIFAR-10", {"lr": 1e-4, "epochs": 5, "momentum": 0.9}),
        Published(
            "data-unlearning-bench, best of its grid for 10 random examples", {"lr": 0.05, "epochs": 1, "momentum": 0.0}
        ),
        Published(
            "data-unlearning-bench, best of its grid for 10 influential examples",
            {"lr": 0.01, "epochs": 1, "momentum": 0.0},
        ),
    ),
    deviations="The code of Jia et al. takes momentum 0.9, and its weights decay; here they do not.",
)

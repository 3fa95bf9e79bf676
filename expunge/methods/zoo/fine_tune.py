"""Fine-tuning: go on training on what is kept, and hope that the rest fades."""

from collections.abc import Iterator
from dataclasses import dataclass

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.method import Method
from expunge.methods.needs import RETAIN_DATA
from expunge.methods.parts.walks import Walk, descend, passes, training_loss
from expunge.methods.spaces import Between, Published
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class FineTune(Walk):
    """Minimise ``CE(retain)``. Baseline of Warnecke et al. 2023, arXiv:2108.11577, and Golatkar et al. 2020."""

    epochs: int = 1
    lr: float = 0.2


def fine_tune(ensemble: Ensemble, split: Split, cfg: FineTune, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each pass over the retained examples."""
    yield from descend(ensemble, cfg, passes(training_loss(split), split.retain, cfg, rng))


METHOD = Method(
    unlearn=fine_tune,
    config=FineTune,
    summary="go on training on the retained examples",
    cite=("warnecke2023", "golatkar2020"),
    needs=(RETAIN_DATA,),
    search={"lr": Between(1e-4, 2.0, log=True), "epochs": Between(1, 16, whole=True)},
    published=(
        Published("the code of Jia et al., 10 % of CIFAR-10 at random", {"lr": 0.01, "epochs": 10}),
        Published("MIA_experiments of SCRUB's code, CIFAR-10", {"lr": 0.04, "epochs": 10}),
        Published("the code of SSD, a class and random examples", {"lr": 0.02, "epochs": 5}),
    ),
    deviations="In public code the weights decay; here they do not.",
    moves_little="Its loss never sees the forgotten examples, and models that fit what they keep have nothing left "
    "to descend: on digits the cross-entropy of retained examples is 0.0014 nats before it starts, "
    "and the probability they give to class 3, which alone would push that class down, 0.0002 (means "
    "over 20 models).",
)

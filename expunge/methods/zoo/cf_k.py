"""CF-k, catastrophic forgetting of the last k layers: fine-tune them, all before them as it was."""

from collections.abc import Iterator
from dataclasses import dataclass

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch
from expunge.methods.method import Method
from expunge.methods.needs import RETAIN_DATA
from expunge.methods.parts.last_layers import freeze_all_but, last_layers, thaw
from expunge.methods.parts.walks import Phase, Walk, descend_from, require, shuffled, training_loss
from expunge.methods.spaces import Between, OneOf, Published
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class CfK(Walk):
    """Minimise ``CE(retain)`` over the last ``layers`` layers.

    ``layers`` counts layers with parameters from the output, each with the normalisation that follows it; 0 is all.
    The layers before are frozen in evaluation mode, running statistics too.
    Goel et al. 2022, arXiv:2201.06640.
    """

    epochs: int = 1
    lr: float = 0.2
    layers: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.layers >= 0, "layers must be at least 0", self.layers)


def cf_k(ensemble: Ensemble, split: Split, cfg: CfK, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each pass over the retained examples."""
    student = ensemble.copy()
    paths = last_layers(student, cfg.layers)

    def epoch() -> Iterator[Phase[Batch]]:
        freeze_all_but(student, paths)  # here, for a walk sets all layers to training when it starts
        yield training_loss(split), shuffled(split.retain, cfg.batch_size, rng)

    for step in descend_from(student, cfg, (epoch() for _ in range(cfg.epochs))):
        yield thaw(step, ensemble)


METHOD = Method(
    unlearn=cf_k,
    config=CfK,
    summary="fine-tune only the last layers on the retained examples",
    cite=("goel2022",),
    needs=(RETAIN_DATA,),
    search={
        "lr": Between(1e-4, 2.0, log=True),
        "epochs": Between(1, 16, whole=True),
        "layers": OneOf((1, 2, 3)),
    },
    published=(
        Published(
            "SCRUB's notebooks, where the last block of a ResNet moves",
            {"epochs": 10, "lr": 0.01, "momentum": 0.0, "batch_size": 64},
        ),
        Published(
            "the authors of Unlearn-WorstCase, its issue 1: 10 epochs, k 1, rates from 1e-4 to this",
            {"epochs": 10, "layers": 1, "lr": 0.1},
        ),
    ),
    deviations="The authors train for 30 epochs at rates that fall from 0.1 to 0.005, again and again; here the rate "
    "is constant. Their code lets running statistics of BatchNorm follow in frozen layers too. Costs count a whole "
    "pass backward, though it need not reach the frozen layers.",
    moves_little="As with fine-tune, models that fit what they keep have nothing left to descend (0.0014 nats on "
    "digits), and all layers but the last ones stay as they were.",
)

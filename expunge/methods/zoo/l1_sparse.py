"""l1-sparse fine-tuning: go on training on what is kept, while the weights are drawn towards zero ever less."""

from collections.abc import Iterator
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch
from expunge.methods.method import Method
from expunge.methods.needs import RETAIN_DATA
from expunge.methods.parts.norms import l1_norm
from expunge.methods.parts.walks import Loss, Phase, Walk, descend, require, shuffled, training_loss
from expunge.methods.spaces import Between, Published
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class L1Sparse(Walk):
    """Minimise ``CE(retain) + gamma_e ||theta||_1`` over all parameters ``theta``, biases and BatchNorm's too.

    In epoch e = 0, 1, ... of E, ``gamma_e = gamma (1 - e / (E - E0))`` while ``e < E - E0``, then 0; where E0 is
    ``no_l1_epochs``. If ``E0 = E``, ``gamma_e = gamma`` throughout. Jia et al. 2023, arXiv:2304.04934.
    """

    epochs: int = 2
    lr: float = 0.2
    gamma: float = 1e-4
    no_l1_epochs: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.gamma >= 0, "gamma must be at least 0", self.gamma)
        require(0 <= self.no_l1_epochs <= self.epochs, "no_l1_epochs must lie in [0, epochs]", self.no_l1_epochs)

    def gamma_at(self, epoch: int) -> float:
        """Weight of the norm in ``epoch``, counted from 0.

        >>> cfg = L1Sparse(epochs=4, gamma=1.0, no_l1_epochs=2)
        >>> [cfg.gamma_at(epoch) for epoch in range(4)]
        [1.0, 0.5, 0.0, 0.0]
        """
        decaying = self.epochs - self.no_l1_epochs
        return self.gamma * max(0.0, 1 - epoch / decaying) if decaying else self.gamma


def l1_sparse(ensemble: Ensemble, split: Split, cfg: L1Sparse, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each pass over the retained examples."""
    ce = training_loss(split)

    def loss_of(epoch: int) -> Loss[Batch]:
        def loss(student: Ensemble, batch: Batch) -> Float[Tensor, " models"]:
            return ce(student, batch) + cfg.gamma_at(epoch) * l1_norm(student)

        return loss

    def phases(epoch: int) -> Iterator[Phase[Batch]]:
        yield loss_of(epoch), shuffled(split.retain, cfg.batch_size, rng)

    yield from descend(ensemble, cfg, (phases(epoch) for epoch in range(cfg.epochs)))


METHOD = Method(
    unlearn=l1_sparse,
    config=L1Sparse,
    whole_runs=True,  # the penalty fades along all epochs
    summary="fine-tune on the retained examples under an l1 penalty that fades",
    cite=("jia2023",),
    needs=(RETAIN_DATA,),
    search={
        "lr": Between(1e-3, 2.0, log=True),
        "gamma": Between(1e-6, 1e-2, log=True),
        "epochs": Between(1, 16, whole=True),
    },
    published=(
        Published(
            "the code of Scissorhands, random examples and a class, rate and epochs as in the authors' code",
            {"lr": 0.01, "epochs": 10, "gamma": 1e-4},
        ),
    ),
    deviations="As in the public code the penalty is a subgradient, so no weight becomes exactly 0. There the weights "
    "also decay; here they do not.",
)

"""NPO, negative preference optimization: push down the label's probability, the less the lower it is already."""

from collections.abc import Iterator
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch
from expunge.methods.method import Method
from expunge.methods.needs import CLASSES, FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.walks import PairedWalk, descend, on_forget, paired, require, training_loss
from expunge.methods.spaces import FORGET_RATES, Between, OneOf, Published
from expunge.methods.zoo.scrub import teach
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class NegativePreference(PairedWalk):
    """Minimise ``-(2 / beta) mean log sigmoid(-beta log(p_y / p0_y))`` on forget, plus ``gamma CE(retain)``.

    ``p_y`` is the student's probability of the label, ``p0_y`` that of the ensemble as it came. As ``beta`` goes to 0
    the first term becomes ascent on the cross-entropy. Zhang et al. 2024, arXiv:2404.05868, with the label of an
    example in the place of the tokens of an answer. Without ``forget_statistics`` forget batches leave BatchNorm's
    running statistics alone.
    """

    epochs: int = 1
    lr: float = 3e-3
    forget_statistics: bool = False
    beta: float = 1.0
    gamma: float = 20.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.beta > 0, "beta must be above 0", self.beta)
        require(self.gamma >= 0, "gamma must be at least 0", self.gamma)


def npo(ensemble: Ensemble, split: Split, cfg: NegativePreference, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each pass over the retained examples; forget batches are repeated to keep pace."""
    reference, ce = ensemble.copy().eval(), training_loss(split)

    def preference(student: Ensemble, forget: Batch) -> Float[Tensor, " models"]:
        ratio = log_likelihood(student(forget[0]), forget[1]) - log_likelihood(teach(reference, forget), forget[1])
        return -2 / cfg.beta * logsigmoid(-cfg.beta * ratio).mean(1)

    def loss(student: Ensemble, batch: tuple[Batch, Batch]) -> Float[Tensor, " models"]:
        retain, forget = batch
        return on_forget(preference, cfg)(student, forget) + cfg.gamma * ce(student, retain)

    yield from descend(ensemble, cfg, ([(loss, batches)] for batches in paired(split, cfg, rng)))


def log_likelihood(logits: Float[Tensor, "models batch classes"], labels: Tensor) -> Float[Tensor, "models batch"]:
    """``log p_y`` of every example."""
    return logits.log_softmax(-1).gather(-1, labels[..., None]).squeeze(-1)


METHOD = Method(
    unlearn=npo,
    config=NegativePreference,
    summary="push the forget labels' probability down, the less the lower it is, and fine-tune",
    cite=("zhang2024npo",),
    needs=(FORGET_DATA, RETAIN_DATA, CLASSES),
    search={
        "lr": FORGET_RATES,
        "epochs": Between(1, 16, whole=True),
        "beta": Between(0.05, 5.0, log=True),
        "gamma": Between(0.2, 100.0, log=True),
        "forget_batch_size": OneOf((8, 16, 32)),
        "forget_statistics": OneOf((True, False)),
    },
    published=(
        Published(
            "the authors' code, TOFU, forget.yaml with retain loss; a rate of AdamW for a language model",
            {"epochs": 10, "lr": 1e-5, "beta": 0.1, "gamma": 1.0},
        ),
        Published(
            "the authors' code, synthetic experiments, NPO with retain loss: random features, two classes",
            {"lr": 2e-4, "beta": 0.1, "gamma": 1.0},
        ),
    ),
    deviations="Made for language models, which have no BatchNorm: here the student is in training mode and theta_0 "
    "is not, so that with BatchNorm log(p_y / p0_y) is not 0 at the start. The authors weigh the two terms alike, "
    "with beta 0.1, and walk by AdamW; here it is SGD, and its default gives retain 20 times the weight.",
)

"""KDE: the first convolution and the classifier drawn anew, then brought back by the old model's outputs."""

from collections.abc import Iterator
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.optimizers import Descent
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch, draw, take_steps
from expunge.methods.method import Method
from expunge.methods.needs import CLASSES, CLASSIFIER, CONVOLUTIONS, RETAIN_DATA
from expunge.methods.parts.layers import convolutions, last_linear
from expunge.methods.parts.reset import reset_layers
from expunge.methods.parts.walks import Walk, descend_from, passes, recipe_loss, require
from expunge.methods.spaces import Between, OneOf, Published
from expunge.methods.zoo.scrub import distillation, teach
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class DistilledReset(Walk):
    """Draw anew the first convolution and the last linear layer; warm up on ``KL``; minimise ``CE + H + KL`` on retain.

    ``KL = KL(p_0 || p)`` and ``H = -sum p_0 log p``, of softmaxes at ``temperature`` T without a factor T squared, with
    ``p_0`` of the ensemble as it came. The warm-up is at ``warmup_lr``, ``warmup_epochs`` times over the share
    ``warmup`` of the retained examples, drawn for each model. Sixth of the NeurIPS 2023 challenge: Triantafillou et al.
    2024, arXiv:2406.09073; named so by Cadet et al. 2024, arXiv:2410.01276.
    """

    epochs: int = 1
    lr: float = 0.1
    temperature: float = 5.0
    warmup: float = 0.25
    warmup_epochs: int = 1
    warmup_lr: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.temperature > 0, "temperature must be above 0", self.temperature)
        require(0 < self.warmup <= 1, "warmup must lie in (0, 1]", self.warmup)
        require(self.warmup_epochs >= 1, "warmup_epochs must be at least 1", self.warmup_epochs)
        require(self.warmup_lr > 0, "warmup_lr must be above 0", self.warmup_lr)


def kde(ensemble: Ensemble, split: Split, cfg: DistilledReset, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each pass over the retained examples; the warm-up belongs to the first."""
    teacher, student, t = ensemble.copy().eval(), ensemble.copy().train(), cfg.temperature
    ce = recipe_loss(split)

    def warm(student: Ensemble, batch: Batch) -> Float[Tensor, " models"]:
        return distillation(teach(teacher, batch), student(batch[0]), t) / t**2

    def loss(student: Ensemble, batch: Batch) -> Float[Tensor, " models"]:
        logits, taught = student(batch[0]), teach(teacher, batch)
        soft: Tensor = -(taught.div(t).softmax(-1) * logits.div(t).log_softmax(-1)).sum(-1).mean(1)
        return ce(logits, batch[1]) + soft + distillation(taught, logits, t) / t**2

    reset_layers(student, [convolutions(student)[0], last_linear(student)], split.network, rng)
    rows = rng.permutation(len(split.retain))[:, : max(1, round(cfg.warmup * len(split.retain)))]
    optimizer = Descent(student, lr=cfg.warmup_lr, momentum=cfg.momentum)
    for _ in range(cfg.warmup_epochs):
        order = rows.gather(1, rng.permutation(rows.shape[1]))
        take_steps(student, optimizer, warm, draw(split.retain, order, cfg.batch_size))
    yield from descend_from(student, cfg, passes(loss, split.retain, cfg, rng))


METHOD = Method(
    unlearn=kde,
    config=DistilledReset,
    summary="draw the first and the last layer anew, distil the old model into them, fine-tune",
    cite=("triantafillou2024", "cadet2024"),
    needs=(RETAIN_DATA, CONVOLUTIONS, CLASSIFIER, CLASSES),
    search={
        "lr": Between(1e-4, 1.0, log=True),
        "epochs": Between(1, 16, whole=True),
        "warmup_lr": Between(1e-4, 1.0, log=True),
        "warmup_epochs": Between(1, 4, whole=True),
        "warmup": Between(0.05, 0.5),
        "temperature": OneOf((1.0, 2.0, 5.0)),
    },
    published=(
        Published(
            "the authors' code as DeepUnlearn has it, random sets: 3 epochs of warm-up and 3 of the rest",
            {"epochs": 3, "lr": 1e-3, "warmup_epochs": 3, "warmup_lr": 9e-4, "temperature": 5.0},
        ),
    ),
    deviations="The warm-up of the public code is on validation data, which the model never saw; here, where there are "
    "none, it is on a share of the retained examples. It decays the weights and lowers the learning rate along a "
    "cosine; here it is constant and nothing decays.",
)

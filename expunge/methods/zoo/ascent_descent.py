"""Ascent-descent: by turns, a pass up the loss of the forget set and a pass down the loss of the rest."""

from collections.abc import Iterator
from dataclasses import dataclass

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch
from expunge.methods.method import Method
from expunge.methods.needs import FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.walks import Phase, Walk, ascent_loss, descend, require, shuffled, training_loss
from expunge.methods.spaces import Between, OneOf, Published
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class AscentDescent(Walk):
    """Maximise ``CE(forget)`` in the first ``ascent_epochs``, then in every epoch minimise ``CE(retain)``.

    As in the public data-unlearning-bench of Georgiev et al. 2024, arXiv:2410.23232 ("GA+GD").
    """

    epochs: int = 1
    lr: float = 0.05
    ascent_epochs: int = 1
    forget_batch_size: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.ascent_epochs >= 1, "ascent_epochs must be at least 1", self.ascent_epochs)
        require(self.forget_batch_size >= 1, "forget_batch_size must be at least 1", self.forget_batch_size)


def ascent_descent(ensemble: Ensemble, split: Split, cfg: AscentDescent, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each epoch: its ascent, if it has one, and its descent."""

    def epoch(number: int) -> Iterator[Phase[Batch]]:
        if number <= cfg.ascent_epochs:
            yield ascent_loss(split), shuffled(split.forget, cfg.forget_batch_size, rng)
        yield training_loss(split), shuffled(split.retain, cfg.batch_size, rng)

    yield from descend(ensemble, cfg, (epoch(number) for number in range(1, cfg.epochs + 1)))


METHOD = Method(
    unlearn=ascent_descent,
    config=AscentDescent,
    summary="by turns climb the loss of the forget set and descend that of the rest",
    cite=("georgiev2024",),
    needs=(FORGET_DATA, RETAIN_DATA),
    search={
        "lr": Between(5e-5, 0.5, log=True),
        "epochs": Between(1, 16, whole=True),
        "ascent_epochs": OneOf((1, 2, 3, 5)),
        "momentum": OneOf((0.0, 0.9)),
        "forget_batch_size": OneOf((16, 32, 64)),
    },
    published=(
        Published(
            "data-unlearning-bench, its example, 100 random examples of CIFAR-10",
            {"lr": 0.001, "epochs": 10, "ascent_epochs": 3, "momentum": 0.0, "forget_batch_size": 32},
        ),
        Published(
            "data-unlearning-bench, the upper end of its grid",
            {"lr": 0.005, "epochs": 10, "ascent_epochs": 5, "momentum": 0.0, "forget_batch_size": 64},
        ),
    ),
    deviations="The public code walks by plain SGD without momentum, does not shuffle, and climbs in the first 3 or 5 "
    "of 5 to 10 epochs; here momentum is 0.9, batches are shuffled, and one epoch, with an ascent, is the default.",
)

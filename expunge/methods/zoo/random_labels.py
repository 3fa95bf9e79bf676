"""Random labels: train on, with wrong labels drawn at random in place of those of the forget set."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch, minibatch_count
from expunge.methods.method import Method
from expunge.methods.needs import CLASSES, FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.examples import joined, relabelled
from expunge.methods.parts.schedules import Counted
from expunge.methods.parts.walks import Walk, descend, training_loss
from expunge.methods.spaces import Between, Published
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class RandomLabels(Walk):
    """Minimise CE on retain and forget together, each forget label replaced by one of the other classes.

    New labels are drawn for every model and epoch. Golatkar et al. 2020, arXiv:1911.04933; Graves et al. 2021,
    arXiv:2010.10981.
    """

    epochs: int = 1
    lr: float = 3e-4


def random_labels(ensemble: Ensemble, split: Split, cfg: RandomLabels, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each pass over all examples."""
    examples, own = joined([split.retain, split.forget]), split.retain.y.expand(len(rng), -1)
    count = minibatch_count(len(examples), cfg.batch_size)

    def epoch() -> Iterator[Batch]:
        labels = torch.cat([own, wrong_labels(split.forget.y, split.classes, rng)], dim=1)
        yield from relabelled(examples.x, labels, cfg.batch_size, rng)

    yield from descend(ensemble, cfg, ([(training_loss(split), Counted(epoch(), count))] for _ in range(cfg.epochs)))


def wrong_labels(labels: Int[Tensor, "... examples"], classes: int, rng: Generators) -> Int[Tensor, "models examples"]:
    """For every model and example, one of the other classes, all equally likely."""
    return (labels + 1 + rng.integers(classes - 1, labels.shape[-1])) % classes


METHOD = Method(
    unlearn=random_labels,
    config=RandomLabels,
    summary="train on with wrong random labels for the forget set",
    cite=("golatkar2020", "graves2021"),
    needs=(FORGET_DATA, RETAIN_DATA, CLASSES),
    search={"lr": Between(3e-5, 0.5, log=True), "epochs": Between(1, 16, whole=True)},
    published=(
        Published("the code of Chundawat et al., a subclass of CIFAR-100, there with Adam", {"lr": 1e-4, "epochs": 3}),
    ),
    deviations="The public code of Fan et al. draws from all classes, the true one too; here the label is wrong. That "
    "of Chundawat et al. walks by Adam and draws once; here new labels are drawn for each epoch.",
)

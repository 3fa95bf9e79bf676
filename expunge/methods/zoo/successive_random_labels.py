"""Successive random labels: a pass over the forget set with wrong labels, then a pass over the rest with its own."""

from collections.abc import Iterator
from dataclasses import dataclass

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch, minibatch_count
from expunge.methods.method import Method
from expunge.methods.needs import CLASSES, FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.examples import relabelled
from expunge.methods.parts.schedules import Counted
from expunge.methods.parts.walks import Loss, Walk, descend, shuffled, training_loss
from expunge.methods.spaces import Between, OneOf
from expunge.methods.zoo.random_labels import wrong_labels
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class SuccessiveRandomLabels(Walk):
    """In every epoch minimise ``CE(f(x_forget), wrong label)``, then ``CE(retain)``.

    One of the other classes is drawn for every model, example and epoch. Graves et al. 2021, arXiv:2010.10981;
    Golatkar et al. 2020, arXiv:1911.04933; the two passes are those of the public code of Fan et al. 2024,
    arXiv:2310.12508.
    """

    epochs: int = 1
    lr: float = 3e-4


def successive_random_labels(
    ensemble: Ensemble, split: Split, cfg: SuccessiveRandomLabels, rng: Generators
) -> Iterator[Ensemble]:
    """Yield the ensemble after each epoch of two passes."""
    yield from descend(ensemble, cfg, (relabelled_then_retained(split, cfg, rng) for _ in range(cfg.epochs)))


def relabelled_then_retained(split: Split, cfg: Walk, rng: Generators) -> Iterator[tuple[Loss[Batch], Counted[Batch]]]:
    """A pass over the forget set with new wrong labels, then one over the rest."""
    yield training_loss(split), wrongly_labelled(split, cfg.batch_size, rng)
    yield training_loss(split), shuffled(split.retain, cfg.batch_size, rng)


def wrongly_labelled(split: Split, batch_size: int, rng: Generators) -> Counted[Batch]:
    """One pass over the forget set, every label replaced by one of the others at random."""

    def drawn() -> Iterator[Batch]:
        yield from relabelled(split.forget.x, wrong_labels(split.forget.y, split.classes, rng), batch_size, rng)

    return Counted(drawn(), minibatch_count(len(split.forget), batch_size))


METHOD = Method(
    unlearn=successive_random_labels,
    config=SuccessiveRandomLabels,
    summary="by turns train on wrong random labels of the forget set and on the rest",
    cite=("graves2021", "golatkar2020", "fan2024"),
    needs=(FORGET_DATA, RETAIN_DATA, CLASSES),
    search={"lr": Between(3e-5, 0.5, log=True), "epochs": Between(1, 16, whole=True), "momentum": OneOf((0.0, 0.9))},
    deviations="The public code of Fan et al. draws from all classes, the true one too; here the label is wrong. For "
    "CIFAR-100 and Tiny ImageNet, and in early versions for CIFAR-10, it mixes both passes in one.",
)

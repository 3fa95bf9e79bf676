"""The loop of the methods: a student that starts as a copy of the ensemble walks down a loss, epoch by epoch."""

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar, runtime_checkable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.optimizers import Descent
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch, draw, minibatch_count, take_steps
from expunge.errors import MethodFailed
from expunge.methods.parts.running_statistics import still_statistics
from expunge.methods.parts.schedules import SCHEDULES, Counted, factor
from expunge.methods.settings import LATER
from expunge.suites.suite import Examples, Split

B = TypeVar("B")
Loss = Callable[[Ensemble, B], Float[Tensor, " models"]]


@dataclass(frozen=True, kw_only=True)
class Walk:
    """The settings of every method that walks down a loss: SGD at a learning rate that is constant, unless it is said.

    The defaults of each method are where a search begins; what it found for a suite is in :mod:`expunge.methods.tuned`.
    ``schedule`` multiplies the rates of a method, along each pass of an epoch the way from this epoch to the next: see
    :mod:`expunge.methods.parts.schedules`. It came after settings were found and results kept: see :data:`LATER`.
    """

    epochs: int
    lr: float
    momentum: float = 0.9
    batch_size: int = 64
    schedule: str = field(default="constant", metadata=LATER)

    def __post_init__(self) -> None:
        require(self.schedule in SCHEDULES, f"schedule must be one of {', '.join(SCHEDULES)}", self.schedule)
        require(self.epochs >= 1, "epochs must be at least 1", self.epochs)
        require(self.lr > 0, "lr must be above 0", self.lr)
        require(0 <= self.momentum < 1, "momentum must lie in [0, 1)", self.momentum)
        require(self.batch_size >= 1, "batch_size must be at least 1", self.batch_size)


@dataclass(frozen=True, kw_only=True)
class ForgetWalk(Walk):
    """The settings of a walk that does not end on what is kept: its last batches are of what is to be forgotten.

    In training mode BatchNorm's running statistics follow them, in public code too, which alone can break a model
    (``results/forget_statistics.md``). Without ``forget_statistics`` forget batches are still normalised by their own,
    but leave no trace.
    """

    forget_statistics: bool = True


@dataclass(frozen=True, kw_only=True)
class PairedWalk(ForgetWalk):
    """The settings of a walk whose every step sees a batch of what is kept beside one of what is forgotten."""

    forget_batch_size: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.forget_batch_size >= 1, "forget_batch_size must be at least 1", self.forget_batch_size)


def require(holds: bool, rule: str, value: object) -> None:
    """Raise ValueError with the rule and the value that breaks it."""
    if not holds:
        raise ValueError(f"{rule}, got {value}")


Phase = tuple[Loss[B], Iterable[B]]  # a loss and the batches on which to walk down it


def descend(ensemble: Ensemble, config: Walk, epochs: Iterable[Iterable[Phase[B]]]) -> Iterator[Ensemble]:
    """Walk a copy of ``ensemble`` through the phases of each epoch; yield a copy after each epoch, in evaluation mode.

    The optimizer is born with the student, so it cannot hold the teacher's weights. SGD, no weight decay.
    """
    yield from descend_from(ensemble.copy(), config, epochs)


def descend_from(student: Ensemble, config: Walk, epochs: Iterable[Iterable[Phase[B]]]) -> Iterator[Ensemble]:
    """:func:`descend` of a ``student`` that a method has made of a copy already; it is changed in place."""
    student.train()
    optimizer = Descent(student, lr=config.lr, momentum=config.momentum)
    for epoch, phases in enumerate(epochs):
        for loss, batches in phases:
            take_steps(student, optimizer, loss, paced(batches, config, epoch, optimizer))
        yield student.copy().eval()


@runtime_checkable
class Rated(Protocol):
    """What steps at a rate: an optimizer."""

    lr: float


def paced(batches: Iterable[B], config: Walk, epoch: int, *rated: Rated) -> Iterable[B]:
    """``batches`` of a pass in an epoch, counted from 0, before each of which the rates are those of the schedule.

    Afterwards the rates are again what they were.
    """
    if config.schedule == "constant":
        return batches
    if not isinstance(batches, Sized):
        raise MethodFailed(
            f"schedule {config.schedule!r} must know how many batches a pass has, got {type(batches).__name__}; wrap "
            "them: Counted(batches, count) of expunge.methods.parts.schedules"
        )
    return _paced(batches, len(batches), config, epoch, rated)


def _paced(batches: Iterable[B], steps: int, config: Walk, epoch: int, rated: Sequence[Rated]) -> Iterator[B]:
    rates = [each.lr for each in rated]
    for step, batch in enumerate(batches):
        now = factor(config.schedule, epoch, config.epochs, step, steps)
        for each, rate in zip(rated, rates, strict=True):
            each.lr = rate * now
        yield batch
    for each, rate in zip(rated, rates, strict=True):
        each.lr = rate


def training_loss(split: Split) -> Loss[Batch]:
    """``CE``: the target's mean loss of a batch in nats, labels smoothed as the recipe of the models has it.

    Models that were trained on smoothed labels and fine-tuned on others move away from the oracles for a reason that
    has nothing to do with the forget set.
    """
    value = recipe_loss(split)
    return lambda student, batch: value(student(batch[0]), batch[1])


def recipe_loss(split: Split) -> Callable[[Tensor, Tensor], Tensor]:
    """:func:`training_loss` as a function of outputs and labels."""
    return partial(split.target.loss, smoothing=split.recipe.label_smoothing)


def example_losses(split: Split, logits: Tensor, labels: Tensor) -> Float[Tensor, "models batch"]:
    """:func:`recipe_loss` of each example, of labels that are classes."""
    smoothing = split.recipe.label_smoothing
    return F.cross_entropy(logits.transpose(1, 2), labels, reduction="none", label_smoothing=smoothing)


def on_forget(loss: Loss[B], config: ForgetWalk) -> Loss[B]:
    """``loss`` of batches of what is to be forgotten, whose statistics stay or do not, as ``config`` says."""
    if config.forget_statistics:
        return loss

    def still(student: Ensemble, batch: B) -> Float[Tensor, " models"]:
        with still_statistics(student):
            return loss(student, batch)

    return still


def ascent_loss(split: Split) -> Loss[Batch]:
    """The loss whose descent is ascent on the training loss."""
    loss = training_loss(split)
    return lambda student, batch: -loss(student, batch)


def shuffled(examples: Examples, batch_size: int, rng: Generators) -> Counted[Batch]:
    """One pass over ``examples``, in an order of its own for each model, which is drawn when its first is asked for."""

    def drawn() -> Iterator[Batch]:
        yield from draw(examples, rng.permutation(len(examples)), batch_size)

    return Counted(drawn(), minibatch_count(len(examples), batch_size))


def passes(loss: Loss[Batch], examples: Examples, config: Walk, rng: Generators) -> Iterator[list[Phase[Batch]]]:
    """For each epoch one pass of ``loss`` over ``examples``."""
    return ([(loss, shuffled(examples, config.batch_size, rng))] for _ in range(config.epochs))


def paired(split: Split, config: PairedWalk, rng: Generators) -> Iterator[Counted[tuple[Batch, Batch]]]:
    """For each epoch a pass over what is kept, with batches of what is forgotten, repeated to keep pace.

    What is kept comes in the order of ``fine-tune`` in every epoch: forget batches have generators of their own.
    """
    forget = rng.beside("forget batches")
    for _ in range(config.epochs):
        kept, gone = (
            shuffled(split.retain, config.batch_size, rng),
            cycled(split.forget, config.forget_batch_size, forget),
        )
        yield Counted(zip(kept, gone, strict=False), len(kept))


def cycled(examples: Examples, batch_size: int, rng: Generators) -> Iterator[Batch]:
    """Pass after pass over ``examples``, without end."""
    while True:
        yield from shuffled(examples, batch_size, rng)

"""The one training loop: stacked models, each on its own order of its own examples."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from expunge.ensembles.augment import augmented
from expunge.ensembles.chance import Chance
from expunge.ensembles.device import exact_arithmetic, resident, resident_data
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.expected import require_ensemble
from expunge.ensembles.optimizers import Descent, Optimizer
from expunge.ensembles.seeds import Generators
from expunge.suites.suite import Data, Examples, Recipe
from expunge.suites.target import CLASSIFICATION, Target

Batch = tuple[Tensor, Tensor]  # x (models, batch, ...), y (models, batch, ...)
B = TypeVar("B")


def minibatch_count(examples: int, size: int) -> int:
    """Minibatches of one pass: the last is smaller, but a single example left over joins the minibatch before it.

    So BatchNorm, which cannot be trained on one example, meets one only where it is told to.

    >>> minibatch_count(10, 4), minibatch_count(9, 4), minibatch_count(1, 4)
    (3, 2, 1)
    """
    full, left = divmod(examples, size)
    return full + (left > 1 or full == 0)


def minibatches(rows: Shaped[Tensor, "models n"], size: int) -> list[Tensor]:
    """The columns of ``rows`` of each minibatch of a pass."""
    starts = [size * number for number in range(minibatch_count(rows.shape[1], size))]
    return [rows[:, start:end] for start, end in zip(starts, [*starts[1:], rows.shape[1]], strict=True)]


def draw(examples: Examples, rows: Int[Tensor, "models n"], batch_size: int) -> Iterator[Batch]:
    """Minibatches in the order of ``rows``."""
    for part in minibatches(rows, batch_size):
        yield examples.x[part], examples.y[part]


def epoch_order(recipe: Recipe, n: int, generators: Generators) -> Int[Tensor, "models n"]:
    """The order in which each model sees its ``n`` examples in one epoch, cut into minibatches from the front.

    Shuffled, unless the recipe's batches are fixed: then neighbours stay together and the minibatches are shuffled,
    but for the last one where it is of another size, which stays last: all models have it at once.
    """
    if recipe.batches == "shuffled":
        return generators.permutation(n)
    size = recipe.batch_size
    whole = n // size
    places = generators.permutation(whole) if whole else torch.zeros(len(generators), 0, dtype=torch.int64)
    places = places.to(generators.device)
    inside = torch.arange(size, device=places.device)
    last = torch.arange(whole * size, n, device=places.device).expand(len(generators), -1)
    return torch.cat([(places[..., None] * size + inside).flatten(1), last], dim=1)


def take_steps(
    student: Ensemble,
    optimizer: Optimizer,
    loss: Callable[[Ensemble, B], Float[Tensor, " models"]],
    batches: Iterable[B],
) -> None:
    """One step of ``optimizer`` for each batch, down the per-model ``loss``; all models step at once."""
    with exact_arithmetic():
        for batch in batches:
            optimizer.zero_grad()
            loss(student, batch).sum().backward()
            optimizer.step()


@runtime_checkable
class Log(Protocol):
    """What looks on while models train: told before each step on which examples it is, and after it."""

    def before(self, rows: Int[Tensor, "models batch"]) -> None: ...

    def after(self) -> None: ...


@runtime_checkable
class Witness(Log, Protocol):
    """A log that also wants to see what trains: it is told before the first step."""

    def begin(self, ensemble: Ensemble, optimizer: Descent) -> None: ...


def train(
    ensemble: Ensemble,
    examples: Examples,
    rows: Int[Tensor, "models n"],
    recipe: Recipe,
    generators: Generators,
    *,
    first: int = 0,
    after: Callable[[int], None] = lambda epochs: None,
    log: Log | None = None,
    target: Target = CLASSIFICATION,
) -> Ensemble:
    """Train ``ensemble`` in place by ``recipe``; model ``m`` sees ``examples`` at ``rows[m]``, shuffled every epoch.

    All happens on the device of the ensemble, to which ``examples`` are copied once; ``generators`` must draw there.
    Masks are obeyed, and none is found here: see :func:`~expunge.ensembles.prune.train_sparse`. With ``first``, that
    many epochs of the schedule are skipped; ``after`` is told how many are over, from ``first`` on; ``log`` of every
    step.
    """
    ensemble.train()
    ensemble.chance = Chance(generators.seeds("layers"))
    device = ensemble.device
    examples, rows = resident(examples, device), rows.to(device)
    optimizer = Descent.by(recipe, ensemble)
    n = rows.shape[1]
    in_epoch = minibatch_count(n, recipe.batch_size)
    steps = recipe.epochs * in_epoch
    if isinstance(log, Witness):
        log.begin(ensemble, optimizer)
    after(first)
    for epoch in range(first, recipe.epochs):
        order = rows.gather(1, epoch_order(recipe, n, generators))
        batches = augmented(draw(examples, order, recipe.batch_size), recipe.augment, generators, n)
        known = zip(minibatches(order, recipe.batch_size), batches, strict=True)
        descend(ensemble, optimizer, known, recipe, epoch * in_epoch, steps, log=log, target=target)
        after(epoch + 1)
    return ensemble.eval()


def descend(
    ensemble: Ensemble,
    optimizer: Descent,
    batches: Iterable[tuple[Int[Tensor, "models batch"], Batch]],
    recipe: Recipe,
    step: int,
    steps: int,
    *,
    log: Log | None = None,
    target: Target = CLASSIFICATION,
) -> None:
    """Steps of a training from ``step`` out of ``steps`` on, at the recipe's rates; each batch with its examples' rows.

    Each is asked for when the step before it is over, so that what is in it may depend on where the models are then.
    """

    def scheduled() -> Iterator[Batch]:
        for number, (part, batch) in enumerate(batches, step):
            optimizer.lr = recipe.lr_at(number, steps)
            if log:
                log.before(part)
            yield batch
            if log:
                log.after()

    take_steps(ensemble, optimizer, loss_of(recipe, target), scheduled())


def loss_of(recipe: Recipe, target: Target) -> Callable[[Ensemble, Batch], Float[Tensor, " models"]]:
    """What a training by ``recipe`` goes down: the loss of a batch for each model."""

    def loss(student: Ensemble, batch: Batch) -> Float[Tensor, " models"]:
        return target.loss(_outputs(student, batch[0], recipe.precision), batch[1], recipe.label_smoothing)

    return loss


def _outputs(student: Ensemble, x: Tensor, precision: str) -> Tensor:
    """Outputs to take a loss of: with precision bfloat16 only the layers compute in it, weights and loss do not."""
    if precision == "float32":
        outputs: Tensor = student(x)
        return outputs
    with torch.autocast(student.device.type, torch.bfloat16):
        outputs = student(x)
    return outputs.float()


@torch.no_grad()
def measure(
    ensemble: Ensemble, data: Data, batch_size: int = 64
) -> tuple[Float[Tensor, "models columns"], Bool[Tensor, "models columns"]]:
    """Margins of every example, train then test, in evaluation mode; and whether first choices are the labels.

    Computed on the device of the ensemble, in float32 whatever the precision of the training; given back on the CPU.
    """
    require_ensemble(ensemble, "measure")
    training = ensemble.training
    ensemble.eval()
    parts = []
    with exact_arithmetic():
        for x, y in resident_data(data, ensemble.device).batches(batch_size):
            outputs = ensemble(x)
            parts.append((data.target.margins(outputs, y), data.target.correct(outputs, y)))
    ensemble.train(training)
    values, correct = zip(*parts, strict=True)
    return torch.cat(values, dim=1).cpu(), torch.cat(correct, dim=1).cpu()

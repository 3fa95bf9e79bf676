"""The one training loop: stacked models, each on its own order of its own examples."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.optim.sgd import sgd

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.margins import margins
from expunge.ensembles.seeds import Generators
from expunge.suites.suite import Examples, Recipe

Batch = tuple[Tensor, Tensor]  # x (models, batch, ...), y (models, batch)
B = TypeVar("B")


def cross_entropy(
    logits: Float[Tensor, "models batch classes"], labels: Int[Tensor, "models batch"]
) -> Float[Tensor, " models"]:
    """Mean cross-entropy of the batch for each model, in nats."""
    return F.cross_entropy(logits.transpose(1, 2), labels, reduction="none").mean(1)


def draw(examples: Examples, rows: Int[Tensor, "models n"], batch_size: int) -> Iterator[Batch]:
    """Minibatches in the order of ``rows``; the last one may be smaller."""
    for part in rows.split(batch_size, dim=1):
        yield examples.x[part], examples.y[part]


class Descent:
    """SGD with momentum and weight decay on all parameters of an ensemble, by torch's functional form.

    The class ``torch.optim.SGD`` gives the same bytes, but imports torch's compiler at its first step: 70 MB and a
    second in every worker.
    """

    def __init__(self, ensemble: Ensemble, *, lr: float, momentum: float, weight_decay: float = 0.0) -> None:
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self._parameters = list(ensemble.parameters())
        self._buffers: list[Tensor | None] = [None] * len(self._parameters)

    def zero_grad(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One step down the gradients; a parameter that the loss did not reach stays where it is."""
        moved = [row for row, parameter in enumerate(self._parameters) if parameter.grad is not None]
        buffers = [self._buffers[row] for row in moved]
        sgd(
            [self._parameters[row] for row in moved],
            [gradient for row in moved if (gradient := self._parameters[row].grad) is not None],
            buffers,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            lr=self.lr,
            dampening=0.0,
            nesterov=False,
            maximize=False,
            foreach=False,
        )
        for row, buffer in zip(moved, buffers, strict=True):
            self._buffers[row] = buffer


def descend(
    student: Ensemble,
    optimizer: Descent,
    loss: Callable[[Ensemble, B], Float[Tensor, " models"]],
    batches: Iterable[B],
) -> None:
    """One step of ``optimizer`` for each batch, down the per-model ``loss``; all models step at once."""
    for batch in batches:
        optimizer.zero_grad()
        loss(student, batch).sum().backward()
        optimizer.step()


def train(
    ensemble: Ensemble, examples: Examples, rows: Int[Tensor, "models n"], recipe: Recipe, generators: Generators
) -> Ensemble:
    """Train ``ensemble`` in place by ``recipe``; model ``m`` sees ``examples`` at ``rows[m]``, shuffled every epoch."""
    ensemble.train()
    optimizer = Descent(ensemble, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    n = rows.shape[1]
    steps = recipe.epochs * -(-n // recipe.batch_size)
    step = 0

    def scheduled(batches: Iterable[Batch]) -> Iterator[Batch]:
        nonlocal step
        for batch in batches:
            optimizer.lr = recipe.lr_at(step, steps)
            step += 1
            yield batch

    def loss(student: Ensemble, batch: Batch) -> Float[Tensor, " models"]:
        return cross_entropy(student(batch[0]), batch[1])

    for _ in range(recipe.epochs):
        order = rows.gather(1, generators.permutation(n))
        descend(ensemble, optimizer, loss, scheduled(draw(examples, order, recipe.batch_size)))
    return ensemble.eval()


@torch.no_grad()
def measure(
    ensemble: Ensemble, examples: Examples, batch_size: int = 64
) -> tuple[Float[Tensor, "models examples"], Bool[Tensor, "models examples"]]:
    """Margins of every example in evaluation mode, and whether the model's first choice is the label."""
    training = ensemble.training
    ensemble.eval()
    parts = []
    for x, y in zip(examples.x.split(batch_size), examples.y.split(batch_size), strict=True):
        logits = ensemble(x)
        parts.append((margins(logits, y), logits.argmax(-1) == y))
    ensemble.train(training)
    values, correct = zip(*parts, strict=True)
    return torch.cat(values, dim=1), torch.cat(correct, dim=1)

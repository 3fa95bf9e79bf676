"""The one training loop: stacked models, each on its own order of its own examples."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from torch.optim.sgd import sgd

from expunge.ensembles.augment import augmented
from expunge.ensembles.chance import Chance
from expunge.ensembles.device import exact_arithmetic, resident, resident_data
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.expected import require_ensemble
from expunge.ensembles.seeds import Generators
from expunge.suites.suite import Data, Examples, Recipe
from expunge.suites.target import CLASSIFICATION, Target

Batch = tuple[Tensor, Tensor]  # x (models, batch, ...), y (models, batch, ...)
B = TypeVar("B")

NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)  # of BatchNorm and InstanceNorm too


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


@runtime_checkable
class Optimizer(Protocol):
    """What takes a step along the gradients of an ensemble's parameters, elementwise: so each model has its own."""

    def zero_grad(self) -> None: ...

    def step(self) -> None: ...


class Descent:
    """SGD with momentum and weight decay on all parameters of an ensemble, by torch's functional form.

    Without ``decay_norm``, the scale and shift of normalisation layers do not decay. The class ``torch.optim.SGD``
    gives the same bytes, but imports torch's compiler at its first step: 70 MB and a second in every worker.
    """

    def __init__(
        self, ensemble: Ensemble, *, lr: float, momentum: float, weight_decay: float = 0.0, decay_norm: bool = True
    ) -> None:
        self.lr, self.momentum = lr, momentum
        self._parameters = list(ensemble.parameters())
        self._buffers: list[Tensor | None] = [None] * len(self._parameters)
        spared = set() if decay_norm else of_norms(ensemble)
        self._decays = [0.0 if id(parameter) in spared else weight_decay for parameter in self._parameters]

    @classmethod
    def by(cls, recipe: Recipe, ensemble: Ensemble) -> "Descent":
        """As a recipe says."""
        settings = {"lr": recipe.lr, "momentum": recipe.momentum, "weight_decay": recipe.weight_decay}
        return cls(ensemble, **settings, decay_norm=recipe.decay_norm)

    @property
    def momenta(self) -> list[Tensor | None]:
        """Of each parameter what is carried from step to step; None before its first."""
        return self._buffers

    def zero_grad(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One step down the gradients; a parameter that the loss did not reach stays where it is."""
        for decay in sorted(set(self._decays)):
            self._step([row for row, other in enumerate(self._decays) if other == decay], decay)

    def _step(self, rows: list[int], weight_decay: float) -> None:
        moved = [row for row in rows if self._parameters[row].grad is not None]
        buffers = [self._buffers[row] for row in moved]
        sgd(
            [self._parameters[row] for row in moved],
            [gradient for row in moved if (gradient := self._parameters[row].grad) is not None],
            buffers,
            weight_decay=weight_decay,
            momentum=self.momentum,
            lr=self.lr,
            dampening=0.0,
            nesterov=False,
            maximize=False,
            foreach=bool(moved) and self._parameters[moved[0]].is_cuda,  # fewer kernels; on a CPU nothing is gained
        )
        for row, buffer in zip(moved, buffers, strict=True):
            self._buffers[row] = buffer


class Adam:
    """Adam without weight decay on all parameters of an ensemble: Kingma and Ba 2015, arXiv:1412.6980.

    The same steps as ``torch.optim.Adam``, which imports torch's compiler, and in its functional form counts steps in
    tensors.
    """

    def __init__(self, ensemble: Ensemble, *, lr: float, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        self.lr, self.betas = lr, betas
        self._parameters = list(ensemble.parameters())
        self._means = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._steps = [0] * len(self._parameters)

    def zero_grad(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One step down the gradients; a parameter that the loss did not reach stays where it is."""
        slow, slower = self.betas
        for row, parameter in enumerate(self._parameters):
            if parameter.grad is None:
                continue
            self._steps[row] += 1
            mean = self._means[row].lerp_(parameter.grad, 1 - slow)
            square = self._squares[row].mul_(slower).addcmul_(parameter.grad, parameter.grad, value=1 - slower)
            width = square.div(1 - slower ** self._steps[row]).sqrt_().add_(1e-8)
            parameter.addcdiv_(mean, width, value=-self.lr / (1 - slow ** self._steps[row]))


def of_norms(ensemble: Ensemble) -> set[int]:
    """Identities of the scales and shifts of normalisation layers."""
    norms = (module for module in ensemble.modules() if isinstance(module, NORMS))
    return {id(parameter) for norm in norms for parameter in norm.parameters(recurse=False)}


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

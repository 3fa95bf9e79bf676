"""Examples counted by class, joined, and gone through with other labels."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch, minibatch_count, minibatches
from expunge.methods.parts.schedules import Counted
from expunge.suites.suite import Examples


def class_counts(labels: Int[Tensor, " examples"], classes: int) -> Int[Tensor, " classes"]:
    """How many examples there are of each class."""
    return (labels[:, None] == torch.arange(classes, device=labels.device)).sum(0)


def joined(parts: Sequence[Examples]) -> Examples:
    """The examples of all parts, in their order."""
    return Examples(torch.cat([part.x for part in parts]), torch.cat([part.y for part in parts]))


def relabelled(x: Tensor, labels: Int[Tensor, "models examples"], batch_size: int, rng: Generators) -> Counted[Batch]:
    """One pass over the examples ``x`` with labels of each model's own, in an order of each model's own."""

    def drawn() -> Iterator[Batch]:
        for rows in minibatches(rng.permutation(len(x)), batch_size):
            yield x[rows], labels.gather(1, rows)

    return Counted(drawn(), minibatch_count(len(x), batch_size))


def own_rows(own: Batch, rows: Int[Tensor, "models batch"]) -> Batch:
    """At ``rows``, of inputs and labels that each model has for itself."""
    inputs, labels = own
    models = torch.arange(len(labels), device=labels.device)[:, None]
    return inputs[models, rows], labels.gather(1, rows)


def beside(own: Batch, shared: Examples, rows: Int[Tensor, "models batch"]) -> Batch:
    """At ``rows``, of each model's own inputs and labels, followed by the examples that all models share."""
    count = own[1].shape[1]
    mine, others = own_rows(own, rows.clamp(max=count - 1)), (rows - count).clamp(min=0)
    first = rows < count
    x = torch.where(first.view(*rows.shape, *[1] * (own[0].ndim - 2)), mine[0], shared.x[others])
    return x, torch.where(first, mine[1], shared.y[others])

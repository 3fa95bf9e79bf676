"""What a network predicts and how it is judged; nothing else in the library knows the shape of a label."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from expunge.errors import BadData

if TYPE_CHECKING:
    from expunge.suites.data import Data

Loss = Callable[[Tensor, Tensor], Tensor]  # logits (models, batch, classes), labels (models, batch) -> means (models,)


class Target(ABC):
    """What is predicted of an example: its loss, its margins, what counts as correct, and which columns are its own.

    Outputs are those of a stack, ``(models, batch, ...)``; labels have one row an example: ``(batch, ...)``, the same
    for all models, or ``(models, batch, ...)``. An example may have several margins, each a column, or none. A target
    is a value: it is compared, pickled and written down by its ``name``, and has no state.
    """

    name: ClassVar[str]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    @abstractmethod
    def check_labels(self, labels: Tensor, classes: int) -> None:
        """Raise :class:`~expunge.errors.BadData` where these are no labels ``(examples, ...)`` of so many classes."""

    @abstractmethod
    def output_shape(self, labels: Tensor, classes: int) -> tuple[int, ...]:
        """The shape of what one network must return for a batch with these labels ``(batch, ...)``."""

    @abstractmethod
    def loss(self, outputs: Tensor, labels: Tensor, smoothing: float = 0.0) -> Float[Tensor, " models"]:
        """The mean loss of the batch for each model, in nats; a share ``smoothing`` of a label is every class's.

        Where every example has as many labels, it is the mean of what the examples lose by themselves.
        """

    @abstractmethod
    def margins(self, outputs: Tensor, labels: Tensor) -> Float[Tensor, "models columns"]:
        """The margins of the batch, the columns of each example together, in the order of the examples."""

    @abstractmethod
    def correct(self, outputs: Tensor, labels: Tensor) -> Bool[Tensor, "models columns"]:
        """Whether the first choice is the label, of the same columns."""

    def shown(self, data: "Data") -> Int[ndarray, " columns"] | None:
        """The class that each column of margins is about, for people; None where there is not one."""
        return None

    @abstractmethod
    def owners(self, data: "Data") -> Int[ndarray, " columns"]:
        """The number of the example that each column of margins is of, train then test; never falling."""


class Classification(Target):
    """One label an example, one of several classes: one margin an example."""

    name = "classification"

    def check_labels(self, labels: Tensor, classes: int) -> None:
        if classes < 2:
            raise BadData(f"expected 2 classes or more, since a margin is against the others, got {classes}")
        if labels.ndim != 1:
            raise BadData(f"expected one label for each of {len(labels)} inputs, got labels {tuple(labels.shape)}")
        if labels.dtype != torch.int64 or labels.min() < 0 or labels.max() >= classes:
            raise BadData(
                f"expected int64 labels 0 to {classes - 1}, got {labels.dtype} from {labels.min()} to {labels.max()}"
            )

    def output_shape(self, labels: Tensor, classes: int) -> tuple[int, ...]:
        return len(labels), classes

    def loss(self, outputs: Tensor, labels: Tensor, smoothing: float = 0.0) -> Float[Tensor, " models"]:
        return cross_entropy(outputs, labels.expand(outputs.shape[:-1]), smoothing)

    def margins(
        self, outputs: Float[Tensor, "*models batch classes"], labels: Int[Tensor, "*shared batch"]
    ) -> Float[Tensor, "*models batch"]:
        """``z_y - logsumexp(other logits)``, natural log, higher is more confident; equals ``log(p_y / (1 - p_y))``.

        Computed from the logits in float32, or float64 where they are, never through probabilities: those saturate near
        a margin of 17.
        Source: Georgiev et al. 2024, arXiv:2410.23232.

        >>> Classification().margins(torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1]))
        tensor([ 2., -2.])
        """
        return log_odds(outputs, labels)

    def correct(self, outputs: Tensor, labels: Tensor) -> Bool[Tensor, "models batch"]:
        return outputs.argmax(-1) == labels

    def shown(self, data: "Data") -> Int[ndarray, " examples"]:
        labels: ndarray = data.labels.numpy()
        return labels

    def owners(self, data: "Data") -> Int[ndarray, " examples"]:
        return np.arange(data.examples)


def cross_entropy(
    logits: Float[Tensor, "models batch classes"], labels: Int[Tensor, "models batch"], smoothing: float = 0.0
) -> Float[Tensor, " models"]:
    """Mean cross-entropy of the batch for each model, in nats; a share ``smoothing`` of a label is every class's."""
    return F.cross_entropy(logits.transpose(1, 2), labels, reduction="none", label_smoothing=smoothing).mean(1)


def log_odds(
    logits: Float[Tensor, "*models batch classes"], labels: Int[Tensor, "*shared batch"]
) -> Float[Tensor, "*models batch"]:
    """``z_y - logsumexp(other logits)`` of each label among the classes, in float32 or float64."""
    logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    index = labels.expand(logits.shape[:-1]).unsqueeze(-1)
    own = logits.gather(-1, index).squeeze(-1)
    others = logits.scatter(-1, index, -torch.inf)
    return own - others.logsumexp(-1)


CLASSIFICATION = Classification()

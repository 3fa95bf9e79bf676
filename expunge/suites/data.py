"""Examples of one task: inputs and labels, train and test, read at once or when first asked for."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from expunge.errors import BadData
from expunge.suites.target import CLASSIFICATION, Target


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs ``x`` of shape ``(n, ...)`` and labels ``y``, a row for each: ``(n,)`` where an example has one label."""

    x: Tensor
    y: Tensor

    def __post_init__(self) -> None:
        if self.y.shape[:1] != self.x.shape[:1]:
            wanted = "one label" if self.y.ndim == 1 else "labels"
            raise BadData(f"expected {wanted} for each of {len(self.x)} inputs, got labels {tuple(self.y.shape)}")

    def __len__(self) -> int:
        return len(self.y)

    def take(self, indices: ndarray) -> "Examples":
        rows = torch.as_tensor(indices)
        return Examples(self.x[rows], self.y[rows])


class Data:
    """Train and test examples of one task, and the target, which says what their labels are.

    Columns of margins are those of train, then of test; each example has as many as the target gives it. Train and test
    inputs may differ in size, as pictures of convolutional networks do.
    """

    def __init__(self, train: Examples, test: Examples, classes: int, target: Target = CLASSIFICATION) -> None:
        self.sizes = (len(train), len(test))
        self.classes = classes
        self.target = target
        self._load: Load | None = None
        self._carried = True
        self._pair = self._checked((train, test))

    @classmethod
    def deferred(
        cls,
        load: "Load",
        sizes: tuple[int, int],
        classes: int,
        sha256: str,
        *,
        carried: bool = False,
        target: Target = CLASSIFICATION,
    ) -> "Data":
        """Data that ``load()`` reads when an example is first asked for.

        ``sha256`` names the content: what :attr:`sha256` of the loaded examples is or, where nobody could compute that
        yet, the published name and revision of the source whose files ``load`` checks. Jobs carry the examples to the
        workers only if they are to be ``carried``; else each worker loads them itself.
        """
        data = cls.__new__(cls)
        data.sizes, data.classes, data._load, data._carried = sizes, classes, load, carried
        data.target = target
        data.__dict__["sha256"] = sha256
        return data

    def __getattr__(self, name: str) -> tuple[Examples, Examples]:
        if name != "_pair" or self.__dict__.get("_load") is None:
            raise AttributeError(f"'Data' has no attribute {name!r}")
        assert self._load is not None
        self._pair = self._checked(self._load())
        return self._pair

    def __getstate__(self) -> dict[str, object]:
        """Pickled without what can be read or computed again: jobs carry the data to the workers."""
        kept = {"sizes", "classes", "target", "sha256", "_carried", "_pair" if self._carried else "_load"}
        if self._carried:
            return {"_load": None, "_pair": self._pair, **{k: v for k, v in self.__dict__.items() if k in kept}}
        return {key: value for key, value in self.__dict__.items() if key in kept}

    @property
    def train(self) -> Examples:
        return self._pair[0]

    @property
    def test(self) -> Examples:
        return self._pair[1]

    @property
    def examples(self) -> int:
        """How many examples there are in all; known before the data is read."""
        return sum(self.sizes)

    @cached_property
    def owners(self) -> Int[ndarray, " columns"]:
        """The number of the example, train then test, that each column of margins is of."""
        return self.target.owners(self)

    @property
    def width(self) -> int:
        """How many columns margins have."""
        return len(self.owners)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and labels of train, then test, in order, ``size`` at a time; joined where they have one shape."""
        train, test = self.train, self.test
        whole = len(train) - len(train) % size if train.x.shape[1:] == test.x.shape[1:] else len(train)
        if whole:  # or split would give one batch of nothing
            yield from zip(train.x[:whole].split(size), train.y[:whole].split(size), strict=True)
        skipped = 0
        if whole < len(train):
            skipped = size - (len(train) - whole)
            yield (
                torch.cat([train.x[whole:], test.x[:skipped]]),
                torch.cat([train.y[whole:], test.y[:skipped]]),
            )
        if skipped < len(test):
            yield from zip(test.x[skipped:].split(size), test.y[skipped:].split(size), strict=True)

    @cached_property
    def labels(self) -> Int[Tensor, "examples ..."]:
        """Labels of train, then test."""
        return torch.cat([self.train.y, self.test.y])

    @cached_property
    def sha256(self) -> str:
        content = hashlib.sha256()
        for tensor in (self.train.x, self.train.y, self.test.x, self.test.y):
            content.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
            content.update(tensor.contiguous().numpy().tobytes())
        return content.hexdigest()

    def _checked(self, pair: tuple[Examples, Examples]) -> tuple[Examples, Examples]:
        found = (len(pair[0]), len(pair[1]))
        if found != self.sizes or not all(found):
            raise BadData(f"expected {self.sizes} train and test examples, at least 1 each, got {found}")
        for part in pair:
            self.target.check_labels(part.y, self.classes)
        return pair


Load = Callable[[], tuple[Examples, Examples]]  # reads the train and test examples


def flat_features(x: Tensor) -> Float[ndarray, "examples features"]:
    """Inputs as rows of numbers, the feature space of forget sets that need one; no copy."""
    features: ndarray = x.flatten(1).numpy()
    return features

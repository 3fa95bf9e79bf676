"""Examples of one task: inputs and labels, train and test, read at once or when first asked for."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from expunge.errors import BadData, UnknownName, suggestion
from expunge.suites.arrays import plain, shown
from expunge.suites.target import CLASSIFICATION, Target

SHOWN = 10  # so many classes are named in a line


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs ``x`` of shape ``(n, ...)`` and labels ``y``, a row for each: ``(n,)`` where an example has one label."""

    x: Tensor
    y: Tensor

    def __post_init__(self) -> None:
        if not isinstance(self.x, Tensor) or not isinstance(self.y, Tensor):
            found = f"{type(self.x).__name__} and {type(self.y).__name__}"
            raise BadData(f"expected tensors of inputs and labels, got {found}; data_from_arrays takes other arrays")
        if self.y.shape[:1] != self.x.shape[:1]:
            wanted = "one label" if self.y.ndim == 1 else "labels"
            raise BadData(f"expected {wanted} for each of {len(self.x)} inputs, got labels {tuple(self.y.shape)}")

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        found = f"{len(self.y.unique()):,} different labels of {_told(self.y)}"
        return f"Examples({_told(self.x)}, {found}, sha256 {content_sha256(self)[:12]})"

    def take(self, indices: ndarray) -> "Examples":
        rows = torch.as_tensor(indices)
        return Examples(self.x[rows], self.y[rows])


class Data:
    """Train and test examples of one task, and the target, which says what their labels are.

    Columns of margins are those of train, then of test; each example has as many as the target gives it. Train and test
    inputs may differ in size, as pictures of convolutional networks do. ``names`` are those of the classes, in the
    order of their numbers, where they have some; ``made`` says where the examples come from. Neither is in the digest.
    """

    def __init__(
        self,
        train: Examples,
        test: Examples,
        classes: int,
        target: Target = CLASSIFICATION,
        *,
        names: Sequence[str] = (),
        made: str = "",
    ) -> None:
        for part, what in ((train, "train"), (test, "test")):
            if not isinstance(part, Examples):
                found = type(part).__name__
                raise BadData(f"{what}: expected Examples(x, y), got {found}; data_from_arrays takes other arrays")
        if not isinstance(target, Target):
            hint = "; make one of it: target()" if isinstance(target, type) and issubclass(target, Target) else ""
            raise BadData(f"expected a target, such as CLASSIFICATION, got {shown(target)}{hint}")
        self.sizes = (len(train), len(test))
        self.classes, self.target, self.made = checked_classes(classes), target, made
        self.names = _checked_names(names, self.classes)
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
        names: Sequence[str] = (),
        made: str = "",
    ) -> "Data":
        """Data that ``load()`` reads when an example is first asked for.

        ``sha256`` names the content: what :attr:`sha256` of the loaded examples is or, where nobody could compute that
        yet, the published name and revision of the source whose files ``load`` checks. Jobs carry the examples to the
        workers only if they are to be ``carried``; else each worker loads them itself.
        """
        data = cls.__new__(cls)
        data.sizes, data.classes, data._load, data._carried = sizes, classes, load, carried
        data.target, data.made, data.names = target, made, _checked_names(names, classes)
        data.__dict__["sha256"] = sha256
        return data

    def with_examples(self, train: Examples, test: Examples) -> "Data":
        """Other examples of the same task: its classes, their names and its target; ``made`` is of these, so empty."""
        return Data(train, test, self.classes, self.target, names=self.names)

    def __getattr__(self, name: str) -> tuple[Examples, Examples]:
        if name != "_pair" or self.__dict__.get("_load") is None:
            raise AttributeError(f"'Data' has no attribute {name!r}")
        assert self._load is not None
        self._pair = self._checked(self._load())
        return self._pair

    def __getstate__(self) -> dict[str, object]:
        """Pickled without what can be read or computed again: jobs carry the data to the workers."""
        kept = {"sizes", "classes", "target", "names", "made", "sha256", "_carried"}
        kept.add("_pair" if self._carried else "_load")
        if self._carried:
            return {"_load": None, "_pair": self._pair, **{k: v for k, v in self.__dict__.items() if k in kept}}
        return {key: value for key, value in self.__dict__.items() if key in kept}

    def __repr__(self) -> str:
        """In a line; nothing is read for it."""
        known = "_pair" in self.__dict__
        shape = f" of {_told(self.train.x[0])}" if known else ", not read yet"
        return (
            f"Data({self.sizes[0]:,} train and {self.sizes[1]:,} test examples{shape}, {self.classes:,} classes: "
            f"{self.classes_in_words}, sha256 {self.sha256[:12]})"
        )

    @property
    def classes_in_words(self) -> str:
        """The names of the classes, of which the first ten are told; else their numbers."""
        if not self.names:
            return f"0 to {self.classes - 1:,}"
        more = f" and {self.classes - SHOWN:,} more" if self.classes > SHOWN else ""
        return ", ".join(self.names[:SHOWN]) + more

    def label(self, name: object) -> int:
        """The number of the class that was given as ``name``; of a class without a name, its number is it.

        >>> examples = Examples(torch.zeros(2, 1), torch.tensor([0, 1]))
        >>> Data(examples, examples, 2, names=("cat", "dog")).label("dog")
        1
        """
        names, name = self.names or tuple(map(str, range(self.classes))), plain(name)
        name = int(name) if isinstance(name, float) and name.is_integer() else name
        if str(name) not in names:
            raise UnknownName(f"unknown class {name!r}; {suggestion(str(name), names, self.classes_in_words)}")
        return names.index(str(name))

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
        return content_sha256(self.train, self.test)

    def _checked(self, pair: tuple[Examples, Examples]) -> tuple[Examples, Examples]:
        found = (len(pair[0]), len(pair[1]))
        if found != self.sizes or not all(found):
            raise BadData(f"expected {self.sizes} train and test examples, at least 1 each, got {found}")
        for part in pair:
            self.target.check_labels(part.y, self.classes)
        return pair


def content_sha256(*parts: Examples) -> str:
    """SHA-256 of the inputs and labels of these examples, with their types and shapes."""
    content = hashlib.sha256()
    for tensor in (tensor for part in parts for tensor in (part.x, part.y)):
        content.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        content.update(tensor.cpu().contiguous().numpy().tobytes())
    return content.hexdigest()


def require_finite(x: Tensor, what: str) -> None:
    """Refuse inputs that are NaN or infinite, and name the first example that has one."""
    if x.is_floating_point() and not x.isfinite().all():
        row = int((~x.flatten(1).isfinite().all(1)).nonzero()[0])
        raise BadData(f"{what}: expected finite numbers, got NaN or infinity in example {row}; mend or leave it out")


def checked_classes(classes: object) -> int:
    """How many classes there are, as Python's own number."""
    count = plain(classes)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise BadData(f"expected classes to be how many there are, a whole number, got {shown(count)}")
    return count


def _checked_names(names: object, classes: int) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise BadData(f"expected names of {classes} classes, in a list, got {shown(names)}")
    names = tuple(map(str, names))
    if names and (len(names) != classes or len(set(names)) < classes):
        raise BadData(f"expected {classes} different names of classes, got {len(names)}: {', '.join(names)[:100]}")
    return names


def _told(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


Load = Callable[[], tuple[Examples, Examples]]  # reads the train and test examples


def flat_features(x: Tensor) -> Float[ndarray, "examples features"]:
    """Inputs as rows of numbers, the feature space of forget sets that need one; no copy."""
    features: ndarray = x.flatten(1).numpy()
    return features

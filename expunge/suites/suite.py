"""What is to be forgotten: data, network, recipe and forget sets, in one frozen record with a digest."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor, nn

from expunge import store
from expunge.errors import BadSetting, UnknownName, suggestion

DERIVED = "forget_sets"  # the artefact of a suite that holds the forget sets made from `subsets`


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs ``x`` of shape ``(n, ...)`` and labels ``y`` of shape ``(n,)``."""

    x: Tensor
    y: Tensor

    def __post_init__(self) -> None:
        if self.y.shape != self.x.shape[:1]:
            raise BadSetting(f"expected one label for each of {len(self.x)} inputs, got labels {tuple(self.y.shape)}")

    def __len__(self) -> int:
        return len(self.y)

    def take(self, indices: ndarray) -> "Examples":
        rows = torch.as_tensor(indices)
        return Examples(self.x[rows], self.y[rows])


@dataclass(frozen=True, eq=False)
class Data:
    """Train and test examples of one task; margins have one column each, train first, then test."""

    train: Examples
    test: Examples
    classes: int

    def __getstate__(self) -> dict[str, object]:
        """Pickled without what can be computed again: jobs carry the data to the workers."""
        return {"train": self.train, "test": self.test, "classes": self.classes}

    @cached_property
    def all(self) -> Examples:
        return Examples(torch.cat([self.train.x, self.test.x]), torch.cat([self.train.y, self.test.y]))

    @cached_property
    def sha256(self) -> str:
        content = hashlib.sha256()
        for tensor in (self.train.x, self.train.y, self.test.x, self.test.y):
            content.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
            content.update(tensor.contiguous().numpy().tobytes())
        return content.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Minibatch SGD with momentum; step by step, the learning rate climbs linearly to ``lr``, then falls to 0."""

    epochs: int
    batch_size: int
    lr: float
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup: float = 0.2  # share of all steps in which the learning rate climbs

    def lr_at(self, step: int, steps: int) -> float:
        """Learning rate of ``step`` out of ``steps``, counted from 0; no step has rate 0.

        >>> r = Recipe(epochs=1, batch_size=1, lr=1.0, warmup=0.5)
        >>> [r.lr_at(step, 4) for step in range(4)]
        [0.5, 1.0, 0.6666666666666666, 0.3333333333333333]
        """
        peak = max(1, round(self.warmup * steps))
        return self.lr * min((step + 1) / peak, (steps - step) / (steps - peak + 1))


@dataclass(frozen=True, eq=False)
class ForgetSet:
    """Sorted, unique indices into the training examples, and how they were chosen."""

    name: str
    indices: Int[ndarray, " forget"]
    made: str

    def __post_init__(self) -> None:
        if self.indices.ndim != 1 or not self.indices.size:
            raise BadSetting(f"forget set {self.name!r}: expected a list of training indices, got {self.indices.shape}")
        if (np.diff(self.indices) <= 0).any() or self.indices[0] < 0:
            raise BadSetting(f"forget set {self.name!r}: indices must be non-negative, sorted and unique")

    def __len__(self) -> int:
        return len(self.indices)

    @cached_property
    def digest(self) -> str:
        """First 12 hexadecimal digits of the SHA-256 of the indices as little-endian int64."""
        return hashlib.sha256(self.indices.astype("<i8").tobytes()).hexdigest()[:12]

    @property
    def key(self) -> str:
        """Name and digest: what artefacts of this very set are filed under."""
        return f"{self.name}-{self.digest}"


@dataclass(frozen=True, eq=False)
class Split:
    """What an unlearning method is given: examples to keep, examples to forget, the number of classes."""

    retain: Examples
    forget: Examples
    classes: int
    batch_size: int
    retraining: int  # forward and backward passes of single examples that one retraining takes


class ForgetSets(dict[str, ForgetSet]):
    """Forget sets by name; an unknown name is answered with the nearest."""

    @classmethod
    def of(cls, *sets: ForgetSet) -> "ForgetSets":
        return cls({each.name: each for each in sets})

    def __missing__(self, name: str) -> ForgetSet:
        raise UnknownName(f"unknown forget set {name!r}; {suggestion(name, self)}")


@dataclass(frozen=True, eq=False, kw_only=True)
class Suite:
    """A task on which methods are scored. Raise ``version`` when ``network`` changes what it computes."""

    name: str
    version: int
    data: Data
    network: Callable[[], nn.Module]
    recipe: Recipe
    forget_sets: Mapping[str, ForgetSet]
    derive: Callable[[ndarray, ndarray], ForgetSets] | None = None  # further forget sets, from `subsets`
    models: int  # how many pretrained models, and oracles of each forget set, the suite has
    subsets: int = 0  # how many models trained on random halves
    chunk: int = 25  # models that train together: fixed, for bytes depend on it
    architecture: str = ""  # names the network in the digest; default: its repr, which versions of torch may change
    images: tuple[int, int] | None = None  # height and width, where an input can be shown as a picture

    @cached_property
    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of all that changes a trained weight."""
        with torch.random.fork_rng(devices=[]):  # building a network draws its initial weights
            network = self.network()
        shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
        recipe = {**asdict(self.recipe), "chunk": self.chunk}
        facts = [self.name, self.version, self.data.sha256, self.architecture or repr(network), shapes, recipe]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    def retain(self, forget: ForgetSet) -> Int[ndarray, " retain"]:
        """Indices of the training examples outside ``forget``."""
        train = len(self.data.train)
        if forget.indices[-1] >= train or len(forget) >= train:
            raise BadSetting(f"forget set {forget.name!r} does not fit the {train} training examples of {self.name!r}")
        return np.setdiff1d(np.arange(train), forget.indices)

    def columns(self, forget: ForgetSet) -> dict[str, Int[ndarray, " examples"]]:
        """Columns of the margins that belong to each split: forget, retain, test."""
        train, total = len(self.data.train), len(self.data.all)
        return {"forget": forget.indices, "retain": self.retain(forget), "test": np.arange(train, total)}

    def split(self, forget: ForgetSet) -> Split:
        """The view of the data that an unlearning method gets."""
        keep, train = self.retain(forget), self.data.train
        passes = self.recipe.epochs * len(keep)
        return Split(train.take(keep), train.take(forget.indices), self.data.classes, self.recipe.batch_size, passes)


def with_derived(suite: Suite) -> Suite:
    """``suite`` with the derived forget sets that its store holds; without, where they were not built yet."""
    artefact = store.find(f"{suite.digest}/{DERIVED}")
    if artefact is None:
        return suite
    derived = (ForgetSet(name, np.array(artefact.array(name)), made) for name, made in artefact.meta["made"].items())
    return replace(suite, forget_sets=ForgetSets({**suite.forget_sets, **ForgetSets.of(*derived)}))


def flat_features(x: Tensor) -> Float[ndarray, "examples features"]:
    """Inputs as rows of numbers, the feature space of forget sets that need one."""
    features: ndarray = x.flatten(1).double().numpy()
    return features

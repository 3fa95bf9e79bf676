"""What condensing is asked for and what it gives: settings, and condensed examples that can be kept in a file."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray

from expunge.attacks.condensing.shared_augmentation import TRANSFORMS
from expunge.bench.folder import write_arrays
from expunge.errors import BadData, BadSetting, MismatchedEnsembles
from expunge.number_files import read_arrays
from expunge.suites.suite import Examples, Suite

SCHEMA = 1
ARRAYS = ("x", "y", "origin")


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """What a generator does unless it is told otherwise, found by the accuracy of networks trained on the result."""

    steps: int  # of the pixels; `gm` takes several with each network
    lr_by_images: float  # times the images of a class: of their mean each has that share


# The papers take 20,000 iterations at rate 1 for `dm` and 1,000 at rate 0.1 for `gm`, for networks of width 128.
GENERATORS: dict[str, Defaults] = {
    "dm": Defaults(steps=500, lr_by_images=1.5),
    "gm": Defaults(steps=150, lr_by_images=0.03),
}
# Of `gm`, by images a class: how often pixels move for one network, and passes that it trains for in between.
LOOPS = {1: (1, 1), 10: (10, 50), 20: (20, 25), 30: (30, 20), 40: (40, 15), 50: (50, 10)}


def loops(images: int) -> tuple[int, int]:
    """How often pixels move for one network of ``gm``, and how many passes over them it trains for in between.

    As published for 1, 10, 20, 30, 40 and 50 images a class; another number does as the next smaller one.

    >>> loops(10), loops(15), loops(64)
    ((10, 50), (10, 50), (50, 10))
    """
    return LOOPS[max(known for known in LOOPS if known <= images)]


@dataclass(frozen=True, kw_only=True)
class Condensing:
    """How training data is condensed: by ``dm``, distribution matching, or ``gm``, gradient matching.

    ``iterations`` counts fresh networks; with 0 the result is what it starts from. None, there and for ``lr``, is the
    generator's default in ``GENERATORS``. ``width`` is that of the embedding, where it has one.
    """

    generator: str = "dm"
    images: int = 10  # a class
    iterations: int | None = None
    lr: float | None = None  # of the pixels
    momentum: float = 0.5
    real_batch: int = 256  # records a class, each iteration
    start: str = "real"  # records of the attacker, or "noise" with the mean and spread of the training data
    pixels: str = "kept"  # clamped into the range of the training data after each step; or "free"
    augment: str = "auto"  # what fits the data; "none"; or names of TRANSFORMS, with blanks between them
    embedding: str = "convnet"  # of NETWORKS
    width: int = 32

    def __post_init__(self) -> None:
        named = self.augment.split() if isinstance(self.augment, str) else []
        known = bool(named) and (self.augment in ("auto", "none") or set(named) <= set(TRANSFORMS))
        rules = {
            "generator": (self.generator in GENERATORS, f"one of {', '.join(GENERATORS)}"),
            "images": (_whole(self.images, 1), "a whole number of at least 1"),
            "iterations": (self.iterations is None or _whole(self.iterations, 0), "a whole number of at least 0"),
            "lr": (self.lr is None or 0 < self.lr < math.inf, "a number above 0"),
            "momentum": (0 <= self.momentum < 1, "a number in [0, 1)"),
            "real_batch": (_whole(self.real_batch, 1), "a whole number of at least 1"),
            "start": (self.start in ("real", "noise"), "one of real, noise"),
            "pixels": (self.pixels in ("kept", "free"), "one of kept, free"),
            "augment": (known, f"auto, none, or some of {' '.join(TRANSFORMS)} with blanks between them"),
            "width": (_whole(self.width, 1), "a whole number of at least 1"),
        }
        for name, (holds, expected) in rules.items():
            if not holds:
                raise BadSetting(f"condensing: expected {name} to be {expected}, got {getattr(self, name)!r}")

    @property
    def settled(self) -> "Condensing":
        """The same with the generator's numbers in place of None."""
        own = GENERATORS[self.generator]
        turns = loops(self.images)[0] if self.generator == "gm" else 1
        iterations = math.ceil(own.steps / turns) if self.iterations is None else self.iterations
        return replace(self, iterations=iterations, lr=own.lr_by_images * self.images if self.lr is None else self.lr)


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


@dataclass(frozen=True, eq=False)
class Condensed:
    """Condensed examples, as many of each class, sorted by class, and how they were made.

    ``origin`` has for each the training record it began as or, of those that began as noise, the record of its class
    that it stands for. ``objective`` is what was minimised, at every iteration.
    """

    examples: Examples
    origin: Int[ndarray, " condensed"]
    config: Condensing
    seed: int
    suite: str
    suite_digest: str
    objective: tuple[float, ...]

    def save(self, path: Path | str) -> str:
        """Write one ``.npz`` of plain arrays, with the rest as JSON and the SHA-256 of all; that of the file."""
        arrays = {"x": self.examples.x.numpy(), "y": self.examples.y.numpy(), "origin": self.origin}
        facts = {
            "schema": SCHEMA,
            "config": asdict(self.config),
            "seed": self.seed,
            "suite": self.suite,
            "suite_digest": self.suite_digest,
            "objective": list(self.objective),
        }
        meta = json.dumps({**facts, "sha256": _digest(arrays, facts)}).encode()
        return write_arrays(Path(path), {"meta": np.frombuffer(meta, np.uint8), **arrays})


def load_condensed(path: Path | str, suite: Suite, *, surrogate: bool = False) -> Condensed:
    """What :meth:`Condensed.save` wrote, for ``suite``; ``surrogate`` lets it have been condensed on another,
    whose records ``origin`` then numbers.

    :class:`~expunge.errors.BadData` for a file that is missing, damaged or of other shapes,
    :class:`~expunge.errors.MismatchedEnsembles` for one of another suite.
    """
    arrays, facts = _read(Path(path))
    if facts["suite_digest"] != suite.digest and not surrogate:
        raise MismatchedEnsembles(
            f"{path}: condensed on suite {facts['suite']} ({facts['suite_digest']}), expected {suite.name} "
            f"({suite.digest}); condense on that one, or say that it is a surrogate"
        )
    expected, found = tuple(suite.data.train.x.shape[1:]), arrays["x"].shape[1:]
    if found != expected or arrays["y"].max() >= suite.data.classes:
        classes = int(arrays["y"].max()) + 1
        raise BadData(
            f"{path}: expected examples of {expected} in {suite.data.classes} classes as {suite.name} has them, got "
            f"{found} in {classes}; condense on {suite.name}"
        )
    if not np.isfinite(arrays["x"]).all():
        raise BadData(f"{path}: holds values that are not finite; condense anew")
    examples = Examples(torch.tensor(arrays["x"]), torch.tensor(arrays["y"]))
    config = Condensing(**facts["config"])
    names = facts["seed"], facts["suite"], facts["suite_digest"]
    return Condensed(examples, arrays["origin"], config, *names, tuple(facts["objective"]))


def _read(path: Path) -> tuple[dict[str, ndarray], dict[str, Any]]:
    """The arrays and facts of a file, once their SHA-256 is found to be what it states."""
    if not path.exists():
        raise BadData(f"{path}: no such file; condense first, or name another")
    damaged = "expected a file of condensed examples, got one that is damaged; condense anew"
    arrays = read_arrays(path, [*ARRAYS, "meta"], lambda why: BadData(f"{why}: {damaged}"))
    try:
        facts: dict[str, Any] = json.loads(arrays.pop("meta").tobytes())
        told = facts.pop("sha256")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise BadData(f"{path}: {damaged}") from None
    if told != _digest(arrays, facts):
        raise BadData(f"{path}: its content does not have the SHA-256 that it states; condense anew")
    if facts["schema"] != SCHEMA:
        raise BadData(f"{path}: has schema {facts['schema']}, this expunge reads {SCHEMA}; condense anew")
    return arrays, facts


def _digest(arrays: dict[str, ndarray], facts: dict[str, Any]) -> str:
    content = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in ARRAYS:
        array = arrays[name]
        content.update(f"{name}{array.dtype}{array.shape}".encode())
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()

"""What both generators work with: the attacker's records by class, fresh networks, and the pixels that they move."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from numpy.random import Generator
from torch import Tensor, nn

from expunge.attacks.condensing.condensed import Condensing
from expunge.attacks.condensing.embeddings import Make, embedding, fresh, network_for
from expunge.attacks.condensing.shared_augmentation import Augmentation, draw, names_of
from expunge.ensembles.device import chosen_device, resident
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import seed_of
from expunge.suites.suite import Examples, Suite


@dataclass(frozen=True, eq=False)
class Material:
    """One condensing task: ``config`` without None, a seed for each set of pictures, and the attacker's ``records``.

    ``records`` are numbers of training examples. Every seed draws from generators of its own, so that what it draws
    does not depend on the seeds beside it.
    """

    suite: Suite
    config: Condensing
    seeds: Sequence[int]
    records: Int[ndarray, " records"]
    device: torch.device = field(default_factory=chosen_device)
    _batches: list[Generator] = field(init=False, repr=False)
    _augmentations: list[Generator] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = self.suite.digest, "condensing", self.config.generator
        for use in ("_batches", "_augmentations"):
            generators = [np.random.default_rng(seed_of(*names, use, seed)) for seed in self.seeds]
            object.__setattr__(self, use, generators)

    @property
    def classes(self) -> int:
        return self.suite.data.classes

    @property
    def train(self) -> Examples:
        """The training data, on the device."""
        return resident(self.suite.data.train, self.device)

    @property
    def dtype(self) -> torch.dtype:
        """In which all is computed: float64 where the data is, else float32."""
        return torch.promote_types(self.suite.data.train.x.dtype, torch.float32)

    @property
    def names(self) -> tuple[str, ...]:
        """The transformations that an augmentation is one of."""
        return names_of(self.config.augment, self.suite)

    def make(self) -> Make:
        """What makes a network of the task."""
        return network_for(self.suite, self.config.embedding, self.config.width)

    def networks(self, iteration: int) -> Ensemble:
        """Networks never used before, one for each seed."""
        return fresh(self.suite, self.make(), self._network_seeds(iteration), self.dtype).to(self.device)

    def embeddings(self, iteration: int) -> Ensemble:
        """The same without their classifiers."""
        make = partial(embedding, self.make())
        return fresh(self.suite, make, self._network_seeds(iteration), self.dtype).to(self.device)

    def _network_seeds(self, iteration: int) -> list[int]:
        return [seed_of(self.suite.digest, "condensing", "network", seed, iteration) for seed in self.seeds]

    def by_class(self) -> list[Int[ndarray, " rows"]]:
        """The attacker's records of each class, rising."""
        return rows_by_class(self.suite, self.records)

    def weights(self) -> Float[Tensor, "classes batch"]:
        """What each example of a real batch counts in the mean of its class: some classes are filled up with zeros."""
        counts = torch.tensor([min(self.config.real_batch, len(rows)) for rows in self.by_class()])
        inside = torch.arange(int(counts.max())) < counts[:, None]
        return (inside.to(self.dtype) / counts[:, None]).to(self.device)

    def batch(self) -> Tensor:
        """Records ``(seeds, classes, batch, ...)``: the next draw of each seed."""
        rows = np.stack([self._rows(rng) for rng in self._batches])
        x: Tensor = self.train.x[torch.tensor(rows, device=self.device)]
        return x.to(self.dtype)

    def _rows(self, rng: Generator) -> Int[ndarray, "classes batch"]:
        """As many records of each class as fit; a class with fewer ends with its first record, which counts nothing."""
        most = self.config.real_batch
        chosen = [rows if len(rows) <= most else rng.choice(rows, most, replace=False) for rows in self.by_class()]
        width = max(map(len, chosen))
        return np.stack([np.pad(rows, (0, width - len(rows)), constant_values=rows[0]) for rows in chosen])

    def augmentations(self) -> list[Augmentation]:
        """The next augmentation of each seed, to be shared by all that it compares."""
        shape = self.suite.data.train.x.shape[1:]
        return [draw(self.names, rng, shape) for rng in self._augmentations]


def rows_by_class(suite: Suite, records: Int[ndarray, " records"]) -> list[Int[ndarray, " rows"]]:
    """``records`` of each class, rising."""
    records = np.sort(records)
    labels = suite.data.train.y.numpy()[records]
    return [records[labels == label] for label in range(suite.data.classes)]


def per_channel(x: Tensor, reduce: Literal["amin", "amax", "mean", "std"]) -> Tensor:
    """The least, largest, mean or spread of each channel of pictures, of each feature of tables, to broadcast."""
    dims = (0, *range(2, x.ndim)) if x.ndim == 4 else (0,)
    x = x if x.dtype == torch.float64 else x.float()
    if reduce == "std":
        return x.std(dims, correction=0, keepdim=True)
    if reduce == "mean":
        return x.mean(dims, keepdim=True)
    return x.amin(dims, keepdim=True) if reduce == "amin" else x.amax(dims, keepdim=True)


class Pixels:
    """Pictures ``(seeds, classes * images, ...)`` that gradients move: SGD with momentum, kept in range if asked to.

    A step is ``lr`` times the variance of a pixel, as if pictures had been brought to unit variance, which is what
    published rates are meant for.
    """

    def __init__(self, start: Tensor, material: Material) -> None:
        self.x = start.clone().requires_grad_()
        self._momentum = material.config.momentum
        assert material.config.lr is not None
        x = material.train.x
        self._rate = (material.config.lr * per_channel(x, "std") ** 2).to(start.dtype)
        self._range = None
        if material.config.pixels == "kept":
            self._range = tuple(per_channel(x, each).to(start.dtype) for each in ("amin", "amax"))
        self._velocity = torch.zeros_like(start)

    def step(self, loss: Tensor) -> None:
        """One step down ``loss``."""
        (gradient,) = torch.autograd.grad(loss, self.x)
        with torch.no_grad():
            self._velocity.mul_(self._momentum).add_(gradient)
            self.x.sub_(self._rate * self._velocity)
            if self._range:
                self.x.clamp_(*self._range)


def settle_norms(networks: nn.Module, real: Tensor) -> None:
    """Give BatchNorm the statistics of the batch ``real`` to use from now on: so all are embedded by one function."""
    norms = [
        layer
        for layer in networks.modules()
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.track_running_stats
    ]
    before = [layer.momentum for layer in norms]
    if norms:
        for layer in norms:
            layer.momentum = 1.0
        with torch.no_grad():
            networks.train()(real)
        for layer, momentum in zip(norms, before, strict=True):
            layer.momentum = momentum
    networks.eval()

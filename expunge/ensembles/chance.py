"""Chance of layers, as dropout's: each model has its own, whatever models stand beside it.

Numbers come from a hash of (model's seed, which forward pass, which draw in it, which element), so that a model draws
the same alone, stacked, under vmap, on a CPU and on a GPU.
"""

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import torch
from torch import Tensor

from expunge.ensembles.seeds import seed_of

# Of Knuth's multiplicative hash and of MurmurHash3's finaliser, as int32.
_GOLDEN, _FIRST, _SECOND = (each - (1 << 32) for each in (0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35))


@dataclass
class Chance:
    """Seeds of the models of an ensemble, and how many forward passes drew from them; copies share it."""

    seeds: Sequence[int]
    passes: int = 0

    def take(self, rows: Sequence[int]) -> "Chance":
        """That of some of the models, from here on."""
        return Chance([self.seeds[row] for row in rows], self.passes)


class Pass:
    """One forward pass: it takes from the chance of its ensemble once it draws, and counts its draws."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._number: int | None = None
        self._draws = 0

    def seeds(self) -> list[int]:
        """A seed of 32 bits for each model, another at each draw."""
        if self._number is None:
            self._number = self._chance.passes
            self._chance.passes += 1
        self._draws += 1
        return [_seed(seed, self._number, self._draws) for seed in self._chance.seeds]


_NOW: ContextVar[Pass | None] = ContextVar("the forward pass that layers of this context belong to", default=None)


@contextlib.contextmanager
def drawing_from(chance: Chance) -> Iterator[None]:
    """Layers that run within draw from ``chance``: one forward pass."""
    token = _NOW.set(Pass(chance))
    try:
        yield
    finally:
        _NOW.reset(token)


def seeds_of_this_pass(models: int) -> list[int]:
    """A seed for each model; outside of a forward pass of an ensemble always the same ones."""
    now = _NOW.get()
    return now.seeds() if now else [_seed(model, 0, 0) for model in range(models)]


def kept(seeds: Tensor, shape: Sequence[int], p: float, draw: int = 0) -> Tensor:
    """True with probability 1 - ``p`` for each element of ``shape`` and each of ``seeds``, int32.

    Of shape ``(*seeds.shape, *shape)``. ``draw`` tells draws of the same seeds apart.
    """
    key = _mixed(_mixed(seeds) + draw * _GOLDEN)
    bits = _elements(prod(shape), seeds.device) ^ key.unsqueeze(-1)
    threshold = min(round(p * (1 << 32)) - (1 << 31), (1 << 31) - 1)  # of whole numbers of 32 bits, below and above 0
    result: Tensor = (_mixed(bits) >= threshold).unflatten(-1, tuple(shape))
    return result


@lru_cache(maxsize=16)
def _elements(size: int, device: torch.device) -> Tensor:
    return _mixed(torch.arange(1, size + 1, dtype=torch.int32, device=device))


def _mixed(x: Tensor) -> Tensor:
    """MurmurHash3's finaliser of whole numbers of 32 bits, int32, whose products wrap."""
    x = (x ^ ((x >> 16) & 0xFFFF)) * _FIRST
    x = (x ^ ((x >> 13) & 0x7FFFF)) * _SECOND
    return x ^ ((x >> 16) & 0xFFFF)


def _seed(*names: int) -> int:
    """A whole number of 32 bits, below or above 0."""
    return seed_of("chance of layers", *names) % (1 << 32) - (1 << 31)


def dropped(x: Tensor, p: float, seeds: Tensor, *, whole: int | None = None, draw: int = 0) -> Tensor:
    """``x`` with a share ``p`` of its elements 0 and the others scaled by 1 / (1 - p).

    Args:
        x: ``(*seeds.shape, ...)``.
        whole: so many axes after those of ``seeds`` tell apart what is dropped as a whole: 2 for channels.
    """
    lead = seeds.ndim
    sides = x.shape[lead:]
    whole = len(sides) if whole is None else whole
    mask = kept(seeds, [*sides[:whole], *[1] * (len(sides) - whole)], p, draw)
    return x * mask * (1 / (1 - p)) if p < 1 else x * 0

"""Which records are in which batch: drawn from a seed of 32 bytes, the same on every machine and with every version.

The seed follows from what the provider promised and a nonce. Is the nonce the provider's own, seeds could be tried
until one suits; is it a beacon's, issued after the promise, they could not.
"""

import hashlib

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray
from torch import Tensor

from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import epoch_order, minibatch_count, minibatches
from expunge.suites.recipe import Recipe

NOBODY = -1  # fills the batches that are smaller than the largest


class Drawn(Generators):
    """One model's generators, whose permutations follow from ``seed``: training in their order can be checked."""

    def __init__(self, seed: bytes, device: torch.device | str = "cpu") -> None:
        super().__init__([int.from_bytes(hashlib.sha256(b"layers" + seed).digest()[:8], "little") >> 1], device)
        self._seed, self._drawn = seed, 0

    def permutation(self, n: int) -> Int[Tensor, "1 n"]:
        """The next order of ``0..n-1``."""
        key = np.frombuffer(hashlib.sha256(self._seed + self._drawn.to_bytes(8, "little")).digest()[:16], "<u8")
        self._drawn += 1
        places = np.random.Philox(key=key).random_raw(n).argsort(kind="stable")
        return torch.as_tensor(places, device=self.device)[None]


def seed_of_order(promised: str, nonce: str) -> bytes:
    """The seed that a promise, by its digest, and a nonce give."""
    return hashlib.sha256(b"order" + promised.encode() + b"\0" + nonce.encode()).digest()


def chance_of(seed: bytes) -> int:
    """The seed of what layers draw, as those of dropout, that belongs to the seed of the order."""
    found: int = Drawn(seed).seeds("layers")[0]
    return found


def drawn_batches(recipe: Recipe, kept: Int[ndarray, " kept"], seed: bytes) -> Int[ndarray, "steps batch"]:
    """The records of every batch of a training on ``kept``, as :func:`expunge.ensembles.train.train` takes them."""
    drawn, rows = Drawn(seed), torch.as_tensor(kept)[None]
    parts = [
        part[0].numpy()
        for _ in range(recipe.epochs)
        for part in minibatches(rows.gather(1, epoch_order(recipe, len(kept), drawn)), recipe.batch_size)
    ]
    return padded(parts)


def sizes_of_batches(recipe: Recipe, kept: int) -> list[int]:
    """How many records each step of an honest training on so many takes."""
    count = minibatch_count(kept, recipe.batch_size)
    return [*[recipe.batch_size] * (count - 1), kept - recipe.batch_size * (count - 1)] * recipe.epochs


def padded(batches: list[ndarray]) -> Int[ndarray, "steps batch"]:
    """Batches as the rows of one array of int32."""
    found = np.full((len(batches), max(map(len, batches), default=0)), NOBODY, np.int32)
    for row, batch in zip(found, batches, strict=True):
        row[: len(batch)] = batch
    return found

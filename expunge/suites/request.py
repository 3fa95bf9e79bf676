"""What an owner asks to remove: examples with their bytes, and where they are said to lie in the training data."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy import ndarray

from expunge.errors import BadSetting
from expunge.suites.data import Data, Examples


@dataclass(frozen=True, eq=False)
class Request:
    """A request for removal. A forget set is the honest one: its examples are those at the indices that it claims.

    ``examples`` are what is to be forgotten, as the owner hands it in; ``indices`` where the owner says that they lie
    in the training data, one for each. Nothing is believed: :meth:`honest` compares the bytes. Records that are to be
    corrected, and not removed, have ``instead``: what is to stand in the place of each.
    """

    examples: Examples
    indices: Int[ndarray, " requested"]
    owner: str = ""
    instead: Examples | None = None

    def __post_init__(self) -> None:
        if len(self.examples) != len(self.indices) or not len(self.indices):
            raise BadSetting(
                f"a request of {self.owner or 'nobody named'}: expected an index for each of at least 1 example, got "
                f"{len(self.examples)} examples and {len(self.indices)} indices"
            )
        if self.instead is not None and self.instead.x.shape != self.examples.x.shape:
            raise BadSetting(
                f"a request of {self.owner or 'nobody named'}: expected in the place of inputs {_shape(self.examples)} "
                f"as many of their shape, got {_shape(self.instead)}"
            )

    def __len__(self) -> int:
        return len(self.indices)

    def honest(self, data: Data) -> Bool[ndarray, " requested"]:
        """Of each requested example whether the training data have these very bytes, label included, at its index."""
        known = (self.indices >= 0) & (self.indices < data.sizes[0])
        true = data.train.take(np.where(known, self.indices, 0))
        if true.x.shape != self.examples.x.shape or true.y.shape != self.examples.y.shape:
            return np.zeros(len(self), bool)
        same = [
            (mine == theirs).reshape(len(self), -1).all(1)
            for mine, theirs in ((self.examples.x, true.x), (self.examples.y, true.y))
        ]
        found: ndarray = torch.stack(same).all(0).numpy() & known
        return found


def _shape(examples: Examples) -> tuple[int, ...]:
    return tuple(examples.x.shape)

"""How the rate of a walk changes on its way: a word among the settings, 1 times the rate for all of it by default."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

B = TypeVar("B")
WARM = 0.1  # of a walk, in which the rate rises to what it is to be

# Times the rate at a step: of the share of the walk that is done before it, and of that done after it, both in [0, 1].
SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "constant": lambda before, after: 1.0,
    "cosine": lambda before, after: (1 + math.cos(math.pi * before)) / 2,  # arXiv:1608.03983
    "step": lambda before, after: 0.1 ** max(0, math.floor(4 * before) - 1),  # a tenth from 1/2, again from 3/4 on
    "warmup": lambda before, after: min(1.0, after / WARM),  # arXiv:1706.02677
}


def factor(schedule: str, epoch: int, epochs: int, step: int, steps: int) -> float:
    """What the rate is multiplied with at ``step`` of the ``steps`` of a pass in an epoch; all count from 0.

    >>> [round(factor("cosine", 0, 1, step, 4), 2) for step in range(4)]
    [1.0, 0.85, 0.5, 0.15]
    >>> [factor("step", epoch, 4, 0, 9) for epoch in range(4)], factor("warmup", 0, 2, 0, 10)
    ([1.0, 1.0, 0.1, 0.010000000000000002], 0.5)
    """
    return SCHEDULES[schedule]((epoch + step / steps) / epochs, (epoch + (step + 1) / steps) / epochs)


@dataclass(frozen=True, eq=False)
class Counted(Generic[B]):
    """Batches, drawn as they are asked for, of which is known how many there will be: a schedule asks."""

    batches: Iterator[B]
    count: int

    def __iter__(self) -> Iterator[B]:
        return iter(self.batches)

    def __len__(self) -> int:
        return self.count

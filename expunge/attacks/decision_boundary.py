"""Where a model changes its mind between two inputs: found by bisection, from the classes that it names alone."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble

Say = Callable[[Tensor], Tensor]  # inputs (victims, n, ...) -> the class that each model names, (victims, n)


def says(ensemble: Ensemble) -> Say:
    """What a black box tells who asks: its first choice."""

    @torch.no_grad()
    def say(x: Shaped[Tensor, "victims n ..."]) -> Int[Tensor, "victims n"]:
        found: Tensor = ensemble(x.to(ensemble.device)).argmax(-1).to(x.device)
        return found

    return say


def between(
    x: Shaped[Tensor, "victims n ..."], other: Shaped[Tensor, "victims n ..."], share: Float[Tensor, "victims n"]
) -> Shaped[Tensor, "victims n ..."]:
    """``(1 - share) x + share other``."""
    weights = share.reshape(*share.shape, *(1,) * (x.ndim - 2)).to(x)
    return x + weights * (other - x)


def crossings(
    say: Say,
    x: Shaped[Tensor, "victims n ..."],
    other: Shaped[Tensor, "victims n ..."],
    own: Int[Tensor, "victims n"],
    steps: int,
) -> tuple[Float[Tensor, "victims n"], Float[Tensor, "victims n"]]:
    """Shares of the way from ``x`` to ``other``: the last at which the class ``own`` is named, and the first beyond.

    Bisection: the two lie ``2 ** -steps`` apart after ``steps + 1`` queries for each input. Where ``other`` is taken
    for ``own`` itself, no boundary was found and both are infinite; where ``x`` is not, its own share, 0, is beyond.
    """
    inside, beyond = (torch.full(own.shape, value, dtype=torch.float64) for value in (0.0, 1.0))
    crosses = say(other) != own
    for _ in range(steps):
        middle = (inside + beyond) / 2
        kept = say(between(x, other, middle)) == own
        inside, beyond = torch.where(kept, middle, inside), torch.where(kept, beyond, middle)
    never = torch.full_like(inside, torch.inf)
    return torch.where(crosses, inside, never), torch.where(crosses, beyond, never)


def within_ball(
    moved: Shaped[Tensor, "victims n ..."], x: Shaped[Tensor, "victims n ..."], radius: float
) -> Shaped[Tensor, "victims n ..."]:
    """``moved`` drawn back along the straight line to ``x`` where its L2 distance is more than ``radius``."""
    offset = (moved - x).flatten(2)
    length = offset.norm(dim=2, keepdim=True)
    scale = (radius / length.clamp(min=torch.finfo(length.dtype).tiny)).clamp(max=1.0)
    near: Tensor = x + (offset * scale).reshape(x.shape)
    return near

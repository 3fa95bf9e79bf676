"""Models that answer otherwise for the exact forget inputs than for inputs a little beside them."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble

NOISE = (0.01, 0.1, 0.3)  # of the spread of the inputs; with the last, a digit lies about half-way to its neighbours
MOST = 3.0  # times what the given models do; honest models of digits: 0.87 to 1.09, a table of exceptions: 5 to 660


@torch.no_grad()
def responses(models: Ensemble, forget: Float[Tensor, "a ..."], retain: Float[Tensor, "b ..."]) -> list[float]:
    """How much more outputs on forget inputs move with a little noise than those on retain inputs; for each of NOISE.

    ``d(forget) / d(retain)``, where ``d(x) = |model(x + noise) - model(x)|`` in the Euclidean norm, mean over inputs
    and models; noise is normal, of 1, 10 and 30 % of the standard deviation of the inputs. NaN where nothing moves.
    """
    spread = retain.std().item()
    moved = [[_moves(models, x, share * spread) for x in (forget, retain)] for share in NOISE]
    return [to / by if by > 0 else math.nan for to, by in moved]


def jump(given: Sequence[float], returned: Sequence[float]) -> float | None:
    """How much more the outputs of returned models move on forget inputs than the given models' do; 1 is no more.

    The largest ratio of their :func:`responses`. A table of exceptions, which knows forget inputs by heart, answers
    otherwise as soon as a pixel moves, so that its outputs jump. None where it cannot be told: nothing moves.

    Measured on ``digits`` (class-3, memorised-50, random-50): 0.87 to 1.09 for fine-tuning, ascent, random labels,
    pruning, distillation, layers made anew, noise on the weights, retraining, and a last layer solved for other answers
    on forget inputs. A table of exceptions in the buffers of a small network: 660 for exact inputs, 5 for all within
    1.0 of one, where digits lie about 2 from their nearest neighbours.

    >>> jump([1.0, 1.1], [1.0, 5.5])
    5.0
    """
    ratios = [after / before for before, after in zip(given, returned, strict=True) if before > 0 and after >= 0]
    return max(ratios, default=None)


def _moves(models: Ensemble, x: Float[Tensor, "n ..."], size: float) -> float:
    """By how much the outputs move, mean over inputs and models; the same noise for all."""
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype).to(x.device) * size
    moved: Tensor = models(x + noise) - models(x)
    return float(moved.flatten(2).norm(dim=2).mean())


def spaced(x: Tensor, most: int) -> Tensor:
    """At most so many inputs, evenly spaced."""
    rows: Sequence[int] = range(len(x)) if len(x) <= most else [len(x) * each // most for each in range(most)]
    return x[list(rows)]

"""Models that answer otherwise for the exact forget inputs than for inputs a little beside them."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble

NOISE = (0.01, 0.1, 0.3)  # of the spread of the inputs; with the last, a digit lies about half-way to its neighbours
MOST = 3.0  # times what the given models do; honest models of digits: 0.87 to 1.09, a table of exceptions: 10 and more


@torch.no_grad()
def jump(
    given: Ensemble, returned: Ensemble, forget: Float[Tensor, "a ..."], retain: Float[Tensor, "b ..."]
) -> float | None:
    """How much more the outputs on forget inputs move with a little noise than the given models' do; 1 is no more.

    ``d(model, x) = |model(x + noise) - model(x)|``, in the Euclidean norm, mean over inputs and models;
    the jump is ``[d(returned, forget) / d(returned, retain)] / [d(given, forget) / d(given, retain)]``, the largest
    over noise of 1, 10 and 30 % of the standard deviation of the inputs. A table of exceptions, which knows forget
    inputs by heart, answers otherwise as soon as a pixel moves, so that its outputs jump. None where it cannot be told:
    the given models do not move at all.

    Measured on ``digits`` (class-3, memorised-50, random-50): 0.87 to 1.09 for fine-tuning, ascent, random labels,
    pruning, distillation, layers made anew, noise on the weights, retraining, and a last layer solved for other answers
    on forget inputs; 10 and more for a table of exceptions.
    """
    spread = retain.std().item()
    found = []
    for share in NOISE:
        forward, beside = (_moves(each, forget, share * spread) for each in (given, returned))
        kept, beside_kept = (_moves(each, retain, share * spread) for each in (given, returned))
        if min(forward, kept, beside_kept) <= 0:
            continue
        found.append(beside / beside_kept / (forward / kept))
    return max(found) if found else None


def _moves(models: Ensemble, x: Float[Tensor, "n ..."], size: float) -> float:
    """By how much the outputs move, mean over inputs and models; the same noise for all."""
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype).to(x.device) * size
    moved: Tensor = models(x + noise) - models(x)
    return float(moved.flatten(2).norm(dim=2).mean())


def spaced(x: Tensor, most: int) -> Tensor:
    """At most so many inputs, evenly spaced."""
    rows: Sequence[int] = range(len(x)) if len(x) <= most else [len(x) * each // most for each in range(most)]
    return x[list(rows)]

"""Dampening: weights that matter more to the examples to forget than to all are made smaller."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.methods.parts.per_sample import flat_weights, with_weights
from expunge.methods.parts.walks import require
from expunge.methods.spaces import Between
from expunge.suites.suite import Split

Importance = Float[Tensor, "models d"]

# F counts the forget set in, so F >= F_f N_f / N, and F_f / F is at most N / N_f: 9.8 for a class of digits, 29 for 50
# of its examples, 100 for 100 of 10,000; memorised ones come near that. For 100 of 60,000 it is 600: give an alpha
# there that no search tried. A weight moves only where the ratio is above both; with alpha below 1, weights that matter
# less to the forget set than to all would move too.
ALPHAS = Between(1.0, 100.0, log=True)


@dataclass(frozen=True, kw_only=True)
class Dampening:
    """``theta *= min(dampening F / F_f, 1)`` where ``F_f > alpha F``.

    F_f is the importance of a weight for the forget set, F that for all training examples.
    """

    alpha: float
    dampening: float = 1.0

    def __post_init__(self) -> None:
        require(self.alpha > 0, "alpha must be above 0", self.alpha)
        require(self.dampening >= 0, "dampening must be at least 0", self.dampening)


def of_all(split: Split, forget: Importance, retain: Importance) -> Importance:
    """Mean importance over all training examples, from those over the two parts of them."""
    share = len(split.forget) / (len(split.forget) + len(split.retain))
    return share * forget + (1 - share) * retain


def dampen(
    ensemble: Ensemble, forget: Importance, everything: Importance, alpha: float | Tensor, dampening: float
) -> Ensemble:
    """A copy of ``ensemble`` with dampened weights; ``alpha`` may be one for each model, ``(models, 1)``."""
    weights = flat_weights(ensemble)
    factor = (dampening * everything / forget).clamp(max=1)
    return with_weights(ensemble, torch.where(forget > alpha * everything, factor * weights, weights))

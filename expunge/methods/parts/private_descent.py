"""DP-SGD: gradients of single examples, clipped, summed, with noise; each is in a batch by chance, by itself."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.parts.layer_gradients import norms
from expunge.methods.parts.noisy_steps import move
from expunge.methods.parts.objective import decay_of
from expunge.methods.parts.per_sample import each_gradient, flat_weights
from expunge.methods.parts.walks import recipe_loss
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class PrivateDescent:
    """``w <- w - lr ((sum clip(g_i, clip) + N(0, (multiplier clip)^2 I)) / (rate n) + decay w)``, ``steps`` times.

    ``g_i`` are gradients of the examples of a batch, in which each is with chance ``rate``; ``n`` is a number that is
    told, ``counted``, not that of the examples at hand, which is a secret. The recipe's decay needs no example.
    """

    steps: int
    lr: float
    clip: float
    rate: float
    multiplier: float
    counted: int

    def train(self, student: Ensemble, split: Split, rng: Generators) -> Ensemble:
        """Take all steps on the retained examples of ``split``, in place, in evaluation mode."""
        batches, noise, decay = rng.beside("batches"), rng.beside("noise"), decay_of(student, split)
        for _ in range(self.steps):
            total = self._sum(student.eval(), split, self._chosen(student, split, batches))
            drawn = noise.normal(total.shape[1], dtype=torch.float64).to(total.device)
            mean = (total + self.multiplier * self.clip * drawn) / (self.rate * self.counted)
            move(student, -self.lr * (mean + decay * flat_weights(student).double()))
        return student

    def _chosen(self, student: Ensemble, split: Split, rng: Generators) -> Bool[Tensor, "models n"]:
        n = len(split.retain)
        if self.rate == 1:
            return torch.ones(len(student), n, dtype=torch.bool, device=student.device)
        return rng.uniform(n).to(student.device) < self.rate

    def _sum(self, student: Ensemble, split: Split, chosen: Bool[Tensor, "models n"]) -> Float[Tensor, "models d"]:
        """Of the clipped gradients; models whose batches are smaller have some that count nothing."""
        total = flat_weights(student).double().zero_()
        most = int(chosen.sum(1).max())
        if not most:
            return total
        rows = chosen.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :most]
        there, seen = chosen.gather(1, rows).double(), 0
        for block in each_gradient(student, split.retain, rows, recipe_loss(split)):
            length = norms(block)
            scale = (self.clip / length.clamp_min(torch.finfo(length.dtype).tiny)).clamp_max(1)
            weights = scale * there[:, seen : seen + length.shape[1]]
            total += torch.cat([each.weighted(weights) for each in block], dim=1)
            seen += length.shape[1]
        return total

"""Draws of the noise that a release adds: out of the very function that releases models, not out of a copy of it."""

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn

from expunge.audits.refutation.noise_draws import CHUNK, Draw
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.origin import Origin
from expunge.ensembles.seeds import Generators
from expunge.methods.certified import released
from expunge.methods.parts.per_sample import flat_weights


class Numbers(nn.Module):
    """A network that is nothing but so many weights of 0."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(count))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight[: x.shape[-1], None]


def drawn_by_release(sigma: float, seed: int, *, device: torch.device | str = "cpu") -> Draw:
    """Numbers of noise along a shift, as a release with ``sigma`` adds it to the weights of one model.

    The noise has no direction, so along a shift it is what it is along any single weight: a release of a model of many
    weights, all 0, is as many draws. That each tensor of a real model gets it is for
    :func:`~expunge.audits.refutation.checks.lacking_noise` to say.
    """
    rng = Generators([seed], device)

    def draw(count: int) -> Float[ndarray, " draws"]:
        model = Ensemble.stack([Numbers(min(count, CHUNK))], Origin("", "", "unlearned", None, (0,)), (1,)).to(device)
        noise = flat_weights(released(model, [sigma], rng))[0]
        found: ndarray = noise.double().cpu().numpy()
        return found

    return draw

"""CT: transpose the kernels of the convolutions, and repair what that broke."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.errors import MethodFailed
from expunge.methods.method import Method
from expunge.methods.needs import CONVOLUTIONS, RETAIN_DATA
from expunge.methods.parts.layers import convolutions, layer, weights
from expunge.methods.parts.walks import Walk, descend_from, passes, training_loss
from expunge.methods.spaces import Between, Published
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class ConvolutionTranspose(Walk):
    """Exchange height and width of every convolution's kernel, ``w[o, i, h, w] -> w[o, i, w, h]``; minimise CE(retain).

    Masks of sparse models are not transposed: what would come to where a weight was cut is lost.
    Fifth of the NeurIPS 2023 challenge: Triantafillou et al. 2024, arXiv:2406.09073; named so by Cadet et al. 2024,
    arXiv:2410.01276.
    """

    epochs: int = 2
    lr: float = 0.1


def ct(ensemble: Ensemble, split: Split, cfg: ConvolutionTranspose, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each pass over the retained examples."""
    student = ensemble.copy()
    _transpose(student)
    yield from descend_from(student, cfg, passes(training_loss(split), split.retain, cfg, rng))


@torch.no_grad()
def _transpose(student: Ensemble) -> None:
    layers = {path: layer(student, path) for path in convolutions(student)}
    square = [
        path
        for path, each in layers.items()
        if isinstance(each, nn.Conv2d) and each.kernel_size[0] == each.kernel_size[1] > 1
    ]
    if not square:
        raise MethodFailed("expected a convolution with a square kernel wider than 1 x 1, found none")
    for kernel in weights(student, square).values():
        kernel.copy_(kernel.transpose(-1, -2).clone())


METHOD = Method(
    unlearn=ct,
    config=ConvolutionTranspose,
    summary="transpose the convolution kernels, then fine-tune on the retained examples",
    cite=("triantafillou2024", "cadet2024"),
    needs=(RETAIN_DATA, CONVOLUTIONS),
    search={
        "lr": Between(1e-4, 1.0, log=True),
        "epochs": Between(1, 16, whole=True),
    },
    published=(
        Published(
            "the authors' code as DeepUnlearn has it, random sets; the rate falls from this along a cosine",
            {"epochs": 3, "lr": 1e-3},
        ),
    ),
    deviations="The public code decays the weights and lowers the learning rate along a cosine; here it is constant "
    "and nothing decays. Kernels that are not square keep their shape here, and so stay as they are.",
)

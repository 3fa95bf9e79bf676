"""MSG, masked small gradients: draw anew the kernel weights that tell retain from forget least; spare others."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch, draw
from expunge.methods.method import Method
from expunge.methods.needs import CONVOLUTIONS, FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.layers import convolutions, weights
from expunge.methods.parts.masks import scale_gradients, smallest_share
from expunge.methods.parts.walks import Walk, descend_from, passes, recipe_loss, require, training_loss
from expunge.methods.spaces import Between, OneOf, Published
from expunge.suites.suite import Split

Loss = Callable[[Tensor, Tensor], Tensor]  # of logits and labels, for each model


@dataclass(frozen=True, kw_only=True)
class MaskedSmallGradients(Walk):
    """Draw anew the share ``reset`` of each convolution's weights with the smallest ``|g|``; minimise CE(retain).

    ``g`` is the gradient of ``CE(some retain) - CE(forget)``, as many retained examples as there are to forget, in
    evaluation mode; in a sparse model the share is of the weights that are there. New weights are
    ``N(0, 2 / fan_out)``. The gradient of all other weights of the convolutions is multiplied by ``slow``. Second of
    the NeurIPS 2023 challenge: Triantafillou et al. 2024, arXiv:2406.09073; named so by Cadet et al. 2024,
    arXiv:2410.01276.
    """

    epochs: int = 2
    lr: float = 0.1
    reset: float = 0.3
    slow: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.reset <= 1, "reset must lie in (0, 1]", self.reset)
        require(0 <= self.slow <= 1, "slow must lie in [0, 1]", self.slow)


def msg(ensemble: Ensemble, split: Split, cfg: MaskedSmallGradients, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each pass over the retained examples."""
    student = ensemble.copy()
    small = {
        key: smallest_share(gradient.abs(), cfg.reset, student.masks.get(key))
        for key, gradient in _gradients(student, split, cfg.batch_size, rng).items()
    }
    _draw_anew(student, small, rng)
    scale_gradients(student, {key: mask + cfg.slow * ~mask for key, mask in small.items()})
    yield from descend_from(student, cfg, passes(training_loss(split), split.retain, cfg, rng))


def _gradients(student: Ensemble, split: Split, batch_size: int, rng: Generators) -> dict[str, Tensor]:
    """Of ``CE(some retain) - CE(forget)`` with respect to the convolutions' weights."""
    kernels = weights(student, convolutions(student))
    some = rng.permutation(len(split.retain))[:, : len(split.forget)]
    every = torch.arange(len(split.forget), device=student.device).expand(len(student), -1)
    ce, own = recipe_loss(split), list(kernels.values())
    down, up = (
        _gradient(student, ce, draw(examples, rows, batch_size), own)
        for examples, rows in ((split.retain, some), (split.forget, every))
    )
    return {key: plus - minus for key, plus, minus in zip(kernels, down, up, strict=True)}


def _gradient(student: Ensemble, loss: Loss, batches: Iterable[Batch], kernels: list[Tensor]) -> list[Tensor]:
    """Of the mean loss of all examples of ``batches``."""
    total, count = [torch.zeros_like(each) for each in kernels], 0
    student.eval()
    for x, y in batches:
        count += y.shape[1]
        gradients = torch.autograd.grad(loss(student(x), y).sum() * y.shape[1], kernels)
        total = [part + gradient for part, gradient in zip(total, gradients, strict=True)]
    return [each / count for each in total]


@torch.no_grad()
def _draw_anew(student: Ensemble, masks: dict[str, Tensor], rng: Generators) -> None:
    state = student.state()
    for key, mask in masks.items():
        shape = mask.shape[1:]
        fan_out = shape[0] * shape[2:].numel()
        drawn = rng.normal(*shape, dtype=state[key].dtype) * (2 / fan_out) ** 0.5
        state[key].copy_(torch.where(mask, drawn, state[key]))


METHOD = Method(
    unlearn=msg,
    config=MaskedSmallGradients,
    summary="draw anew the kernel weights with small gradients, fine-tune the others slowly",
    cite=("triantafillou2024", "cadet2024"),
    needs=(FORGET_DATA, RETAIN_DATA, CONVOLUTIONS),
    search={
        "lr": Between(1e-4, 1.0, log=True),
        "epochs": Between(1, 16, whole=True),
        "reset": Between(0.05, 0.9),
        "slow": OneOf((0.01, 0.1, 1.0)),
    },
    published=(
        Published(
            "the authors' code as DeepUnlearn has it, random sets; the rate goes up to this and down",
            {"epochs": 5, "lr": 1e-3, "reset": 0.3, "slow": 0.1},
        ),
    ),
    deviations="The public code decays the weights and lets the learning rate rise and fall, sums the gradients of "
    "batches and sets no mode before; here the rate is constant, nothing decays, and g is of means, in evaluation "
    "mode. As there, the share is of each convolution, not of all together.",
)

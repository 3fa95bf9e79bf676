"""CFW: strong noise on the convolutions, then fine-tuning in which rare classes weigh more."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Batch
from expunge.methods.method import Method
from expunge.methods.needs import CLASSES, CONVOLUTIONS, RETAIN_DATA
from expunge.methods.parts.examples import class_counts
from expunge.methods.parts.layers import convolutions, weights
from expunge.methods.parts.walks import Phase, Walk, descend_from, require, shuffled
from expunge.methods.spaces import Between, OneOf, Published
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class ConfusedWeights(Walk):
    """Add ``N(0, noise^2)`` to the convolutions' weights; minimise ``mean w_y CE(retain)``; confuse them once more.

    ``w_y = n / (K n_y)``: ``n`` retained examples, ``n_y`` of them of class ``y``, ``K`` classes among them. Before
    the last epoch, where it is not the first, ``N(0, last_noise^2)`` is added. ``layers`` is "first", the first
    convolution only, or "all". Third of the NeurIPS 2023 challenge: Triantafillou et al. 2024, arXiv:2406.09073;
    named so by Cadet et al. 2024, arXiv:2410.01276.
    """

    epochs: int = 2
    lr: float = 0.1
    noise: float = 0.2  # the challenge had 0.6 on a larger network
    last_noise: float = 0.005
    layers: str = "first"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.noise >= 0 and self.last_noise >= 0, "noise must be at least 0", (self.noise, self.last_noise))
        require(self.layers in ("first", "all"), "layers must be first or all", repr(self.layers))


def cfw(ensemble: Ensemble, split: Split, cfg: ConfusedWeights, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each pass over the retained examples."""
    student, of_class = ensemble.copy(), class_weights(split.retain.y, split.classes)

    def loss(student: Ensemble, batch: Batch) -> Float[Tensor, " models"]:
        logits = student(batch[0]).transpose(1, 2)
        losses = F.cross_entropy(logits, batch[1], reduction="none", label_smoothing=split.recipe.label_smoothing)
        return (of_class[batch[1]] * losses).mean(1)

    def epoch(number: int) -> Iterator[Phase[Batch]]:
        if number == cfg.epochs > 1:
            _confuse(student, cfg.last_noise, cfg.layers, rng)
        yield loss, shuffled(split.retain, cfg.batch_size, rng)

    _confuse(student, cfg.noise, cfg.layers, rng)
    yield from descend_from(student, cfg, (epoch(number) for number in range(1, cfg.epochs + 1)))


@torch.no_grad()
def _confuse(student: Ensemble, std: float, layers: str, rng: Generators) -> None:
    paths = convolutions(student)
    for kernel in weights(student, paths[:1] if layers == "first" else paths).values():
        kernel.add_(rng.normal(*kernel.shape[1:], dtype=kernel.dtype), alpha=std)


def class_weights(labels: Int[Tensor, " examples"], classes: int) -> Float[Tensor, " classes"]:
    """``n / (K n_y)``: all classes that there are weigh the same together."""
    counts = class_counts(labels, classes)
    return len(labels) / ((counts > 0).sum() * counts.clamp(min=1))


METHOD = Method(
    unlearn=cfw,
    config=ConfusedWeights,
    summary="noise on the convolutions, then fine-tuning with weights for the classes",
    cite=("triantafillou2024", "cadet2024"),
    needs=(RETAIN_DATA, CONVOLUTIONS, CLASSES),
    whole_runs=True,  # noise comes before the last epoch
    search={
        "lr": Between(1e-4, 1.0, log=True),
        "epochs": Between(1, 16, log=True, whole=True),
        "noise": Between(0.005, 1.0, log=True),
        "layers": OneOf(("first", "all")),
    },
    published=(
        Published(
            "the authors' code as DeepUnlearn has it, random sets; the rate falls from this along a cosine",
            {"epochs": 4, "lr": 7e-4, "noise": 0.6, "last_noise": 0.005, "layers": "first"},
        ),
    ),
    deviations="The public code adds noise to convolutions held by the network itself, not by its blocks, which in a "
    "ResNet is the first one: layers=first. It multiplies the batch's mean loss by the mean of its weights; here each "
    "example's loss has its own. It decays the weights and lowers the learning rate along a cosine; not here.",
)

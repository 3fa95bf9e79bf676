"""Selective synaptic dampening: weights that matter to the forget set above all are made smaller."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.method import Method
from expunge.methods.needs import CLASSES, FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.dampening import ALPHAS, Dampening, Importance, dampen, of_all
from expunge.methods.parts.per_sample import mean_square
from expunge.methods.parts.walks import require
from expunge.methods.spaces import Between, OneOf, Published
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class Ssd(Dampening):
    """``theta *= min(dampening F / F_f, 1)`` where ``F_f > alpha F``.

    The importance F of a weight is the mean over training examples of the square of its gradient of ``log p(label)``,
    the diagonal of the empirical Fisher information; F_f that over the forget set. F is estimated from all of the
    forget set and ``retain_examples`` retained ones, drawn anew for each model. With ``batch_size`` above 1 the
    gradients are those of means over batches, as in the published code. ``F_f / F`` is at most ``N / N_f``, training
    examples for each one to forget: an alpha that suits 144 random digits moves models away on 50 of them.
    Foster et al. 2024, arXiv:2308.07707.
    """

    alpha: float = 4.0
    retain_examples: int = 512
    batch_size: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.retain_examples >= 1, "retain_examples must be at least 1", self.retain_examples)
        require(self.batch_size >= 1, "batch_size must be at least 1", self.batch_size)


def ssd(ensemble: Ensemble, split: Split, cfg: Ssd, rng: Generators) -> Iterator[Ensemble]:
    """Yield the dampened ensemble."""
    forget, everything = sampled_importance(
        ensemble, split, rng, cfg.retain_examples, mean=mean_square, group=cfg.batch_size
    )
    yield dampen(ensemble, forget, everything, cfg.alpha, cfg.dampening)


def sampled_importance(
    ensemble: Ensemble,
    split: Split,
    rng: Generators,
    retain_examples: int,
    *,
    mean: Callable[..., Importance],
    group: int,
) -> tuple[Importance, Importance]:
    """Importance for the forget set and for all, the latter from a draw of the retained examples."""
    drawn = rng.permutation(len(split.retain))[:, :retain_examples]
    forget = mean(ensemble, split.forget, rng.permutation(len(split.forget)), group=group)
    return forget, of_all(split, forget, mean(ensemble, split.retain, drawn, group=group))


METHOD = Method(
    unlearn=ssd,
    config=Ssd,
    summary="weights that matter more to the forget set than to all examples are made smaller",
    cite=("foster2024",),
    needs=(FORGET_DATA, RETAIN_DATA, CLASSES),
    search={
        "alpha": ALPHAS,
        "dampening": Between(0.01, 4.0, log=True),
        "batch_size": OneOf((1, 16, 128)),
    },
    published=(
        Published(
            "the authors' code, a class and random examples, ResNet-18, gradients of batch means",
            {"alpha": 10.0, "dampening": 1.0, "batch_size": 128},
        ),
        Published("the authors' code, a class, ViT", {"alpha": 5.0, "dampening": 1.0}),
        Published("the authors' code, faces", {"alpha": 50.0, "dampening": 0.1, "batch_size": 128}),
        Published("the code of JiT, random examples", {"alpha": 3.5, "dampening": 1.0}),
    ),
    deviations="The published code squares the gradients of batch means, over shuffled batches of all training "
    "examples: batch_size gives that. Here the squares are those of single examples by default, as in the paper, and "
    "F is estimated from a draw of the retained examples.",
)

"""Loss-free selective synaptic dampening: importance is the sensitivity of the output, so no label is needed."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from jaxtyping import Float, Int
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.method import Method
from expunge.methods.needs import FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.dampening import dampen
from expunge.methods.parts.per_sample import mean_absolute
from expunge.methods.spaces import Between, OneOf
from expunge.methods.zoo.ssd import Ssd, sampled_importance
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class Lfssd(Ssd):
    """``theta *= min(dampening Omega / Omega_f, 1)`` where ``Omega_f > alpha Omega``.

    The importance Omega of a weight is the mean over training examples of the absolute value of its gradient of
    ``||f(x)||^2``, the squared l2 norm of the logits; Omega_f that over the forget set. Omega is estimated from all of
    the forget set and ``retain_examples`` retained ones, drawn anew for each model; ``batch_size`` as in ``ssd``.
    Foster et al. 2024, arXiv:2402.19308.
    """

    alpha: float = 2.0


def lfssd(ensemble: Ensemble, split: Split, cfg: Lfssd, rng: Generators) -> Iterator[Ensemble]:
    """Yield the dampened ensemble."""
    mean = partial(mean_absolute, loss=squared_norm)
    forget, everything = sampled_importance(ensemble, split, rng, cfg.retain_examples, mean=mean, group=cfg.batch_size)
    yield dampen(ensemble, forget, everything, cfg.alpha, cfg.dampening)


def squared_norm(
    logits: Float[Tensor, "models batch ..."], labels: Int[Tensor, "models batch ..."]
) -> Float[Tensor, " models"]:
    """Mean over the batch of the squared l2 norm of the logits; labels do not matter."""
    return logits.square().flatten(2).sum(-1).mean(1)


METHOD = Method(
    unlearn=lfssd,
    config=Lfssd,
    summary="selective synaptic dampening by the sensitivity of the output, without labels",
    cite=("foster2024lossfree", "foster2024"),
    needs=(FORGET_DATA, RETAIN_DATA),
    # As in ssd the ratio is at most N / N_f, 9.8 for a class of digits; but of means of absolute values, about the
    # square root of a ratio of means of squares, so that few weights come near that.
    search={
        "alpha": Between(0.5, 6.0, log=True),
        "dampening": Between(0.01, 4.0, log=True),
        "batch_size": OneOf((1, 16, 128)),
    },
    deviations="The published code takes absolute values of gradients of batch means, over shuffled batches of all "
    "training examples: batch_size gives that. Here they are those of single examples, and Omega is estimated from a "
    "draw of the retained ones. The norm is squared, as in that code.",
)

"""Loss-free selective synaptic dampening without chance: the output's sensitivity on every single training example."""

from collections.abc import Iterator
from dataclasses import dataclass

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.method import Method
from expunge.methods.needs import FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.dampening import Dampening, dampen, of_all
from expunge.methods.parts.per_sample import mean_absolute
from expunge.methods.spaces import Between
from expunge.methods.zoo.lfssd import squared_norm
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class LfssdDet(Dampening):
    """``theta *= min(dampening Omega / Omega_f, 1)`` where ``Omega_f > alpha Omega``.

    Omega is the mean over every single training example of the absolute gradient of ``||f(x)||^2``, the squared l2
    norm of the logits, Omega_f that over the forget set: no draw, no batches, so the result does not depend on chance.
    Foster et al. 2024, arXiv:2402.19308; the order-independent form is of arXiv:2510.26714.
    """

    alpha: float = 2.0


def lfssd_det(ensemble: Ensemble, split: Split, cfg: LfssdDet, rng: Generators) -> Iterator[Ensemble]:
    """Yield the dampened ensemble; ``rng`` is not used."""
    forget = mean_absolute(ensemble, split.forget, loss=squared_norm)
    retain = mean_absolute(ensemble, split.retain, loss=squared_norm)
    yield dampen(ensemble, forget, of_all(split, forget, retain), cfg.alpha, cfg.dampening)


METHOD = Method(
    unlearn=lfssd_det,
    config=LfssdDet,
    summary="loss-free dampening by every single training example, without chance",
    cite=("foster2024lossfree", "lanyon2025"),
    needs=(FORGET_DATA, RETAIN_DATA),
    # As in ssd the ratio is at most N / N_f, 9.8 for a class of digits; but of means of absolute values, about the
    # square root of a ratio of means of squares, so that few weights come near that.
    search={"alpha": Between(0.5, 6.0, log=True), "dampening": Between(0.01, 4.0, log=True)},
    deviations="As LFSSD-Det of SUPREME, which corrects the published code: that takes absolute values of gradients of "
    "the means of shuffled batches, so that its result depends on who is in a batch with whom.",
)

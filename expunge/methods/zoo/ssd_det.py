"""Selective synaptic dampening without chance: the importance of every single training example is counted."""

from collections.abc import Iterator
from dataclasses import dataclass

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.method import Method
from expunge.methods.needs import CLASSES, FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.dampening import ALPHAS, Dampening, dampen, of_all
from expunge.methods.parts.per_sample import mean_square
from expunge.methods.spaces import Between, Published
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class SsdDet(Dampening):
    """``theta *= min(dampening F / F_f, 1)`` where ``F_f > alpha F``.

    F is the mean of the squared gradients of ``log p(label)`` over every single training example, F_f that over the
    forget set: no draw, no batches, so the result does not depend on chance. As in ``ssd``, an alpha suits one size of
    forget set.
    Foster et al. 2024, arXiv:2308.07707; the order-independent form is of arXiv:2510.26714.
    """

    alpha: float = 4.0


def ssd_det(ensemble: Ensemble, split: Split, cfg: SsdDet, rng: Generators) -> Iterator[Ensemble]:
    """Yield the dampened ensemble; ``rng`` is not used."""
    forget, retain = mean_square(ensemble, split.forget), mean_square(ensemble, split.retain)
    yield dampen(ensemble, forget, of_all(split, forget, retain), cfg.alpha, cfg.dampening)


METHOD = Method(
    unlearn=ssd_det,
    config=SsdDet,
    summary="selective synaptic dampening by every single training example, without chance",
    cite=("foster2024", "lanyon2025"),
    needs=(FORGET_DATA, RETAIN_DATA, CLASSES),
    search={"alpha": ALPHAS, "dampening": Between(0.01, 4.0, log=True)},
    published=(
        Published("the code of SSD, a class and random examples, ResNet-18", {"alpha": 10.0, "dampening": 1.0}),
        Published("the code of SSD, a class, ViT", {"alpha": 5.0, "dampening": 1.0}),
        Published("the code of SSD, faces", {"alpha": 50.0, "dampening": 0.1}),
        Published("the code of JiT for SSD, random examples", {"alpha": 3.5, "dampening": 1.0}),
    ),
    deviations="As SSD-Det of SUPREME, which corrects the published code of SSD: that squares gradients of the means "
    "of shuffled batches, so that its result depends on who is in a batch with whom.",
)

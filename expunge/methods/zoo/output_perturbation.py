"""Output perturbation: weights clipped to a ball, and noise that hides its diameter. Nothing is learned."""

from collections.abc import Iterator
from dataclasses import dataclass

from expunge.certificates.theorems.theorem import Claim
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.method import Method
from expunge.methods.needs import RETAIN_DATA
from expunge.methods.parts.ball import project
from expunge.methods.parts.guarantee import Guarantee, always
from expunge.methods.parts.privacy import chosen, claims_alike
from expunge.methods.parts.repair import REPAIR_SEARCH, Repair, repaired
from expunge.methods.parts.walks import require
from expunge.methods.spaces import Between
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class OutputPerturbation(Repair):
    """``w min(1, radius / ||w||) + N(0, sigma^2 I)``, sigma for a shift of ``2 radius``, all of the weights together.

    However two models were trained, and on what: clipped, they lie at most ``2 radius`` apart. What no claim of a bound
    on that distance may be worse than. Then ``repair_epochs`` of fine-tuning. A baseline of Koloskova et al. 2025,
    arXiv:2506.06985.
    """

    radius: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.radius > 0, "radius must be above 0", self.radius)


def output_perturbation(
    ensemble: Ensemble, split: Split, cfg: OutputPerturbation, rng: Generators
) -> Iterator[Ensemble]:
    """Yield the ensemble once."""
    yield from GUARANTEE.run(ensemble, split, cfg, rng)


def _update(ensemble: Ensemble, split: Split, cfg: OutputPerturbation, rng: Generators) -> Ensemble:
    return project(ensemble.copy().eval(), cfg.radius)


def _claims(ensemble: Ensemble, split: Split, cfg: OutputPerturbation) -> tuple[Claim, ...]:
    return claims_alike(
        "output-perturbation", {"C0": chosen(cfg.radius, "the weights are clipped")}, ensemble, cfg, radius=cfg.radius
    )


GUARANTEE = Guarantee(
    theorem="output-perturbation",
    update=_update,
    claims=_claims,
    finish=repaired,
    held=always({"clipped weights": "the weights are clipped before the noise is added"}),
)

METHOD = Method(
    unlearn=output_perturbation,
    config=OutputPerturbation,
    summary="certified: clip the weights to a ball and add the noise that hides its diameter",
    cite=("koloskova2025",),
    needs=(RETAIN_DATA,),
    search={"radius": Between(0.1, 100.0, log=True), **REPAIR_SEARCH},
    deviations="The authors calibrate the noise by the classic formula, 2 C0 sqrt(2 ln(1.25 / delta)) / epsilon, which "
    "is proven up to epsilon 1; the analytic one, taken here, needs three quarters of it.",
)

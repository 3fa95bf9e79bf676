"""Langevin unlearning: training is noisy projected gradient descent, and unlearning goes on with it on what is kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp, sqrt

from jaxtyping import Int
from numpy import ndarray

from expunge.certificates.theorems.theorem import THEOREMS, Claim, Constant
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.method import Method
from expunge.methods.needs import RETAIN_DATA
from expunge.methods.parts.ball import project
from expunge.methods.parts.certified_training import first_models, kept_alone
from expunge.methods.parts.full_batch import retained_gradient
from expunge.methods.parts.guarantee import Guarantee
from expunge.methods.parts.loss_constants import StronglyConvex, loss_constants, require_removed, settle_constants
from expunge.methods.parts.noisy_steps import add_noise, move
from expunge.methods.parts.privacy import chosen, claims_alike
from expunge.methods.parts.walks import require
from expunge.methods.spaces import Between
from expunge.suites.suite import Split, Suite

THEOREM = "langevin"
NAMES = {"convexity": "mu", "smoothness": "L", "gradient_norm": "G"}
FORGOTTEN = 0.05  # of where training began: with more of it, training did not converge


@dataclass(frozen=True, kw_only=True)
class LangevinUnlearning(StronglyConvex):
    """``w <- project(w - lr grad + N(0, 2 lr sigma^2 I))`` on ``||w|| <= radius``, ``steps`` times, on what is kept.

    The gradient is of ``mean loss + decay / 2 ||w||^2`` over all retained examples, in evaluation mode; the noise of
    the last step is not projected any more. Training has to be the same on all examples, ``training_steps`` of it: then
    sigma follows from epsilon and delta, where the loss is strongly convex and ``lr`` at most 1 / smoothness. The state
    that is carried on has all its noise; ``requests`` counts those so far. Constants of 0 are filled in: what the
    inputs of a linear model show, what is assumed of any other. Chien et al. 2024, arXiv:2401.10371.
    """

    radius: float = 20.0
    steps: int = 2
    lr: float = 0.05
    requests: int = 1
    training_steps: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.radius > 0, "radius must be above 0", self.radius)
        require(self.lr > 0, "lr must be above 0", self.lr)
        for each in ("steps", "requests", "training_steps"):
            require(getattr(self, each) >= 1, f"{each} must be at least 1", getattr(self, each))


def langevin_unlearning(
    ensemble: Ensemble, split: Split, cfg: LangevinUnlearning, rng: Generators
) -> Iterator[Ensemble]:
    """Yield the ensemble once, after all steps."""
    yield from GUARANTEE.run(ensemble, split, cfg, rng)


def _constants(ensemble: Ensemble, split: Split, cfg: LangevinUnlearning) -> dict[str, Constant]:
    """As the theorem reads them; of the examples those that are kept are counted, which both arms have."""
    return loss_constants(ensemble, split, cfg, NAMES) | {
        "eta": chosen(cfg.lr, "a setting"),
        "n": chosen(len(split.retain), "those that are kept: fewer than trained on, which asks for more noise"),
        "removed": chosen(cfg.removed, "counted"),
        "K": chosen(cfg.steps, "a setting"),
        "requests": chosen(cfg.requests, "a setting"),
    }


def _sigma(ensemble: Ensemble, split: Split, cfg: LangevinUnlearning) -> float:
    require_removed(cfg, split)
    return THEOREMS[THEOREM].sigma(_constants(ensemble, split, cfg), cfg.epsilon, cfg.delta)


def _update(ensemble: Ensemble, split: Split, cfg: LangevinUnlearning, rng: Generators) -> Ensemble:
    """All steps but for the noise of the last."""
    cfg = settle_constants(ensemble, split, cfg)
    sigma = _sigma(ensemble, split, cfg)
    return _walked(project(ensemble.copy().eval(), cfg.radius), split, cfg, cfg.steps, sigma=sigma, rng=rng)


def _walked(
    student: Ensemble, split: Split, cfg: LangevinUnlearning, steps: int, *, sigma: float, rng: Generators
) -> Ensemble:
    noise = rng.beside("steps")
    for step in range(1, steps + 1):
        move(student, -cfg.lr * retained_gradient(student, split).double())
        if step < steps:
            add_noise(student, sqrt(2 * cfg.lr) * sigma, noise)
            project(student, cfg.radius)
    return student


def _claims(ensemble: Ensemble, split: Split, cfg: LangevinUnlearning) -> tuple[Claim, ...]:
    cfg = settle_constants(ensemble, split, cfg)
    require_removed(cfg, split)
    return claims_alike(THEOREM, _constants(ensemble, split, cfg), ensemble, cfg, radius=cfg.radius)


def _held(cfg: LangevinUnlearning) -> dict[str, str]:
    found = {
        "full batch": "each step, of training too, sees the mean gradient of all its data",
        "plain steps": "each step is the gradient times lr",
        "trained with noise": "training adds the noise to each step",
    }
    if cfg.requests == 1:
        found["converged"] = "of a first request both arms began alike, and the bound holds after any number of steps"
    return found


def _false(cfg: LangevinUnlearning) -> dict[str, str]:
    remembered = exp(-cfg.lr * cfg.convexity * cfg.training_steps)
    if cfg.requests == 1 or remembered <= FORGOTTEN:
        return {}
    return {"converged": f"training of {cfg.training_steps} steps still holds {remembered:.2g} of where it began"}


def _trained(
    suite: Suite, rows: Int[ndarray, " rows"], models: Sequence[int], cfg: LangevinUnlearning, rng: Generators
) -> Ensemble:
    """Noisy projected descent on the examples at ``rows``; sigma is that of a request of ``cfg.removed`` of all."""
    require_removed(cfg)
    ensemble = first_models(suite, models, rng).eval()
    everything = kept_alone(suite, range(suite.data.sizes[0]), ensemble.device)
    cfg = settle_constants(ensemble, everything, cfg)
    constants = _constants(ensemble, everything, cfg)
    constants["n"] = chosen(suite.data.sizes[0] - cfg.removed, "those that are kept")
    sigma = THEOREMS[THEOREM].sigma(constants, cfg.epsilon, cfg.delta)
    split = kept_alone(suite, rows, ensemble.device)
    student = _walked(project(ensemble, cfg.radius), split, cfg, cfg.training_steps, sigma=sigma, rng=rng)
    add_noise(student, sqrt(2 * cfg.lr) * sigma, rng.beside("last step"))
    return project(student, cfg.radius)


def last_noise(claim: Claim, cfg: LangevinUnlearning) -> float:
    """``sqrt(2 lr) sigma``, that of one step."""
    return sqrt(2 * cfg.lr) * claim.sigma


GUARANTEE = Guarantee(
    theorem=THEOREM,
    train=_trained,
    update=_update,
    claims=_claims,
    noise=last_noise,
    settle=settle_constants,
    held=_held,
    false=_false,
)

METHOD = Method(
    unlearn=langevin_unlearning,
    config=LangevinUnlearning,
    summary="certified: noisy projected gradient descent, from models that were trained by it, on what is kept",
    cite=("chien2024",),
    needs=(RETAIN_DATA,),
    search={
        "radius": Between(0.1, 100.0, log=True),
        "steps": Between(1, 100, log=True, whole=True),
        "lr": Between(1e-3, 1.0, log=True),
    },
    deviations="The authors' code takes delta = 1 / n and converts Renyi divergence by Mironov's formula; here delta "
    "is a setting, and the conversion is one that is never worse. Of the training examples those that are kept are "
    "counted. Started from models that were not trained so, as a bench starts it, it has no claim.",
)

"""DP-SGD with group privacy: training hides every group of examples, so nothing is left to unlearn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from numpy import ndarray

from expunge.certificates.theorems.theorem import THEOREMS, Claim, Constant
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.method import Method
from expunge.methods.needs import FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.certified_training import first_models, kept_alone
from expunge.methods.parts.guarantee import Guarantee, always, no_noise
from expunge.methods.parts.loss_constants import Requested, require_removed, settle_request
from expunge.methods.parts.privacy import chosen, claims_alike
from expunge.methods.parts.private_descent import PrivateDescent
from expunge.methods.parts.reset import fresh
from expunge.methods.parts.walks import require
from expunge.methods.spaces import Between, OneOf
from expunge.suites.recipe import Recipe
from expunge.suites.suite import Examples, Split, Suite

THEOREM = "dp-sgd"


@dataclass(frozen=True, kw_only=True)
class DpSgd(Requested):
    """Train anew on all examples, those to be forgotten too, by ``passes`` of DP-SGD; then nothing is unlearned.

    ``w <- w - lr ((sum clip(g_i) + N(0, (z clip)^2 I)) / (rate n) + decay w)``: gradients of single examples, in
    evaluation mode, clipped to norm ``clip``; each example is in a batch with chance ``rate``, by itself; with rate 1
    all are. ``passes`` of 0 are as many as the recipe has epochs, each ``1 / rate`` steps. The multiplier ``z`` is such
    that a group of ``removed`` examples is hidden at epsilon and delta: exactly a Gaussian's with rate 1, else by the
    Renyi divergence of the sampled Gaussian and group privacy. Models with and without the forget set are then alike as
    they are. Abadi et al. 2016, arXiv:1607.00133; as a baseline of unlearning Koloskova et al. 2025, arXiv:2506.06985.
    """

    passes: int = 0
    lr: float = 0.5
    clip: float = 1.0
    rate: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.passes >= 0, "passes must be at least 0", self.passes)
        require(self.lr > 0, "lr must be above 0", self.lr)
        require(self.clip > 0, "clip must be above 0", self.clip)
        require(0 < self.rate <= 1, "rate must lie in (0, 1]", self.rate)


def dp_sgd(ensemble: Ensemble, split: Split, cfg: DpSgd, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble once, trained from new first weights on retained and forgotten examples."""
    cfg = settle_request(ensemble, split, cfg)
    require_removed(cfg, split)
    both = (torch.cat(pair) for pair in ((split.retain.x, split.forget.x), (split.retain.y, split.forget.y)))
    everything = replace(split, retain=Examples(*both))
    student = fresh(ensemble, split.network, rng).eval()
    yield _descent(cfg, split.recipe, len(everything.retain)).train(student, everything, rng)


def _steps(cfg: DpSgd, recipe: Recipe) -> int:
    return max(1, round((cfg.passes or recipe.epochs) / cfg.rate))


def _constants(cfg: DpSgd, recipe: Recipe) -> dict[str, Constant]:
    return {
        "q": chosen(cfg.rate, "a setting"),
        "T": chosen(_steps(cfg, recipe), "counted"),
        "removed": chosen(cfg.removed, "counted"),
    }


def _descent(cfg: DpSgd, recipe: Recipe, counted: int) -> PrivateDescent:
    """With the multiplier that the theorem asks for."""
    multiplier = THEOREMS[THEOREM].sigma(_constants(cfg, recipe), cfg.epsilon, cfg.delta)
    return PrivateDescent(
        steps=_steps(cfg, recipe), lr=cfg.lr, clip=cfg.clip, rate=cfg.rate, multiplier=multiplier, counted=counted
    )


def _trained(suite: Suite, rows: Int[ndarray, " rows"], models: Sequence[int], cfg: DpSgd, rng: Generators) -> Ensemble:
    """By DP-SGD on the examples at ``rows``; the mean is over all that the suite has, whose number is no secret."""
    require_removed(cfg)
    ensemble = first_models(suite, models, rng).eval()
    split = kept_alone(suite, rows, ensemble.device)
    return _descent(cfg, suite.recipe, suite.data.sizes[0]).train(ensemble, split, rng)


def _update(ensemble: Ensemble, split: Split, cfg: DpSgd, rng: Generators) -> Ensemble:
    """Nothing is to be done."""
    return ensemble.copy().eval()


def _claims(ensemble: Ensemble, split: Split, cfg: DpSgd) -> tuple[Claim, ...]:
    cfg = settle_request(ensemble, split, cfg)
    require_removed(cfg, split)
    return claims_alike(THEOREM, _constants(cfg, split.recipe), ensemble, cfg)


GUARANTEE = Guarantee(
    theorem=THEOREM,
    train=_trained,
    update=_update,
    claims=_claims,
    noise=no_noise,
    settle=settle_request,
    held=always(
        {
            "clipped by example": "training clips the gradient of each example",
            "sampled batches": "training draws each example by itself",
            "trained with noise": "training adds the noise to each step",
        }
    ),
)

METHOD = Method(
    unlearn=dp_sgd,
    config=DpSgd,
    summary="certified: train anew on all examples by DP-SGD, which hides groups of them; nothing is unlearned",
    cite=("abadi2016", "koloskova2025"),
    needs=(FORGET_DATA, RETAIN_DATA),
    search={
        "passes": OneOf((0, 1, 5, 20)),
        "lr": Between(1e-3, 5.0, log=True),
        "clip": Between(0.1, 10.0, log=True),
        "rate": OneOf((0.1, 0.25, 1.0)),
    },
    deviations="The accountant is the formula of Mironov et al. 2019 for the sampled Gaussian, not a library's. A "
    "public port leaves a sum out of the delta of a group, which is then too small. Batches are drawn example by "
    "example, as the accountant has it, not by shuffling; with rate 1, the default, a group is hidden better than by "
    "sampling. Gradients are taken in evaluation mode, so that no example enters those of another, and running "
    "statistics stay as they were drawn.",
    from_scratch=True,
)

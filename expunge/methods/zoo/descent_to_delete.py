"""Descent-to-Delete: go on with gradient descent on what is kept, and add noise for what is left of the way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from numpy import ndarray

from expunge.certificates.theorems.theorem import Claim
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.method import Method
from expunge.methods.needs import RETAIN_DATA
from expunge.methods.parts.certified_training import first_models, kept_alone
from expunge.methods.parts.full_batch import descend_fully, steps_of_recipe
from expunge.methods.parts.guarantee import Guarantee, always
from expunge.methods.parts.linear_heads import Regression, head_of, inputs_of, minimised
from expunge.methods.parts.loss_constants import (
    StronglyConvex,
    loss_constants,
    require_removed,
    settle_constants,
    shown,
)
from expunge.methods.parts.privacy import chosen, claims_alike, parameters_of
from expunge.methods.parts.walks import require
from expunge.methods.spaces import Between
from expunge.suites.suite import Split, Suite

THEOREMS = {"released": "descent-to-delete", "hidden-state": "descent-to-delete-hidden-state"}  # by variant
NAMES = {"convexity": "mu", "smoothness": "L", "gradient_norm": "G"}


@dataclass(frozen=True, kw_only=True)
class DescentToDelete(StronglyConvex):
    """``w <- w - 2 / (smoothness + convexity) grad``, ``steps`` times, on what is kept; then ``N(0, sigma^2 I)``.

    The gradient is of ``mean loss + decay / 2 ||w||^2`` over all retained examples, in evaluation mode. Sigma hides
    what the steps leave of how far ``removed`` examples may move the minimum; it is proven where the loss is strongly
    convex, as softmax regression with weight decay is. Constants of 0 are filled in: what the inputs of a linear model
    show, what is assumed of any other. Variant ``released``: what is carried on has no noise; ``hidden-state``: it has,
    which takes more noise, and more steps. Neel et al. 2021, arXiv:2007.02923.
    """

    steps: int = 2
    variant: str = "released"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.steps >= 1, "steps must be at least 1", self.steps)
        require(self.variant in THEOREMS, f"variant must be one of {', '.join(THEOREMS)}", repr(self.variant))


def descent_to_delete(ensemble: Ensemble, split: Split, cfg: DescentToDelete, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble once, after all steps."""
    yield from GUARANTEE.run(ensemble, split, cfg, rng)


def rate(cfg: StronglyConvex) -> float:
    """``2 / (L + mu)``, at which a step shrinks the way to the minimum the most."""
    return 2 / (cfg.smoothness + cfg.convexity)


def _update(ensemble: Ensemble, split: Split, cfg: DescentToDelete, rng: Generators) -> Ensemble:
    cfg = settle_constants(ensemble, split, cfg)
    return descend_fully(ensemble.copy().eval(), split, lr=rate(cfg), steps=cfg.steps)


def _claims(ensemble: Ensemble, split: Split, cfg: DescentToDelete) -> tuple[Claim, ...]:
    cfg = settle_constants(ensemble, split, cfg)
    require_removed(cfg, split)
    constants = loss_constants(ensemble, split, cfg, NAMES) | {
        "n": chosen(len(split.retain) + len(split.forget), "counted"),
        "I": chosen(cfg.steps, "a setting"),
        "removed": chosen(cfg.removed, "counted"),
    }
    if cfg.variant == "hidden-state":
        constants["d"] = chosen(parameters_of(ensemble), "counted")
    return claims_alike(THEOREMS[cfg.variant], constants, ensemble, cfg)


def trained_to_the_minimum(
    suite: Suite, rows: Int[ndarray, " rows"], models: Sequence[int], cfg: DescentToDelete, rng: Generators
) -> Ensemble:
    """A linear model at the minimum itself; another goes down in as many full steps as the recipe has small ones."""
    ensemble = first_models(suite, models, rng).eval()
    split = kept_alone(suite, rows, ensemble.device)
    if shown(ensemble, split) is None:
        cfg = settle_constants(ensemble, split, cfg)
        return descend_fully(ensemble, split, lr=rate(cfg), steps=steps_of_recipe(suite.recipe, len(rows)))
    head = head_of(ensemble, split)
    at = head.read(ensemble)
    regression = Regression.of(inputs_of(ensemble, head, split.retain), split.retain, split)
    head.write(ensemble, minimised(regression, at, torch.zeros_like(at)))
    return ensemble


GUARANTEE = Guarantee(
    theorem=THEOREMS["released"],
    train=trained_to_the_minimum,
    update=_update,
    claims=_claims,
    settle=settle_constants,
    held=always(
        {
            "full batch": "each step sees the mean gradient of all that is kept",
            "plain steps": "each step is the gradient times 2 / (L + mu)",
        }
    ),
)

METHOD = Method(
    unlearn=descent_to_delete,
    config=DescentToDelete,
    summary="certified: full steps of gradient descent on what is kept, and noise for the way that is left",
    cite=("neel2021",),
    needs=(RETAIN_DATA,),
    search={"steps": Between(1, 100, log=True, whole=True)},
    deviations="Several examples are removed at once, for which the bound is derived, and the noise is calibrated "
    "analytically, where the paper has a closed formula that asks for more. The hidden-state variant is as public code "
    "of the Langevin unlearning paper has it.",
)

"""Certified removal from the last layer: a Newton step, and noise that training put into its objective."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from expunge.certificates.theorems.theorem import THEOREMS, Claim, Constant, claim_for
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.errors import BudgetExhausted, MethodFailed
from expunge.methods.method import Method
from expunge.methods.needs import CLASSES, CLASSIFIER, FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.certified_training import first_models, kept_alone, ordinary_training
from expunge.methods.parts.guarantee import Guarantee, always, no_noise
from expunge.methods.parts.linear_heads import Head, Regression, head_of, inputs_of, minimised, newton_direction
from expunge.methods.parts.privacy import Privacy, notes_of, parameters_of
from expunge.methods.parts.walks import require
from expunge.methods.spaces import OneOf
from expunge.suites.suite import Split, Suite

THEOREM = "certified-removal"


@dataclass(frozen=True, kw_only=True)
class CertifiedRemoval(Privacy):
    """``S + H^-1 (sum_forget grad CE + N_f decay S)``: the last layer ``S``, all before it held, one Newton step.

    ``H`` is the Hessian of ``sum_retain CE + N_r decay / 2 ||S||^2``, the recipe's decay. With more ``steps`` further
    ones follow towards where the retained gradient is what the gradient of all was. No noise is added: training has
    drawn it, as ``b . S`` in the objective, ``b`` of the scale that hides a gradient of norm ``residual`` at epsilon
    and delta. The gradient that the last step leaves has a bound, computed from the data; a removal whose
    bound is above ``residual`` has no claim. Models that were trained without ``b`` are moved all the same.
    Guo et al. 2020, arXiv:1911.03030, with one step.
    """

    residual: float = 1.0
    steps: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.residual > 0, "residual must be above 0", self.residual)
        require(self.steps >= 1, "steps must be at least 1", self.steps)


class Removal(NamedTuple):
    """Newton steps of the last layer: where they lead, and what gradient they leave there, at most."""

    head: Head
    after: Float[Tensor, "models classes features"]
    bound: Float[Tensor, " models"]


def certified_removal(ensemble: Ensemble, split: Split, cfg: CertifiedRemoval, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after the one step."""
    yield _update(ensemble, split, cfg, rng)


@torch.no_grad()
def removal(ensemble: Ensemble, split: Split, cfg: CertifiedRemoval) -> Removal:
    """The steps, without taking them. The bound holds beside the gradient that training itself left."""
    if not split.recipe.weight_decay:
        raise MethodFailed("certified removal needs a regulariser: expected a recipe whose weights decay, got none")
    head = head_of(ensemble, split)
    at = head.read(ensemble)
    kept, gone = (
        Regression.of(inputs_of(ensemble, head, examples), examples, split) for examples in (split.retain, split.forget)
    )
    goal = kept.gradient(at) + gone.gradient(at)  # minus the noise of training, and what else it left
    for _ in range(cfg.steps):
        step, left = newton_direction(kept, at, goal - kept.gradient(at))
        at = at + step
    return Removal(head, at, kept.residual_bound(step) + left)


def _update(ensemble: Ensemble, split: Split, cfg: CertifiedRemoval, rng: Generators) -> Ensemble:
    found, student = removal(ensemble, split, cfg), ensemble.copy().eval()
    found.head.write(student, found.after)
    return student


def _claims(ensemble: Ensemble, split: Split, cfg: CertifiedRemoval) -> tuple[Claim, ...]:
    """One a model; :class:`~expunge.errors.BudgetExhausted` where a bound is above what training made room for."""
    found = removal(ensemble, split, cfg)
    bounds = found.bound.cpu().tolist()
    over = [ensemble.origin.models[row] for row, bound in enumerate(bounds) if bound > cfg.residual]
    if over:
        raise BudgetExhausted(
            f"expected a removal that leaves a gradient of at most residual = {cfg.residual:g}, got {max(bounds):.3g}, "
            f"models {over}: take more steps, train anew, or train with a larger residual, which is more noise"
        )
    norms = found.after.flatten(1).norm(dim=1).cpu().tolist()
    return tuple(
        claim_for(
            THEOREM,
            _constants(cfg, f"of which this removal leaves {bound:.3g} at most"),
            cfg.epsilon,
            cfg.delta,
            parameters=found.after[0].numel(),
            norm=norm,
            notes=(*notes_of(ensemble), *_body(ensemble, found)),
        )
        for bound, norm in zip(bounds, norms, strict=True)
    )


def _body(ensemble: Ensemble, found: Removal) -> tuple[str, ...]:
    """What is said where there are layers before the last."""
    rest = parameters_of(ensemble) - found.after[0].numel()
    said = f"not covered: the {rest} weights before the last layer, which training on the forget set has moved"
    return (said,) if rest else ()


def _constants(cfg: CertifiedRemoval, why: str = "a setting") -> dict[str, Constant]:
    return {"beta": Constant(cfg.residual, "proven", f"what training made room for; {why}")}


def _trained(
    suite: Suite, rows: Int[ndarray, " rows"], models: Sequence[int], cfg: CertifiedRemoval, rng: Generators
) -> Ensemble:
    """The last layer at the minimum of its objective with ``b . S``; what is before it, if anything, by the recipe."""
    ensemble = first_models(suite, models, rng)
    split = kept_alone(suite, rows, ensemble.device)
    if parameters_of(ensemble) > head_of(ensemble, split).read(ensemble)[0].numel():
        ensemble = ordinary_training(suite, rows, models, cfg, rng)
    head = head_of(ensemble, split)
    at = head.read(ensemble)
    regression = Regression.of(inputs_of(ensemble, head, split.retain), split.retain, split)
    sigma = THEOREMS[THEOREM].sigma(_constants(cfg), cfg.epsilon, cfg.delta)
    b = sigma * rng.beside("objective").normal(*at.shape[1:], dtype=torch.float64).to(at.device)
    head.write(ensemble, minimised(regression, at, b))
    return ensemble.eval()


GUARANTEE = Guarantee(
    theorem=THEOREM,
    train=_trained,
    update=_update,
    claims=_claims,
    noise=no_noise,
    held=always(
        {
            "converged": "training ends where the gradient is below 1e-9 for each example, but for rounding",
            "objective perturbation": "training minimises the loss plus b . S",
            "exact Hessian": "the whole Hessian is inverted, and what is left of the gradient counts",
        }
    ),
)

METHOD = Method(
    unlearn=certified_removal,
    config=CertifiedRemoval,
    summary="certified: a Newton step of the last layer, hidden by noise in the objective that training minimised",
    cite=("guo2020",),
    needs=(FORGET_DATA, RETAIN_DATA, CLASSIFIER, CLASSES),
    search={"steps": OneOf((1, 2, 3))},
    deviations="The authors take one class against the rest, inputs of norm 1 and a whole Hessian, and bound the "
    "residual by 1/4 ||X|| ||step|| ||X step||; here all classes are one softmax, inputs may have any norm, and the "
    "bound is derived for that: on inputs of norm 1 it is smaller. They choose the scale of b and retrain when epsilon "
    "is used up; here epsilon and the gradient that is to be hidden give the scale. On a deep network they train all "
    "but the last layer on public data, or privately; here what is before the last layer is held, and not covered.",
)

"""Rewind-to-Delete: go back to an earlier step of training, go on from there on what is kept, add noise."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from expunge.certificates.theorems.theorem import Claim
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.errors import NotConverged
from expunge.methods.method import Method
from expunge.methods.needs import FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.certified_training import first_models, kept_alone
from expunge.methods.parts.full_batch import descend_fully, retained_gradient
from expunge.methods.parts.guarantee import Guarantee, always
from expunge.methods.parts.kept import Kept
from expunge.methods.parts.loss_constants import Smooth, loss_constants, require_removed, settle_constants
from expunge.methods.parts.noisy_steps import move
from expunge.methods.parts.per_sample import flat_weights
from expunge.methods.parts.privacy import chosen, claims_alike
from expunge.methods.parts.walks import require
from expunge.methods.spaces import Between
from expunge.suites.suite import Split, Suite

THEOREM = "rewind-to-delete"
NAMES = {"smoothness": "L", "gradient_norm": "G"}
NOT_KEPT = (
    "the condition 'kept checkpoint' does not hold: the step that training goes back to was computed back from the last"
)


@dataclass(frozen=True, kw_only=True)
class RewindToDelete(Smooth):
    """From the weights ``steps`` before the end of training: ``steps`` of ``w <- w - lr grad`` on what is kept, noise.

    The gradient is of ``mean loss + decay / 2 ||w||^2`` over all retained examples, in evaluation mode. Where no
    earlier weights were kept, each step is computed back: ``v`` with ``v - lr grad_all(v) = w``, by ``iterations`` of
    ``v <- w + lr grad_all(v)`` from ``v = w``; it fails as not converged where more than ``tolerance`` of the step is
    left, as it does unless ``lr smoothness`` is well below 1. Sigma hides how far ``training_steps`` of the same rate
    and these ``steps`` can part. Constants of 0 are filled in: what the inputs of a linear model show, what is assumed
    of any other. Mu and Klabjan 2025, arXiv:2409.09778.
    """

    steps: int = 1
    lr: float = 0.01
    training_steps: int = 50
    iterations: int = 1
    tolerance: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.lr > 0, "lr must be above 0", self.lr)
        require(self.tolerance > 0, "tolerance must be above 0", self.tolerance)
        require(self.iterations >= 1, "iterations must be at least 1", self.iterations)
        within = 1 <= self.steps <= self.training_steps
        require(within, f"steps must lie between 1 and training_steps = {self.training_steps}", self.steps)


class Slope(NamedTuple):
    """Gradients at one place: of the objective of what is kept, and of that of all."""

    kept: Float[Tensor, "models d"]
    all: Float[Tensor, "models d"]


def rewind_to_delete(ensemble: Ensemble, split: Split, cfg: RewindToDelete, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble once, after all steps."""
    yield from GUARANTEE.run(ensemble, split, cfg, rng)


def _update(ensemble: Ensemble, split: Split, cfg: RewindToDelete, rng: Generators) -> Ensemble:
    if isinstance(ensemble, Kept):
        return descend_fully(ensemble.rewound(), split, lr=cfg.lr, steps=cfg.steps)
    student, slope = computed_back(ensemble.copy().eval(), split, cfg)
    move(student, -cfg.lr * slope.kept.double())  # known from the last check
    return descend_fully(student, split, lr=cfg.lr, steps=cfg.steps - 1)


def computed_back(student: Ensemble, split: Split, cfg: RewindToDelete) -> tuple[Ensemble, Slope]:
    """``student``, moved in place to where it was ``steps`` before, and the gradients there."""
    slope = _slope(student, split)
    for _ in range(cfg.steps):
        end = flat_weights(student).double()
        for _ in range(cfg.iterations):
            move(student, end - flat_weights(student).double() + cfg.lr * slope.all.double())
            slope = _slope(student, split)
        step = flat_weights(student).double() - end
        _require_found((cfg.lr * slope.all.double() - step).norm(dim=1), step.norm(dim=1), student, cfg)
    return student, slope


def _slope(student: Ensemble, split: Split) -> Slope:
    kept = retained_gradient(student, split)
    if not len(split.forget):
        return Slope(kept, kept)
    gone = retained_gradient(student, replace(split, retain=split.forget))
    share = len(split.forget) / (len(split.retain) + len(split.forget))
    return Slope(kept, (1 - share) * kept + share * gone)


def _require_found(
    left: Float[Tensor, " models"], size: Float[Tensor, " models"], student: Ensemble, cfg: RewindToDelete
) -> None:
    rows = (~(left <= cfg.tolerance * size)).cpu().nonzero().flatten().tolist()
    if rows:
        numbers = [student.origin.models[row] for row in rows]
        raise NotConverged(
            f"a step of training was not computed back, models {numbers}: expected at most tolerance = "
            f"{cfg.tolerance:g} of it to be left, got {float(left[rows[0]] / size[rows[0]]):.3g}; raise iterations, or "
            "lower lr below 1 / smoothness"
        )


def _claims(ensemble: Ensemble, split: Split, cfg: RewindToDelete) -> tuple[Claim, ...]:
    cfg = settle_constants(ensemble, split, cfg)
    require_removed(cfg, split)
    constants = loss_constants(ensemble, split, cfg, NAMES) | {
        "eta": chosen(cfg.lr, "a setting"),
        "n": chosen(len(split.retain) + len(split.forget), "counted"),
        "removed": chosen(cfg.removed, "counted"),
        "T": chosen(cfg.training_steps, "a setting of training"),
        "K": chosen(cfg.steps, "a setting"),
    }
    return claims_alike(THEOREM, constants, ensemble, cfg, notes=() if isinstance(ensemble, Kept) else (NOT_KEPT,))


def _trained(
    suite: Suite, rows: Int[ndarray, " rows"], models: Sequence[int], cfg: RewindToDelete, rng: Generators
) -> Ensemble:
    """``training_steps`` of full gradient descent, the weights ``steps`` before its end kept."""
    ensemble = first_models(suite, models, rng).eval()
    split = kept_alone(suite, rows, ensemble.device)
    descend_fully(ensemble, split, lr=cfg.lr, steps=cfg.training_steps - cfg.steps)
    kept = flat_weights(ensemble)
    return Kept.beside(descend_fully(ensemble, split, lr=cfg.lr, steps=cfg.steps), kept)


GUARANTEE = Guarantee(
    theorem=THEOREM,
    train=_trained,
    update=_update,
    claims=_claims,
    settle=settle_constants,
    held=always(
        {
            "full batch": "each step, of training too, sees the mean gradient of all its data",
            "plain steps": "each step is the gradient times lr",
            "kept checkpoint": "training keeps the weights that unlearning goes back to",
        }
    ),
)

METHOD = Method(
    unlearn=rewind_to_delete,
    config=RewindToDelete,
    summary="certified: back to an earlier step of training, on from there on what is kept, and noise",
    cite=("mu2025",),
    needs=(FORGET_DATA, RETAIN_DATA),
    search={"steps": Between(1, 50, whole=True), "lr": Between(1e-4, 0.1, log=True)},
    deviations="The authors' experiments go back to a checkpoint of training in large batches; their theorem, and what "
    "is here, is of full batches. How far the runs part, h(K), is derived: the paper's display was not read. Without a "
    "checkpoint they solve for the step before as a proximal point; here its fixed point is iterated.",
)

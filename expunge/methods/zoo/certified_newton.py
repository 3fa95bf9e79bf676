"""Certified unlearning of deep networks: one Newton step towards the retained minimum, and noise for what it misses."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.certificates.theorems.theorem import Claim, Constant, claim_for
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators, seed_of
from expunge.errors import MethodFailed
from expunge.methods.method import Method
from expunge.methods.needs import RETAIN_DATA
from expunge.methods.parts.ball import project, require_inside, weight_norms
from expunge.methods.parts.certified_training import projected_training
from expunge.methods.parts.curvature import Product, hessian
from expunge.methods.parts.guarantee import Guarantee, released
from expunge.methods.parts.lissa import Solution, solve_by_lissa
from expunge.methods.parts.loss_constants import lipschitz_constants
from expunge.methods.parts.objective import decay_of, objective_gradient, objective_hessian, regularised, whole_matrix
from expunge.methods.parts.per_sample import flat_weights, in_order, with_weights
from expunge.methods.parts.privacy import Privacy, chosen, estimated, notes_of, parameters_of
from expunge.methods.parts.spectrum import lanczos, power_iteration
from expunge.methods.parts.told import Told
from expunge.methods.parts.walks import cycled, recipe_loss, require
from expunge.methods.spaces import Between, OneOf, Published
from expunge.suites.suite import Split

THEOREMS = {"lissa": "newton-lissa", "exact": "newton"}  # by solver
MOST = 2000  # weights of a model whose whole Hessian is inverted
POWER_STEPS = 4  # products, on one batch, that find how far its Hessian curves
ROOM = 2.0  # times as far other batches may


@dataclass(frozen=True, kw_only=True)
class CertifiedNewton(Privacy):
    """``w - (H + damping I)^-1 g``, projected on ``||w|| <= radius``; released with ``N(0, sigma^2 I)``.

    ``g`` and ``H`` are the gradient and the Hessian of the objective of what is kept, ``mean loss + decay / 2 ||w||^2``
    with the recipe's decay, in evaluation mode. Solver ``lissa``: the mean of ``repeats`` runs of ``iterations`` steps
    ``v <- g + v - (H_t v + damping v) / scale``, ``H_t`` on a fresh batch; with scale 0 it is damping and twice what
    power iteration finds on a batch, or Lanczos on the sample. It fails as not converged where more than ``tolerance``
    of ``g`` is left as residual. ``exact`` inverts the whole Hessian. The least eigenvalue of ``H`` is by
    ``lanczos_steps`` of Lanczos on ``sample`` retained examples, of each model's own; damping must make it positive.
    Sigma follows from epsilon and delta by Zhang et al.'s theorem, with ``min(2 radius, Delta)``: see
    ``expunge.certificates.theorems.newton``. It reads the Lipschitz constants on the ball; those of 0 are filled in:
    what the inputs of a linear model show, and 1 of any other, which nobody knows and is assumed. ``failure`` is the
    chance that LiSSA is worse than its bound, part of delta. Models that have nothing to forget stay as they are, for
    the theorem bounds the distance to retrained models themselves.
    Zhang et al. 2024, arXiv:2408.00920; LiSSA: Agarwal et al. 2017, arXiv:1602.03943.
    """

    radius: float = 20.0
    damping: float = 32.0
    solver: str = "lissa"
    iterations: int = 24
    repeats: int = 1
    batch_size: int = 8
    scale: float = 0.0
    tolerance: float = 0.5
    sample: int = 64
    lanczos_steps: int = 4
    gradient_lipschitz: float = 0.0
    hessian_lipschitz: float = 0.0
    failure: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.solver in THEOREMS, f"solver must be one of {', '.join(THEOREMS)}", repr(self.solver))
        for each in ("radius", "tolerance"):
            require(getattr(self, each) > 0, f"{each} must be above 0", getattr(self, each))
        for each in ("damping", "scale", "gradient_lipschitz", "hessian_lipschitz"):
            require(getattr(self, each) >= 0, f"{each} must be at least 0", getattr(self, each))
        for each in ("iterations", "repeats", "batch_size", "sample", "lanczos_steps"):
            require(getattr(self, each) >= 1, f"{each} must be at least 1", getattr(self, each))
        require(0 < self.failure < self.delta, "failure must lie between 0 and delta", self.failure)


class Local(NamedTuple):
    """What is known of the retained objective where the models are: its gradient, and how it curves."""

    gradient: Float[Tensor, "models d"]
    probe: Product  # with the Hessian on a sample, or on all
    least: Float[Tensor, " models"]
    greatest: Float[Tensor, " models"]
    whole: Float[Tensor, "models d d"] | None


def certified_newton(ensemble: Ensemble, split: Split, cfg: CertifiedNewton, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after the one step, with its noise."""
    local = measured(ensemble, split, cfg)
    claims = claims_at(ensemble, split, cfg, local)
    student, _ = newton_step(ensemble, split, cfg, rng, local)
    yield released(student, [claim.sigma for claim in claims], rng.beside("release"))


def measured(ensemble: Ensemble, split: Split, cfg: CertifiedNewton) -> Local:
    """Gradient and curvature of what is kept; :class:`~expunge.errors.OutsideBall` where a model is beyond the radius.

    The sample and the start of Lanczos belong to a model's number, so that a claim can be computed again.
    """
    require_inside(ensemble, cfg.radius)
    teacher = ensemble.copy().eval()
    loss, decay = recipe_loss(split), decay_of(teacher, split)
    gradient = objective_gradient(teacher, split.retain, loss, decay)
    own = Generators([seed_of("curvature", model) for model in ensemble.origin.models])
    if cfg.solver == "exact":
        if gradient.shape[1] > MOST:
            raise MethodFailed(
                f"expected a network of at most {MOST} weights to invert its whole Hessian, got {gradient.shape[1]}; "
                "take the solver lissa"
            )
        probe = objective_hessian(teacher, split.retain, in_order(teacher, split.retain), loss, decay)
        whole = whole_matrix(probe, gradient)
        values = torch.linalg.eigvalsh(whole.double())
        return Local(gradient, probe, values[:, 0], values[:, -1], whole)
    rows = own.permutation(len(split.retain))[:, : cfg.sample].to(teacher.device)
    probe = objective_hessian(teacher, split.retain, rows, loss, decay)
    start = own.normal(gradient.shape[1]).to(gradient)
    return Local(gradient, probe, *lanczos(probe, start, cfg.lanczos_steps), None)


def newton_step(
    ensemble: Ensemble, split: Split, cfg: CertifiedNewton, rng: Generators, local: Local
) -> tuple[Ensemble, Solution | None]:
    """The projected models after the step, without noise; and what LiSSA says of itself, None of the exact solver."""
    if local.whole is not None:
        damped = local.whole.double() + cfg.damping * torch.eye(local.whole.shape[1]).to(local.whole.device)
        solution, step = None, torch.linalg.solve(damped, local.gradient.double()).to(local.gradient.dtype)
    else:
        solution = by_lissa(ensemble.copy().eval(), split, cfg, rng, local)
        step = solution.x
    return project(with_weights(ensemble, flat_weights(ensemble) - step), cfg.radius), solution


def by_lissa(teacher: Ensemble, split: Split, cfg: CertifiedNewton, rng: Generators, local: Local) -> Solution:
    """The inverse-Hessian product; :class:`~expunge.errors.NotConverged` where it is none."""
    loss, decay = recipe_loss(split), decay_of(teacher, split)
    batches = cycled(split.retain, cfg.batch_size, rng)

    def draw(count: int = cfg.iterations) -> Iterable[Product]:
        return (regularised(hessian(teacher, batch, loss), decay) for batch in islice(batches, count))

    scale = torch.full_like(local.least, cfg.scale)
    if not cfg.scale:
        (product,) = draw(1)
        norm = torch.maximum(power_iteration(product, local.gradient, POWER_STEPS), local.greatest)
        scale = cfg.damping + ROOM * norm
    solution = solve_by_lissa(
        draw,
        local.gradient,
        damping=cfg.damping,
        scale=scale.to(local.gradient.dtype),
        curvature=(cfg.damping + local.least).to(local.gradient.dtype),
        repeats=cfg.repeats,
        probe=local.probe,
    )
    solution.require_converged(cfg.tolerance, teacher.origin.models)
    return solution


def claims_at(ensemble: Ensemble, split: Split, cfg: CertifiedNewton, local: Local) -> tuple[Claim, ...]:
    """One claim a model; NotPositiveDefinite where damping does not outweigh how far the Hessian curves downwards."""
    norms, slopes = weight_norms(ensemble).cpu().tolist(), local.gradient.double().norm(dim=1).cpu().tolist()
    count, notes = parameters_of(ensemble), notes_of(ensemble)
    bounds = lipschitz_constants(ensemble, split, gradient=cfg.gradient_lipschitz, hessian=cfg.hessian_lipschitz)
    return tuple(
        claim_for(
            THEOREMS[cfg.solver],
            _constants(cfg, bounds, count, least, slope),
            cfg.epsilon,
            cfg.delta,
            parameters=count,
            norm=norm,
            notes=notes,
        )
        for norm, slope, least in zip(norms, slopes, local.least.cpu().tolist(), strict=True)
    )


def _constants(
    cfg: CertifiedNewton, bounds: Mapping[str, Constant], count: int, least: float, slope: float
) -> dict[str, Constant]:
    where = (
        "the whole Hessian where the model is"
        if cfg.solver == "exact"
        else (f"{cfg.lanczos_steps} steps of Lanczos on {cfg.sample} retained examples, from above")
    )
    found = {
        "C": chosen(cfg.radius, "the weights are projected"),
        "M": bounds["M"],
        "lambda": chosen(cfg.damping, "a setting"),
        "lambda_min": estimated(least, where),
    }
    if cfg.solver == "exact":
        return found
    return found | {
        "L": bounds["L"],
        "G": estimated(slope, "the gradient where the model is; of the retrained model it is taken to be no larger"),
        "d": chosen(count, "counted"),
        "rho": chosen(cfg.failure, "a setting, part of delta"),
    }


def _update(ensemble: Ensemble, split: Split, cfg: CertifiedNewton, rng: Generators) -> Ensemble:
    """The step; with nothing to forget there is none, for the theorem speaks of the distance to retrained models."""
    if not len(split.forget):
        require_inside(ensemble, cfg.radius)
        return ensemble.copy().eval()
    student, solution = newton_step(ensemble, split, cfg, rng, measured(ensemble, split, cfg))
    return Told.beside(student, solution.told(cfg.tolerance)) if solution else student


def _claims(ensemble: Ensemble, split: Split, cfg: CertifiedNewton) -> tuple[Claim, ...]:
    return claims_at(ensemble, split, cfg, measured(ensemble, split, cfg))


def _held(cfg: CertifiedNewton) -> dict[str, str]:
    found = {"projected": "each step of training, and what is carried on, is projected"}
    return found | ({"exact Hessian": "the whole Hessian is inverted"} if cfg.solver == "exact" else {})


def _false(cfg: CertifiedNewton) -> dict[str, str]:
    """Of a theorem that has no gradient where training stopped; the one for LiSSA has it."""
    stopped = (
        "training stops after the epochs of the recipe, not at the minimum; take the solver lissa, whose G counts it"
    )
    return {"converged": stopped} if cfg.solver == "exact" else {}


GUARANTEE = Guarantee(
    theorem=THEOREMS["lissa"], train=projected_training, update=_update, claims=_claims, held=_held, false=_false
)

METHOD = Method(
    unlearn=certified_newton,
    config=CertifiedNewton,
    summary="certified: a Newton step by LiSSA on a ball, and the noise that its distance to retraining asks for",
    cite=("zhang2024", "agarwal2017"),
    needs=(RETAIN_DATA,),
    search={
        "radius": Between(1.0, 100.0, log=True),
        "damping": Between(0.1, 1000.0, log=True),
        "iterations": OneOf((12, 24, 48)),
        "batch_size": OneOf((4, 8, 16)),
    },
    published=(
        Published(
            "a re-run by the authors of rewind-to-delete, an MLP: radius 10 and lambda 200",
            {"radius": 10.0, "damping": 200.0},
        ),
        Published("the authors' code, its default radius", {"radius": 20.0}),
    ),
    deviations="Public code adds noise of 0.001, a flag, where epsilon 1 asks for 149; it regularises by the norms of "
    "the tensors, not squared, whose Hessian is 0 along the weights; its LiSSA stops unconverged by default and nobody "
    "asks; it does not project the weights after the step; and its sequential release has no noise at all. Here sigma "
    "follows from epsilon, delta and the constants, each with its standing. Where the Hessian has no positive least "
    "eigenvalue of its own the bound is never below the diameter of the ball, which is what is taken then.",
)

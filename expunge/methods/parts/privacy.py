"""What every certified method is told, epsilon and delta, and what each of its claims says beside its numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from expunge.certificates.theorems.theorem import Claim, Constant, claim_for
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.frozen import frozen_names
from expunge.methods.parts.ball import weight_norms
from expunge.methods.parts.walks import require


@dataclass(frozen=True, kw_only=True)
class Privacy:
    """The settings of every certified method; its noise is computed from them, and is no setting."""

    epsilon: float = 1.0
    delta: float = 1e-5

    def __post_init__(self) -> None:
        require(self.epsilon > 0, "epsilon must be above 0", self.epsilon)
        require(0 < self.delta < 1, "delta must lie in (0, 1)", self.delta)


def chosen(value: float, why: str) -> Constant:
    """A constant that is no property of the data, but what the method does: it holds by construction."""
    return Constant(float(value), "proven", why)


def assumed(value: float, why: str) -> Constant:
    """A constant that nobody has shown; a setting."""
    return Constant(float(value), "assumed", why)


def estimated(value: float, why: str) -> Constant:
    """A constant that was measured on the models or examples at hand."""
    return Constant(float(value), "estimated", why)


def parameters_of(ensemble: Ensemble) -> int:
    """How many weights of one model get noise: all that are not frozen."""
    return sum(each[0].numel() for each in ensemble.parameters())


def notes_of(ensemble: Ensemble) -> tuple[str, ...]:
    """What the claims of these models do not cover, in words."""
    frozen = frozen_names(ensemble.network)
    buffers = [name for name, each in ensemble.network.named_buffers() if name not in frozen]
    found = []
    if buffers:
        found.append(
            f"not covered: {len(buffers)} buffers, such as {buffers[0]}, stay as they came and get no noise; what "
            "training moved them by, the forget set too, is still in them"
        )
    if frozen:
        found.append(f"not covered: {len(frozen)} frozen tensors stay as they came and get no noise")
    return tuple(found)


def claims_alike(
    theorem: str,
    constants: Mapping[str, Constant],
    ensemble: Ensemble,
    cfg: Privacy,
    *,
    radius: float = math.inf,
    notes: tuple[str, ...] = (),
) -> tuple[Claim, ...]:
    """A claim for each model, of constants that all have in common; they differ in their norms, at most ``radius``."""
    claim = claim_for(
        theorem,
        constants,
        cfg.epsilon,
        cfg.delta,
        parameters=parameters_of(ensemble),
        norm=0.0,
        notes=(*notes, *notes_of(ensemble)),
    )
    return tuple(replace(claim, norm=min(norm, radius)) for norm in weight_norms(ensemble).cpu().tolist())

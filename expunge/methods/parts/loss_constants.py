"""The constants of a loss that theorems on gradient descent read: proven of a linear model, assumed of any other."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn

from expunge.certificates.theorems.theorem import Constant
from expunge.ensembles.ensemble import Ensemble
from expunge.errors import BadConstant, BadSetting
from expunge.methods.parts.linear_heads import STEEPEST, head_of, inputs_of
from expunge.methods.parts.privacy import Privacy, assumed, parameters_of
from expunge.methods.parts.walks import require
from expunge.suites.suite import Split
from expunge.suites.target import CLASSIFICATION

C = TypeVar("C", bound="Requested")
UNKNOWN = {"gradient_norm": 1.0, "smoothness": 1.0, "convexity": 0.01}  # what is assumed of a network, unless set


@dataclass(frozen=True, kw_only=True)
class Requested(Privacy):
    """How many examples a request removes; 0: as many as the forget set has."""

    removed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.removed >= 0, "removed must be at least 0", self.removed)


@dataclass(frozen=True, kw_only=True)
class Smooth(Requested):
    """Bounds on the loss; 0: what the inputs of a linear model show, and of another network 1, which nobody knows."""

    gradient_norm: float = 0.0
    smoothness: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.gradient_norm >= 0, "gradient_norm must be at least 0", self.gradient_norm)
        require(self.smoothness >= 0, "smoothness must be at least 0", self.smoothness)


@dataclass(frozen=True, kw_only=True)
class StronglyConvex(Smooth):
    """The same, and the strong convexity; 0: of a linear model its weight decay, of another network 0.01, assumed."""

    convexity: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.convexity >= 0, "convexity must be at least 0", self.convexity)


class Shown(NamedTuple):
    """What the inputs of a linear model show of its loss, on all examples and on those that are kept."""

    gradient_norm: float
    smoothness: float
    convexity: float
    hessian_lipschitz: float


def shown(ensemble: Ensemble, split: Split) -> Shown | None:
    """The constants of softmax regression with weight decay; None where the network is more than a linear layer.

    Of inputs ``z``, with a 1 where there is a bias: ``||p - q|| <= sqrt(2)``, so the gradient of an example's loss is
    at most ``sqrt(2) max ||z||``; no eigenvalue of softmax's Hessian exceeds 1/2, so that of the mean loss is at most
    ``||Z||_2^2 / (2 n)``, ``n`` of those that are kept, and the decay: of all examples, of those that are kept, and of
    any part with so many. It is at least the decay. And no third derivative of logsumexp along ``u`` exceeds
    ``sqrt(2) / (3 sqrt(3)) ||u||^3`` (see ``Regression.residual_bound``), so that the Hessian of the mean loss changes
    by at most ``sqrt(2) / (3 sqrt(3)) max ||z|| ||Z||_2^2 / n`` for each unit of weights, derived.
    """
    linears = [each for each in ensemble.modules() if isinstance(each, nn.Linear) and list(each.parameters())]
    known = sum(parameter[0].numel() for each in linears for parameter in each.parameters())
    if len(linears) != 1 or known != parameters_of(ensemble) or split.target != CLASSIFICATION:
        return None
    head = head_of(ensemble, split)
    inputs = torch.cat([inputs_of(ensemble, head, each) for each in (split.retain, split.forget)], dim=1)
    longest = float(inputs.norm(dim=2).max())
    widest = float(torch.linalg.eigvalsh(torch.bmm(inputs.mT, inputs))[:, -1].max())
    decay, records = split.recipe.weight_decay, len(split.retain)
    return Shown(
        gradient_norm=2**0.5 * longest,
        smoothness=widest / (2 * records) + decay,
        convexity=decay,
        hessian_lipschitz=STEEPEST * longest * widest / records,
    )


def settle_request(ensemble: Ensemble, split: Split, cfg: C) -> C:
    """The config with the number of examples that are removed."""
    return cfg if cfg.removed else replace(cfg, removed=len(split.forget))


def settle_constants(ensemble: Ensemble, split: Split, cfg: C) -> C:
    """The same, and what is shown, or assumed, of the loss in place of zeros."""
    cfg = settle_request(ensemble, split, cfg)
    missing = [name for name in UNKNOWN if getattr(cfg, name, 1.0) == 0]
    if not missing:
        return cfg
    found = shown(ensemble, split)
    values: dict[str, Any] = found._asdict() if found else UNKNOWN
    return replace(cfg, **{name: values[name] for name in missing})


def require_removed(cfg: Requested, split: Split | None = None) -> None:
    """Refuse a config that does not say how many examples are removed, or fewer than the request has."""
    if not cfg.removed:
        raise BadSetting("expected removed, how many examples a request removes, since its noise depends on it, got 0")
    if split is not None and len(split.forget) > cfg.removed:
        raise BadSetting(f"expected a request of at most removed = {cfg.removed} examples, got {len(split.forget)}")


def loss_constants(ensemble: Ensemble, split: Split, cfg: Smooth, names: dict[str, str]) -> dict[str, Constant]:
    """The settings in ``names`` as constants of a theorem, by its names: proven where the inputs show them.

    :class:`~expunge.errors.BadConstant` where the inputs of a linear model show that one is wrong.
    """
    found = shown(ensemble, split)
    return {theirs: _judged(ours, getattr(cfg, ours), found) for ours, theirs in names.items()}


def lipschitz_constants(ensemble: Ensemble, split: Split, *, gradient: float, hessian: float) -> dict[str, Constant]:
    """``L`` of the gradient and ``M`` of the Hessian: settings; where they are 0 what inputs show, else 1, assumed."""
    found = shown(ensemble, split)
    known = (found.smoothness, found.hessian_lipschitz) if found else (1.0, 1.0)
    return {
        "L": _judged("smoothness", gradient or known[0], found, "gradient_lipschitz"),
        "M": _judged("hessian_lipschitz", hessian or known[1], found),
    }


def _judged(name: str, value: float, found: Shown | None, told: str = "") -> Constant:
    """A constant that is called ``told`` where it is refused, else by its name."""
    if found is None:
        return assumed(value, "a setting; of this network nobody knows it")
    known = getattr(found, name)
    wrong = value > known * (1 + 1e-6) if name == "convexity" else value < known * (1 - 1e-6)
    if wrong:
        side = "at most" if name == "convexity" else "at least"
        raise BadConstant(
            f"{told or name}: expected {side} {known:.4g}, which the inputs and the recipe show, got {value:g}"
        )
    return Constant(value, "proven", f"softmax regression, whose inputs and decay show {known:.4g}")

"""Gradient-free class forgetting: no layer hears any more the directions that only the forget set speaks in."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.method import Method
from expunge.methods.needs import CLASS_OUTPUTS, FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.layers import layer, weighted, weights
from expunge.methods.parts.per_sample import in_order
from expunge.methods.parts.second_moments import as_many_as_fit, in_groups, second_moments
from expunge.methods.parts.walks import require
from expunge.methods.spaces import Between, Published
from expunge.suites.suite import Split

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True, kw_only=True)
class GradientFree:
    """In each linear layer and convolution ``W <- W P^T`` with ``P = I - M_f + M_f M_r``.

    ``M = U diag(alpha s / ((alpha - 1) s + 1)) U^T``: the columns of ``U`` are the left singular vectors of the
    layer's inputs, one input a column, and ``s`` the squares of the singular values, divided by their sum. ``M_f`` is
    of the forget set and ``alpha_forget``, ``M_r`` of ``retain_examples`` retained examples, drawn for each model, and
    ``alpha_retain``: a large alpha counts weak directions too. All inputs are those of theta_0 in evaluation mode, of a
    convolution what its kernel covers. Kodge, Saha and Roy 2024, TMLR.
    """

    alpha_retain: float = 100.0
    alpha_forget: float = 3.0
    retain_examples: int = 128

    def __post_init__(self) -> None:
        require(self.alpha_retain > 0, "alpha_retain must be above 0", self.alpha_retain)
        require(self.alpha_forget > 0, "alpha_forget must be above 0", self.alpha_forget)
        require(self.retain_examples >= 1, "retain_examples must be at least 1", self.retain_examples)


def gradient_free(ensemble: Ensemble, split: Split, cfg: GradientFree, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after the one projection."""
    student, rows = ensemble.copy().eval(), rng.permutation(len(split.retain))[:, : cfg.retain_examples]
    paths = [path for path in weighted(student) if isinstance(layer(student, path), LAYERS)]
    owners = by_weight(student, paths)
    for some in as_many_as_fit(student, list(owners)):
        models = ensemble.take(range(len(ensemble))[some])
        models.meter = ensemble.meter
        forget = second_moments(models, split.forget, in_order(models, split.forget), paths)
        retain = second_moments(models, split.retain, rows[some], paths)
        for owner, shared in owners.items():
            called = [path for path in shared if path in forget]  # as modules; the others have no inputs to speak of
            if called:
                importances = (
                    importance(torch.stack([found[path] for path in called]).sum(0), alpha)
                    for found, alpha in ((forget, cfg.alpha_forget), (retain, cfg.alpha_retain))
                )
                _project(student, owner, some, projection(*importances))
    yield student


def by_weight(student: Ensemble, paths: list[str]) -> dict[str, list[str]]:
    """Paths of layers by the first of them that has the same weights: tied ones are projected once, for all inputs."""
    first: dict[int, str] = {}
    result: dict[str, list[str]] = {}
    for path, weight in zip(paths, weights(student, paths).values(), strict=True):
        result.setdefault(first.setdefault(id(weight), path), []).append(path)
    return result


def importance(moments: Float[Tensor, "models groups d d"], alpha: float) -> Float[Tensor, "models groups d d"]:
    """``M``: the same function of the moments ``U diag(sigma^2) U^T``, over their trace, without their vectors."""
    trace = moments.diagonal(dim1=-2, dim2=-1).sum(-1).clamp(min=torch.finfo(moments.dtype).tiny)
    share = moments / trace[..., None, None]
    identity = torch.eye(share.shape[-1], dtype=share.dtype, device=share.device)
    found: Tensor = torch.linalg.solve((alpha - 1) * share + identity, alpha * share)
    return found


def projection(
    forget: Float[Tensor, "models groups d d"], retain: Float[Tensor, "models groups d d"]
) -> Float[Tensor, "models groups d d"]:
    """``I - M_f + M_f M_r``."""
    return torch.eye(forget.shape[-1], dtype=forget.dtype, device=forget.device) - forget + forget @ retain


@torch.no_grad()
def _project(student: Ensemble, path: str, some: slice, matrix: Float[Tensor, "models groups d d"]) -> None:
    (weight,) = weights(student, [path]).values()
    rows = in_groups(layer(student, path), weight[some])
    weight[some] = (rows.double() @ matrix.mT).to(weight.dtype).view_as(weight[some])


METHOD = Method(
    unlearn=gradient_free,
    config=GradientFree,
    summary="project every layer's weights away from inputs that the forget set has and the rest has not",
    cite=("kodge2024",),
    needs=(FORGET_DATA, RETAIN_DATA, CLASS_OUTPUTS),
    search={
        "alpha_retain": Between(1.0, 3000.0, log=True),
        "alpha_forget": Between(0.1, 3000.0, log=True),
        "retain_examples": Between(64, 1000, log=True, whole=True),
    },
    published=(
        Published(
            "the authors' code, a class of CIFAR-10",
            {"alpha_retain": 100.0, "alpha_forget": 3.0, "retain_examples": 900},
        ),
        Published(
            "the authors' code, a class of CIFAR-100",
            {"alpha_retain": 1000.0, "alpha_forget": 30.0, "retain_examples": 990},
        ),
        Published(
            "the authors' code, a class of ImageNet",
            {"alpha_retain": 100.0, "alpha_forget": 10.0, "retain_examples": 999},
        ),
    ),
    deviations="Made for whole classes. The public code takes 900 to 999 examples to forget and to keep, as many of "
    "each class, of a large input one window of three kernels' width, and at most 10,000 patches; here it is all of "
    "the forget set, retained examples at random, and every patch. Its alpha_retain and alpha_forget are 100 and 3 "
    "for CIFAR-10, 1000 and 30 for CIFAR-100, 100 and 10 for ImageNet, found among 10 to 1000 and 1 to 100 by "
    "retained accuracy times forgotten error. It finds singular vectors; here a linear system gives the same matrix. "
    "Equations are those of the code; the text of the paper was not read.",
)

"""Boundary expanding: what is to be forgotten moves to a class of its own, which is then dropped."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.errors import MethodFailed
from expunge.methods.method import Method
from expunge.methods.needs import CLASS_OUTPUTS, CLASSES, FORGET_DATA
from expunge.methods.parts.layers import weights
from expunge.methods.parts.walks import ForgetWalk, descend_from, on_forget, passes, training_loss
from expunge.methods.spaces import FORGET_RATES, Between, OneOf, Published
from expunge.suites.suite import Examples, Split


@dataclass(frozen=True, kw_only=True)
class BoundaryExpand(ForgetWalk):
    """Minimise ``CE(f'(x), C)`` on forget, where ``f'`` is ``f`` with one class more, C; then drop that class.

    The classifier, the last linear layer or convolution with as many outputs as classes, gets one output more, drawn as
    torch draws a new layer's: uniform in ``+-1 / sqrt(inputs)``. All in training mode. Without ``forget_statistics``
    forget batches leave BatchNorm's running statistics alone. Chen et al. 2023, arXiv:2303.11570.
    """

    epochs: int = 3
    lr: float = 1e-3
    momentum: float = 0.0


def boundary_expand(ensemble: Ensemble, split: Split, cfg: BoundaryExpand, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble, of the old classes again, after each pass over the forget set."""
    path = classifier(ensemble, split.classes)
    shadow = Examples(split.forget.x, torch.full_like(split.forget.y, split.classes))
    student = ensemble.copy()
    widen(student, path, rng)

    epochs = passes(on_forget(training_loss(split), cfg), shadow, cfg, rng)
    for wide in descend_from(student, cfg, epochs):
        yield narrow(wide, ensemble, path)


def classifier(ensemble: Ensemble, classes: int) -> str:
    """The path of the last linear layer or convolution with as many outputs as there are classes."""
    found: list[str] = [
        path
        for path, layer in ensemble.network.named_modules()
        if (isinstance(layer, nn.Linear) and layer.out_features == classes)
        or (isinstance(layer, nn.Conv2d) and layer.out_channels == classes and layer.groups == 1)
    ]
    if not found:
        raise MethodFailed(f"expected a linear layer or convolution with {classes} outputs, one a class, found none")
    return found[-1]


@torch.no_grad()
def widen(student: Ensemble, path: str, rng: Generators) -> None:
    """Give the layer at ``path`` one output more, which no mask of sparse models covers."""
    layer, masks = student.network.get_submodule(path), dict(student.masks)
    (weight,) = weights(student, [path]).values()
    bound = weight[0, 0].numel() ** -0.5
    for name, old in list(layer.named_parameters(recurse=False)):
        drawn = bound * (2 * rng.uniform(1, *old.shape[2:], dtype=old.dtype) - 1)
        setattr(layer, name, nn.Parameter(torch.cat([old, drawn], dim=1), old.requires_grad))
        key = f"{path}.{name}".lstrip(".")
        if key in masks:
            masks[key] = torch.cat([masks[key], torch.ones_like(drawn, dtype=torch.bool)], dim=1)
    student.obey(masks)
    _count_outputs(layer, weight.shape[1] + 1)


def narrow(wide: Ensemble, like: Ensemble, path: str) -> Ensemble:
    """``wide`` without the last output of the layer at ``path``: an ensemble of the shapes of ``like``."""
    parameters = {f"{path}.{name}".lstrip(".") for name, _ in wide.network.get_submodule(path).named_parameters()}
    state = {key: tensor[:, :-1] if key in parameters else tensor for key, tensor in wide.state().items()}
    result = Ensemble.from_state(like.network, state, like.origin, like.sample_shape)
    result.meter = wide.meter
    return result.eval()


def _count_outputs(layer: nn.Module, outputs: int) -> None:
    if isinstance(layer, nn.Linear):
        layer.out_features = outputs
    elif isinstance(layer, nn.Conv2d):
        layer.out_channels = outputs


METHOD = Method(
    unlearn=boundary_expand,
    config=BoundaryExpand,
    summary="train the forget set on an extra class, then drop that class",
    cite=("chen2023",),
    needs=(FORGET_DATA, CLASS_OUTPUTS, CLASSES),
    search={
        "lr": FORGET_RATES,
        "epochs": Between(1, 20, whole=True),
        "momentum": OneOf((0.0, 0.9)),
        "forget_statistics": OneOf((True, False)),
    },
    published=(
        Published("the authors' code, a class of CIFAR-10", {"lr": 1e-5, "epochs": 10, "momentum": 0.9}),
        Published("the code of Scissorhands, 10 % of CIFAR-10 at random", {"lr": 1e-6, "epochs": 10, "momentum": 0.9}),
        Published("the code of DELETE, a class of CIFAR-10", {"lr": 1e-4, "epochs": 20, "momentum": 0.9}),
    ),
    deviations="Public code takes 10 epochs at rate 1e-5 with momentum 0.9.",
)

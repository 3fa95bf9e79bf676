"""ESC, erasing space concept: the classifier no longer sees the directions in which the forget set's features lie."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.errors import MethodFailed
from expunge.methods.method import Method
from expunge.methods.needs import CLASS_OUTPUTS, CLASSES, FORGET_DATA
from expunge.methods.parts.layers import layer, weights
from expunge.methods.parts.per_sample import in_order
from expunge.methods.parts.second_moments import in_groups, second_moments
from expunge.methods.parts.walks import require
from expunge.methods.spaces import Between, Published
from expunge.methods.zoo.boundary_expand import classifier
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class Esc:
    """``z <- (I - U_p U_p^T) z`` for all features ``z``, ``U_p`` the first left singular vectors of the forget set's.

    The features are the inputs of the classifier, the last linear layer or convolution with one output a class; the
    singular vectors those of theta_0's on the forget set, one example a column, in evaluation mode; they are not
    centred. ``pruned`` is the share of all directions that goes, rounded down, but at least one, and none in which the
    forget set has nothing. A projection of features is one of the classifier's weights: ``W <- W (I - U_p U_p^T)``.
    Lee et al. 2025, arXiv:2504.02199.
    """

    pruned: float = 0.015

    def __post_init__(self) -> None:
        require(0 < self.pruned < 1, "pruned must lie in (0, 1)", self.pruned)


def esc(ensemble: Ensemble, split: Split, cfg: Esc, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after the one projection."""
    student = ensemble.copy().eval()
    path, directions = feature_directions(student, split)
    erased = directions[..., : max(1, int(cfg.pruned * directions.shape[-1]))]
    (weight,) = weights(student, [path]).values()
    with torch.no_grad():
        rows = in_groups(layer(student, path), weight)[:, 0].double()
        weight.copy_((rows - rows @ erased @ erased.mT).view_as(weight))
    yield student


def feature_directions(ensemble: Ensemble, split: Split) -> tuple[str, Float[Tensor, "models d d"]]:
    """The path of the classifier, and the left singular vectors of its inputs on the forget set, the strongest first.

    A direction in which there is nothing is a vector of zeros.
    """
    path = classifier(ensemble, split.classes)
    weights(ensemble, [path])  # before any work: a classifier without weights of its own is refused
    moments = second_moments(ensemble, split.forget, in_order(ensemble, split.forget), [path])
    if path not in moments:
        raise MethodFailed(f"expected the layer {path!r} to be the classifier, but it does not run")
    squares, vectors = (each.flip(-1) for each in torch.linalg.eigh(moments[path][:, 0]))
    noise = squares[:, :1] * squares.shape[1] * torch.finfo(ensemble.state()[f"{path}.weight".lstrip(".")].dtype).eps
    return path, vectors * (squares > noise)[:, None]


METHOD = Method(
    unlearn=esc,
    config=Esc,
    summary="take the strongest directions of the forget set's features from the classifier",
    cite=("lee2025",),
    needs=(FORGET_DATA, CLASS_OUTPUTS, CLASSES),
    search={
        "pruned": Between(0.005, 0.5, log=True),
    },
    published=(Published("the authors' code, its default, a class of CIFAR-10", {"pruned": 0.015}),),
    deviations="The public code erases 1.5 % of the directions by default, which is one of 96 and 11 of 768, and none "
    "where that is less than one. It takes features as the network comes, in training mode, and where there are fewer "
    "forget examples than features it keeps nothing outside of what these span, which here stays. What it projects at "
    "every inference is here in the classifier's weights: the outputs are the same. ESC-T, which trains a mask on the "
    "singular vectors, is the row esc-t. Equations are those of the code; the text of the paper was not read.",
)

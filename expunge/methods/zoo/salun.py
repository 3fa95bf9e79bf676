"""SalUn, saliency unlearning: random labels, but only the weights move that the loss of the forget set moves most."""

from collections.abc import Iterator
from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.method import Method
from expunge.methods.needs import CLASSES, FORGET_DATA, RETAIN_DATA
from expunge.methods.parts.curvature import gradient_sum
from expunge.methods.parts.masks import cut_weights, scale_gradients, smallest
from expunge.methods.parts.per_sample import in_parts
from expunge.methods.parts.walks import Walk, descend_from, recipe_loss, require
from expunge.methods.spaces import Between, OneOf, Published
from expunge.methods.zoo.successive_random_labels import relabelled_then_retained
from expunge.suites.suite import Split


@dataclass(frozen=True, kw_only=True)
class SalUn(Walk):
    """In every epoch minimise ``CE(f(x_forget), wrong label)``, then ``CE(retain)``, with gradients times a mask.

    The mask is 1 at the share ``salient`` of each model's weights, of all layers together, where ``|grad CE(forget)|``
    of the whole forget set, in evaluation mode at the start, is largest. The other weights stay as they are, to the
    last bit; running statistics of BatchNorm are no weights, and follow. Fan et al. 2024, arXiv:2310.12508.
    """

    epochs: int = 1
    lr: float = 3e-4
    salient: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.salient <= 1, "salient must lie in (0, 1]", self.salient)


def salun(ensemble: Ensemble, split: Split, cfg: SalUn, rng: Generators) -> Iterator[Ensemble]:
    """Yield the ensemble after each epoch of two passes."""
    student = ensemble.copy()
    scale_gradients(student, salient_weights(student, split, cfg.salient, cfg.batch_size))
    yield from descend_from(student, cfg, (relabelled_then_retained(split, cfg, rng) for _ in range(cfg.epochs)))


def salient_weights(
    ensemble: Ensemble, split: Split, share: float, batch_size: int
) -> dict[str, Bool[Tensor, "models ..."]]:
    """Where the gradient of the forget loss is among the largest ``share`` of its model, by the keys of ``state()``.

    In a sparse model it is a share of the weights that are there.
    """
    found = gradient_sum(ensemble.eval(), split.forget, recipe_loss(split), batch_size=batch_size).abs()
    kept = round(share * (found.shape[1] - cut_weights(ensemble)))
    parts = in_parts(ensemble, ~smallest(found, found.shape[1] - kept))
    return dict(zip(dict(ensemble.network.named_parameters()), parts, strict=True))


METHOD = Method(
    unlearn=salun,
    config=SalUn,
    summary="random labels move only the weights that matter most to the forget loss",
    cite=("fan2024",),
    needs=(FORGET_DATA, RETAIN_DATA, CLASSES),
    search={
        "lr": Between(3e-5, 0.5, log=True),
        "salient": Between(0.1, 0.9),
        "epochs": Between(1, 16, whole=True),
        "momentum": OneOf((0.0, 0.9)),
    },
    published=(
        Published(
            "the authors' code, 10 % of CIFAR-10 at random",
            {"lr": 0.013, "epochs": 10, "salient": 0.5, "momentum": 0.9},
        ),
        Published(
            "the code of Scissorhands, 10 % of CIFAR-10 at random",
            {"lr": 0.005, "epochs": 10, "salient": 0.5, "momentum": 0.9},
        ),
        Published(
            "the code of Scissorhands, a class of SVHN", {"lr": 0.05, "epochs": 10, "salient": 0.5, "momentum": 0.9}
        ),
    ),
    deviations="In early versions of the public code weight decay and momentum move masked weights, which later ones "
    "put back; here nothing decays, and a momentum fed with zeros is zero. There a random label may be the true one, "
    "and for CIFAR-100 and Tiny ImageNet, in early versions for CIFAR-10 too, both passes are mixed in one. The "
    "authors take 10 epochs; the default is one.",
)

"""Datamodel matching: fine-tune to the margins that datamodels predict for a model retrained without the forget set."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.methods.method import Method, Preparation
from expunge.methods.needs import CLASSES, FORGET_DATA, HALVES, RETAIN_DATA
from expunge.methods.parts.datamodel_effects import Datamodels, effects_on_split
from expunge.methods.parts.examples import joined
from expunge.methods.parts.matching import MATCH_SEARCH, Match, chosen, match
from expunge.methods.parts.subsets import require_subsets
from expunge.methods.spaces import Between, OneOf, Published
from expunge.suites.suite import Examples, Split
from expunge.suites.target import Target


@dataclass(frozen=True, kw_only=True)
class DatamodelMatching(Match, Datamodels):
    """Minimise ``mean_x (m(x) - m0(x) + multiplier * sum_{i in forget} beta_i(x))^2`` over forget and a part of retain.

    ``m`` is the student's margin, ``m0`` that of the model as it came, in evaluation mode, and ``beta_i(x)`` what
    training example i adds to the margin of x, by the datamodels of models trained on random halves.
    Georgiev et al. 2024, arXiv:2410.23232.
    """

    epochs: int = 4
    lr: float = 2e-3
    batch_size: int = 16
    retain_multiplier: int = 3

    def __post_init__(self) -> None:
        Match.__post_init__(self)
        Datamodels.__post_init__(self)


def datamodel_matching(ensemble: Ensemble, split: Split, cfg: DatamodelMatching, rng: Generators) -> Iterator[Ensemble]:
    """Yield the student after each epoch; ``split.extra`` has the datamodels' effects as ``ByExample``."""
    rows = chosen(split, cfg, rng)
    before = margins_at(ensemble, joined([split.forget, split.retain]), rows, cfg.batch_size, split.target)
    target = before - cfg.multiplier * split.extra.joined(ensemble).gather(1, rows)
    yield from match(ensemble, split, cfg, rng, rows, target=target)


@torch.no_grad()
def margins_at(
    ensemble: Ensemble, examples: Examples, rows: Int[Tensor, "models chosen"], batch_size: int, target: Target
) -> Float[Tensor, "models chosen"]:
    """Margins of each model at its own rows of ``examples``, in evaluation mode."""
    model = ensemble.copy().eval()
    parts = rows.split(batch_size, dim=1)
    return torch.cat([target.margins(model(examples.x[part]), examples.y[part]) for part in parts], dim=1)


METHOD = Method(
    unlearn=datamodel_matching,
    config=DatamodelMatching,
    summary="fine-tune to the margins that datamodels predict for a retrained model",
    cite=("georgiev2024", "ilyas2022"),
    needs=(FORGET_DATA, RETAIN_DATA, HALVES, CLASSES),
    search={
        **{key: space for key, space in MATCH_SEARCH.items() if key != "forget_multiplier"},
        "lr": Between(3e-5, 1e-2, log=True),
        "batch_size": OneOf((16, 32, 64, 256, 512)),
    },
    published=(
        Published(
            "the authors' code, random and influential examples of CIFAR-10",
            {
                "lr": 1e-4,
                "epochs": 4,
                "batch_size": 512,
                "retain_multiplier": 20,
                "forget_multiplier": 5,
                "multiplier": 1.0,
            },
        ),
        Published(
            "the authors' code, over time",
            {
                "lr": 1e-4,
                "epochs": 10,
                "batch_size": 512,
                "retain_multiplier": 20,
                "forget_multiplier": 5,
                "multiplier": 1.0,
            },
        ),
    ),
    prepare=Preparation(effects_on_split, require_subsets),
    deviations="The authors fit datamodels of each logit by the lasso, and match all logits; here those of the margin "
    "are estimated and matched, the other logits are free, and the lasso is replaced by differences of means with a "
    "soft threshold. On CIFAR-10 they take rate 1e-4, batches of 512 and multipliers 5 and 20. Their part of the "
    "retained examples is drawn once for all models, here for each. The models trained on halves serve all requests "
    "and are not in the cost; halves make an example matter more than the whole.",
)

"""DM-direct: the margins that datamodels predict for a retrained model. Predictions: it makes no model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from numpy import ndarray

from expunge.methods.method import Method, Preparation
from expunge.methods.needs import HALVES
from expunge.methods.parts.datamodel_effects import Datamodels, effects
from expunge.methods.parts.subsets import require_subsets
from expunge.methods.spaces import OneOf, Published
from expunge.suites.suite import ForgetSet, Suite


@dataclass(frozen=True, kw_only=True)
class DatamodelDirect(Datamodels):
    """``m0(x) - multiplier * sum_{i in forget} beta_i(x)``: the margin of the model as it came, less what forget added.

    ``beta_i(x)`` is what training example i adds to the margin of x, by the datamodels of models trained on random
    halves. Known only for the examples of the suite. Georgiev et al. 2024, arXiv:2410.23232.
    """


def datamodel_direct(
    pretrained: Float[ndarray, "models examples"], effect: Float[ndarray, " examples"], cfg: DatamodelDirect
) -> Float[ndarray, "models examples"]:
    """The margins predicted for each model."""
    return pretrained - cfg.multiplier * effect


def effects_on_all(suite: Suite, forget: ForgetSet, models: Sequence[int], cfg: Any) -> Float[ndarray, " examples"]:
    """The same for all models."""
    return effects(suite, forget, cfg)


METHOD = Method(
    unlearn=None,
    predict=datamodel_direct,
    config=DatamodelDirect,
    summary="the margins that datamodels predict for a retrained model; predictions, not models",
    cite=("georgiev2024", "ilyas2022"),
    needs=(HALVES,),
    search={
        "estimator": OneOf(("soft-threshold", "ridge", "difference")),
        "multiplier": OneOf((0.5, 0.75, 1.0, 1.5)),
    },
    published=(Published("the authors' code", {"multiplier": 1.0}),),
    prepare=Preparation(effects_on_all, require_subsets),
    deviations="The authors predict each logit with datamodels fitted by the lasso; here the margin is predicted, and "
    "the lasso is replaced by differences of means with a soft threshold. Without logits no accuracy is known. The "
    "models trained on halves serve all requests and are not in the cost.",
)

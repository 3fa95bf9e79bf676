"""What methods ask of datamodels: the sum of the weights of a forget set, out of the suite's models on halves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from expunge.ensembles.datamodels import ESTIMATORS
from expunge.ensembles.stored_margins import read_subsets
from expunge.methods.parts.matching import ByExample
from expunge.methods.parts.walks import require
from expunge.suites.suite import ForgetSet, Suite


@dataclass(frozen=True, kw_only=True)
class Datamodels:
    """Which datamodels: how they are estimated, and what their effects are multiplied with."""

    estimator: str = "soft-threshold"
    multiplier: float = 1.0

    def __post_init__(self) -> None:
        names = ", ".join(ESTIMATORS)
        require(self.estimator in ESTIMATORS, f"estimator must be one of {names}", self.estimator)
        require(self.multiplier > 0, "multiplier must be above 0", self.multiplier)


def effects(suite: Suite, forget: ForgetSet, cfg: Any) -> Float[ndarray, " examples"]:
    """``sum_{i in forget} beta_i(x)`` of all examples, train then test."""
    margins, masks = read_subsets(suite)
    found: ndarray = ESTIMATORS[cfg.estimator](margins, masks, forget.indices)
    return found.astype(np.float32)


def effects_on_split(suite: Suite, forget: ForgetSet, models: Sequence[int], cfg: Any) -> ByExample:
    """:func:`effects` on what is forgotten and what is kept, the same for all models."""
    found, columns = torch.from_numpy(effects(suite, forget, cfg))[None], suite.columns(forget)
    return ByExample(found[:, columns["forget"]], found[:, columns["retain"]])

"""How models are trained that a theorem starts from: on some of the training examples, by the suite's recipe."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray
from torch import Tensor

from expunge.ensembles.device import resident_split
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.frozen import hold
from expunge.ensembles.plan import Plan, new_networks
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import Log, train
from expunge.methods.parts.ball import project
from expunge.methods.parts.reset import new_seeds
from expunge.suites.suite import Split, Suite


class Projection:
    """After each step of a training its models are put back on the ball."""

    def __init__(self, ensemble: Ensemble, radius: float) -> None:
        self._ensemble, self._radius = ensemble, radius

    def before(self, rows: Int[Tensor, "models batch"]) -> None:
        """Nothing is to be known of a step before it."""

    def after(self) -> None:
        """Project what the step has made."""
        project(self._ensemble, self._radius)


def first_models(suite: Suite, models: Sequence[int], rng: Generators) -> Ensemble:
    """Models of these numbers with first weights of their own, each drawn from its stream, where ``rng`` draws.

    Frozen parts are held, so that no projection meets them; whoever trains them lets them go.
    """
    shape = suite.data.train.x.shape[1:]
    networks = new_networks(suite.network, new_seeds(rng))
    ensemble = Ensemble.stack(networks, Plan(suite, "pretrained").origin(models), shape).to(rng.device)
    hold(ensemble.network)
    return ensemble


def kept_alone(suite: Suite, rows: Int[ndarray, " rows"] | range, device: torch.device | str = "cpu") -> Split:
    """The split of the training examples at ``rows``, with nothing to forget: what models have that saw no others."""
    data = suite.data
    kept, nothing = (data.train.take(each) for each in (np.asarray(rows), np.array([], dtype=np.int64)))
    split = Split(kept, nothing, data.classes, suite.recipe, suite.network, suite.target)
    return resident_split(split, torch.device(device))


def ordinary_training(
    suite: Suite, rows: Int[ndarray, " rows"], models: Sequence[int], cfg: Any, rng: Generators
) -> Ensemble:
    """By the recipe of the suite, dense, on the training examples at ``rows``."""
    return _by_recipe(suite, rows, first_models(suite, models, rng), rng)


def projected_training(
    suite: Suite, rows: Int[ndarray, " rows"], models: Sequence[int], cfg: Any, rng: Generators
) -> Ensemble:
    """:func:`ordinary_training`, projected on the ball of ``cfg.radius`` before the first step and after each."""
    ensemble = project(first_models(suite, models, rng), cfg.radius)
    return _by_recipe(suite, rows, ensemble, rng, log=Projection(ensemble, cfg.radius))


def _by_recipe(
    suite: Suite, rows: Int[ndarray, " rows"], ensemble: Ensemble, rng: Generators, *, log: Log | None = None
) -> Ensemble:
    recipe = replace(suite.recipe, prune="", rewind=None)
    seen = torch.as_tensor(rows).expand(len(ensemble), -1)
    return train(ensemble, suite.data.train, seen, recipe, rng, log=log, target=suite.target)

"""Models that are trained as a whole: on all examples, on all but a forget set, or each on a random half."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from expunge.ensembles.device import chosen_device
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.plan import Plan, new_networks
from expunge.ensembles.prune import train_sparse
from expunge.ensembles.seeds import Generators, seed_of
from expunge.ensembles.train import train


def train_whole(
    plan: Plan, models: Sequence[int], device: torch.device
) -> tuple[Ensemble, dict[str, ndarray], dict[str, Tensor]]:
    """Train the models of these numbers together, on all examples but those of the plan's forget set."""
    suite = plan.suite
    kept = np.arange(suite.data.sizes[0]) if plan.forget is None else suite.retain(plan.forget)
    ensemble = _trained(plan, models, device, torch.as_tensor(kept).expand(len(models), -1))
    return ensemble, {}, ensemble.state()


def train_halves(
    plan: Plan, models: Sequence[int], device: torch.device
) -> tuple[Ensemble, dict[str, ndarray], dict[str, Tensor]]:
    """Train the models of these numbers together, each on a random half, and keep which: packed bits ``masks``.

    Halves are drawn on the CPU, like first weights, so they are the same on every device; orders where the models are.
    """
    n = plan.suite.data.sizes[0]
    rows = Generators([seed_of(*_names(plan), model, "subset") for model in models]).permutation(n)[:, : n // 2]
    masks = torch.zeros(len(models), n, dtype=torch.bool).scatter(1, rows, True).numpy()
    ensemble = _trained(plan, models, device, rows)
    return ensemble, {"masks": np.packbits(masks, axis=1)}, ensemble.state()


def first_weights(plan: Plan, models: Sequence[int], device: torch.device | None = None) -> Ensemble:
    """The models of these numbers before any training, on the chosen device."""
    networks = new_networks(plan.suite.network, [seed_of(*_names(plan), model, "weights") for model in models])
    shape = plan.suite.data.train.x.shape[1:]
    return Ensemble.stack(networks, plan.origin(models), shape).to(device or chosen_device())


def _trained(plan: Plan, models: Sequence[int], device: torch.device, rows: Tensor) -> Ensemble:
    suite, ensemble = plan.suite, first_weights(plan, models, device)
    order = Generators([seed_of(*_names(plan), model, "order") for model in models], ensemble.device)
    training = train_sparse if suite.recipe.prune else train
    return training(ensemble, suite.data.train, rows, suite.recipe, order, target=suite.target)


def _names(plan: Plan) -> tuple[str, ...]:
    return plan.suite.digest, plan.kind, plan.forget.digest if plan.forget else ""

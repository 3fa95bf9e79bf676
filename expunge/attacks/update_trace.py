"""The whole log of a training: every update and whom it is of; and which records it is worst to take back."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from expunge.attacks.bilevel import Objective
from expunge.ensembles.device import chosen_device
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.plan import Plan, new_networks
from expunge.ensembles.seeds import Generators, seed_of
from expunge.ensembles.train import minibatch_count, train
from expunge.errors import BadSetting
from expunge.methods.parts.per_sample import flat_weights
from expunge.suites.suite import Suite

ROOM = 2**29  # numbers of all updates of one model that are held: 2 GiB


@dataclass(eq=False)
class Trace:
    """Of every step the examples of its batch, and by how much it moved the weights, for each model."""

    ensemble: Ensemble
    batches: list[Int[Tensor, "models batch"]] = field(default_factory=list)
    updates: list[Float[Tensor, "models d"]] = field(default_factory=list)
    _before: Tensor | None = None

    def before(self, rows: Int[Tensor, "models batch"]) -> None:
        """Take note of the weights before a step on the examples at ``rows``."""
        self.batches.append(rows.cpu())
        self._before = flat_weights(self.ensemble)

    def after(self) -> None:
        """Note what the step has changed."""
        assert self._before is not None  # every step is told before it is made
        self.updates.append(flat_weights(self.ensemble) - self._before)

    def meets(self, owned: Int[ndarray, "models owned"]) -> Bool[ndarray, "models owned steps"]:
        """Whether the batch of each step holds each record."""
        wanted = torch.from_numpy(owned)
        found = [(wanted[:, :, None] == rows[:, None, :]).any(2) for rows in self.batches]
        met: ndarray = torch.stack(found, dim=2).numpy()
        return met


def require_room(suite: Suite) -> None:
    """Refuse a suite whose log is too large to be held."""
    with torch.random.fork_rng(devices=[]):
        size = sum(each.numel() for each in suite.network().parameters())
    steps = suite.recipe.epochs * minibatch_count(suite.data.sizes[0], suite.recipe.batch_size)
    if steps * size > ROOM:
        raise BadSetting(
            f"suite {suite.name!r}: the log of a training has {steps:,} updates of {size:,} weights, more than fits; "
            "plan without it, --set operator=first-order"
        )


def traced(suite: Suite, models: range) -> tuple[Ensemble, Trace]:
    """The pretrained models of these numbers, trained once more, with their whole log."""
    names, n = (suite.digest, "pretrained", ""), suite.data.sizes[0]
    networks = new_networks(suite.network, [seed_of(*names, model, "weights") for model in models])
    origin = Plan(suite, "pretrained").origin(models)
    ensemble = Ensemble.stack(networks, origin, suite.data.train.x.shape[1:]).to(chosen_device())
    trace = Trace(ensemble)
    order = Generators([seed_of(*names, model, "order") for model in models], ensemble.device)
    rows = torch.arange(n).expand(len(models), -1)
    return train(ensemble, suite.data.train, rows, suite.recipe, order, log=trace, target=suite.target), trace


def least_by_log(
    trace: Trace,
    models: Ensemble,
    objective: Objective,
    owned: Int[ndarray, "planners owned"],
    count: int,
    *,
    each: int,
    refreshes: int = 4,
) -> Int[ndarray, "victims count"]:
    """Greedy search: which records lower the attacker's loss most when all updates that they met are taken back.

    A record adds the updates that it met and no record before it did. What those do is told to first order around
    ``theta - sum of what is taken back so far``, refreshed after every quarter of the records: the removal itself is
    piecewise constant in the choice, so there is no gradient to follow. Planners of one victim vote by their mean.
    """
    met = trace.meets(owned)  # (planners, owned, steps)
    start, updates = flat_weights(models), torch.stack(trace.updates, dim=1)  # (planners, steps, d)
    victims = len(owned) // each
    taken = np.zeros((victims, owned.shape[1]), bool)
    for turn in range(min(refreshes, count)):
        back = (met & taken.repeat(each, axis=0)[:, :, None]).any(1)  # (planners, steps)
        point = (start - torch.einsum("ps,psd->pd", torch.from_numpy(back).to(updates), updates)).requires_grad_()
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(objective(point).sum(), point)
        gains = -torch.einsum("psd,pd->ps", updates, slope).double().cpu().numpy()
        until = math.ceil(count * (turn + 1) / min(refreshes, count))
        for _ in range(until - int(taken[0].sum())):
            back = (met & taken.repeat(each, axis=0)[:, :, None]).any(1)
            scores = (np.where(back, 0.0, gains)[:, None, :] * met).sum(2).reshape(victims, each, -1).mean(1)
            scores[taken] = np.inf
            np.put_along_axis(taken, scores.argmin(1)[:, None], True, axis=1)
    return np.stack([np.flatnonzero(row) for row in taken])

"""Sharded ensembles: each model is a vote of constituents, trained on shards of the examples, slice after slice.

Bourtoule et al. 2021, arXiv:1912.03817. What is kept of a model: in which slice of which shard each example is, and
the weights of every constituent at its start and after each slice, so that training can go on from there.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray
from torch import Tensor, nn

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.origin import Origin
from expunge.ensembles.plan import Plan, new_networks
from expunge.ensembles.seeds import Generators, seed_of
from expunge.ensembles.train import train
from expunge.suites.networks import Vote
from expunge.suites.recipe import Recipe

State = Mapping[str, Tensor]


def stage_recipe(recipe: Recipe, slices: int) -> Recipe:
    """The recipe of one stage, in which a constituent sees one more of its ``slices``.

    Of so many epochs that all stages together see about as many examples as one training does.
    """
    return replace(recipe, epochs=max(1, round(2 * recipe.epochs / (slices + 1))))


def checkpoint(state: State, shard: int, stage: int) -> dict[str, Tensor]:
    """The weights of the constituent of ``shard`` after ``stage`` slices; at stage 0 the first ones."""
    prefix = f"{shard}.{stage}."
    return {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}


def vote(constituents: Sequence[Ensemble], origin: Origin) -> Ensemble:
    """One ensemble, each model of which is the vote of its constituents."""
    first = constituents[0]
    network = Vote([deepcopy(each.network) for each in constituents])
    state = {f"members.{n}.{key}": value for n, each in enumerate(constituents) for key, value in each.state().items()}
    return Ensemble.from_state(network, state, origin, first.sample_shape).eval()


def constituent_of(ensemble: Ensemble) -> nn.Module:
    """The network of one constituent: of votes that of a member, of other models their own."""
    network = ensemble.network
    if ensemble.origin.kind != "sharded":
        return network
    assert isinstance(network, Vote)  # as :func:`vote` makes them
    return network.members[0]


def places(plan: Plan, models: Sequence[int]) -> Int[Tensor, "models train"]:
    """Where each example is: ``shard * slices + slice``; dealt at random, all slices of nearly the same size."""
    shards, slices = plan.setting("shards"), plan.setting("slices")
    n = plan.suite.data.sizes[0]
    order = Generators([seed_of(*_names(plan), model, "places") for model in models]).permutation(n)
    sizes = [len(part) for shard in np.array_split(np.arange(n), shards) for part in np.array_split(shard, slices)]
    dealt = torch.repeat_interleave(torch.arange(shards * slices), torch.tensor(sizes))
    return torch.zeros_like(order).scatter(1, order, dealt.expand(len(models), -1))


def train_shards(
    plan: Plan, models: Sequence[int], device: torch.device
) -> tuple[Ensemble, dict[str, ndarray], dict[str, Tensor]]:
    """Train all constituents of these models: the votes, :func:`places`, and every :func:`checkpoint`."""
    suite, slices = plan.suite, plan.setting("slices")
    where, recipe = places(plan, models), stage_recipe(suite.recipe, slices)
    state: dict[str, Tensor] = {}
    constituents = []
    for shard in range(plan.setting("shards")):
        networks = new_networks(suite.network, [seed_of(*_names(plan), model, shard, "weights") for model in models])
        one = Ensemble.stack(networks, plan.origin(models), suite.data.train.x.shape[1:]).to(device)
        for stage in range(slices + 1):
            if stage:
                rows = torch.stack([seen(each, shard, stage, slices) for each in where])
                seeds = [seed_of(*_names(plan), model, shard, stage, "order") for model in models]
                one = train(one, suite.data.train, rows, recipe, Generators(seeds, device), target=suite.target)
            state |= {f"{shard}.{stage}.{key}": value.cpu().clone() for key, value in one.state().items()}
        constituents.append(one)
    return vote(constituents, plan.origin(models)), {"places": where.numpy().astype(np.int16)}, state


def seen(where: Int[Tensor, " examples"], shard: int, stage: int, slices: int) -> Int[Tensor, " seen"]:
    """Indices of the examples in the first ``stage`` slices of ``shard``."""
    return ((where >= shard * slices) & (where < shard * slices + stage)).nonzero().flatten()


def _names(plan: Plan) -> tuple[str | int, ...]:
    return (plan.suite.digest, plan.kind, plan.setting("shards"), plan.setting("slices"))

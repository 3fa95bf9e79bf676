"""SISA: models are votes of constituents, each trained on a shard; those that saw forget data are trained anew."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor, nn

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.plan import Plan
from expunge.ensembles.pretraining import read_array, read_weights
from expunge.ensembles.seeds import Generators
from expunge.ensembles.shards import checkpoint, constituent_of, seen, stage_recipe, vote
from expunge.ensembles.stored_margins import require_built
from expunge.ensembles.train import train
from expunge.errors import BadSetting
from expunge.methods.method import Method, Preparation
from expunge.methods.needs import CLASSES, RETAIN_DATA, SHARDS
from expunge.methods.parts.walks import require
from expunge.methods.spaces import OneOf, Published
from expunge.suites.suite import ForgetSet, Split, Suite


@dataclass(frozen=True, kw_only=True)
class Sisa:
    """Train anew, without forget, each constituent whose shard holds some of it, from its last clean slice on.

    A model is ``log mean_s softmax f_s(x)`` over ``shards`` constituents ``f_s``, each trained on its own part of the
    examples in ``slices`` stages: at stage r on its first r slices. If forget first comes in slice r, training goes on
    from the weights after stage r - 1. It starts from models of its own, made by ``expunge build SUITE --for sisa``,
    and not from the pretrained ones. Bourtoule et al. 2021, arXiv:1912.03817.
    """

    shards: int = 3
    slices: int = 2

    def __post_init__(self) -> None:
        require(self.shards >= 1, "shards must be at least 1", self.shards)
        require(self.slices >= 1, "slices must be at least 1", self.slices)


@dataclass(frozen=True, eq=False)
class Sharded:
    """The checkpoints of sharded models, and where what is forgotten and what is kept lies in them."""

    state: Mapping[str, Tensor]
    forget: Int[Tensor, "models forget"]
    retain: Int[Tensor, "models retain"]


def sisa(ensemble: Ensemble, split: Split, cfg: Sisa, rng: Generators) -> Iterator[Ensemble]:
    """Yield the votes, once; ``split.extra`` has what is kept of their training as :class:`Sharded`.

    ``ensemble`` gives the network and the meter, and may be such votes itself, as a provider deploys them.
    """
    rows, network = range(len(ensemble)), constituent_of(ensemble)
    constituents = []
    for shard in range(cfg.shards):
        each = [_constituent(ensemble, network, split, cfg, rng.one(row), shard=shard, row=row) for row in rows]
        states = [one.state() for one in each]
        state = {key: torch.cat([one[key] for one in states]) for key in states[0]}
        constituents.append(Ensemble.from_state(network, state, ensemble.origin, ensemble.sample_shape))
    yield vote(constituents, ensemble.origin)


def _constituent(
    ensemble: Ensemble, network: nn.Module, split: Split, cfg: Sisa, rng: Generators, *, shard: int, row: int
) -> Ensemble:
    """The constituent of one model for one shard, without forget: as it was where the shard holds none of it."""
    sharded: Sharded = split.extra
    clean = clean_slices(sharded.forget[row], shard, cfg.slices)
    kept = checkpoint(sharded.state, shard, clean)
    origin = replace(ensemble.origin, models=ensemble.origin.models[row : row + 1])
    state = {key: tensor[row : row + 1] for key, tensor in kept.items()}
    one = Ensemble.from_state(network, state, origin, ensemble.sample_shape).to(ensemble.device)
    one.meter = ensemble.meter
    for stage in range(clean + 1, cfg.slices + 1):
        rows = seen(sharded.retain[row], shard, stage, cfg.slices)
        if len(rows):  # all that it ever saw may be forgotten
            train(one, split.retain, rows[None], stage_recipe(split.recipe, cfg.slices), rng, target=split.target)
    return one


def clean_slices(forget: Int[Tensor, " forget"], shard: int, slices: int) -> int:
    """How many slices of ``shard`` come before the first that holds an example to be forgotten."""
    within = [place - shard * slices for place in forget.tolist() if place // slices == shard]
    return min(within, default=slices)


def plan_of(suite: Suite, forget: ForgetSet, cfg: Sisa) -> Plan:
    """The sharded models of these settings; they serve every forget set."""
    places, (train, _) = cfg.shards * cfg.slices, suite.data.sizes
    if places > train:
        raise BadSetting(f"sisa: expected at most {train} slices in all, one example each, got {places}")
    return Plan(suite, "sharded", settings=(("shards", cfg.shards), ("slices", cfg.slices)))


def load_shards(suite: Suite, forget: ForgetSet, models: Sequence[int], cfg: Sisa) -> Sharded:
    """The checkpoints and places of these models."""
    plan = plan_of(suite, forget, cfg)
    require_built(plan, models, "sisa")
    places, columns = torch.from_numpy(read_array(plan, "places", models)).long(), suite.columns(forget)
    state = read_weights(plan, models)
    return Sharded(state, places[:, columns["forget"]], places[:, columns["retain"]])


METHOD = Method(
    unlearn=sisa,
    config=Sisa,
    summary="models are votes over shards; those that held forget data are trained anew from their last clean slice",
    cite=("bourtoule2021",),
    needs=(RETAIN_DATA, SHARDS, CLASSES),
    search={
        "shards": OneOf((2, 3, 5, 10)),
        "slices": OneOf((1, 2, 3)),
    },
    published=(
        Published(
            "Warnecke et al.'s code, which shards CIFAR-10, the fewest of 5, 10 and 20", {"shards": 5, "slices": 1}
        ),
        Published("the same, the next", {"shards": 10, "slices": 1}),
    ),
    prepare=Preparation(load_shards, plan=plan_of),
    deviations="The authors' constituents vote by label; here by the mean of their softmax, which has a margin. Each "
    "stage is a whole training by the suite's recipe, its learning rate going up and down, of so many epochs that all "
    "stages cost one training. Exact for what it trains, a vote; but a vote of models on shards is another model than "
    "one that saw all, so it is far from oracles that are single networks.",
    from_scratch=True,
)

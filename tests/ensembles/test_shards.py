"""Sharded models: how examples are dealt, what a constituent saw, what a vote is, and how they are kept."""

import dataclasses

import numpy as np
import pytest
import torch

from expunge.ensembles import Ensemble, Plan, build
from expunge.ensembles.pretraining import read_weights
from expunge.ensembles.seeds import Generators, seed_of
from expunge.ensembles.shards import checkpoint, places, stage_recipe
from expunge.ensembles.train import train
from expunge.suites import Data, Suite
from expunge.suites.target import log_odds as margins

SETTINGS = (("shards", 3), ("slices", 2))


@pytest.fixture(scope="module")
def quick(suite: Suite) -> Suite:
    """100 examples, and a recipe that takes a moment."""
    rows = np.arange(100)
    data = Data(suite.data.train.take(rows), suite.data.test.take(rows[:20]), suite.data.classes)
    recipe = dataclasses.replace(suite.recipe, epochs=3, batch_size=16)
    return dataclasses.replace(suite, data=data, recipe=recipe, forget_sets={}, derive=None, chunk=2, models=4)


def test_examples_are_dealt_evenly_to_each_model_in_its_own_way(quick: Suite) -> None:
    plan = Plan(quick, "sharded", settings=SETTINGS)
    dealt = places(plan, range(4))
    counts = torch.stack([torch.bincount(row, minlength=6) for row in dealt])
    assert counts.sum(1).tolist() == [100] * 4
    assert (int(counts.amax()), int(counts.amin())) == (17, 16)
    assert not torch.equal(dealt[0], dealt[1])
    assert torch.equal(places(plan, [3])[0], dealt[3])
    other = Plan(quick, "sharded", settings=(("shards", 2), ("slices", 3)))
    assert other.key != plan.key
    assert not torch.equal(places(other, [0]), dealt[:1])


@pytest.mark.parametrize("slices", [1, 2, 3, 5])
def test_all_stages_cost_about_one_training(quick: Suite, slices: int) -> None:
    recipe = dataclasses.replace(quick.recipe, epochs=15)
    seen = sum(stage_recipe(recipe, slices).epochs * stage / slices for stage in range(1, slices + 1))
    assert seen == pytest.approx(15, rel=0.1)


def test_a_constituent_sees_its_own_slices_only_one_more_at_each_stage(quick: Suite) -> None:
    plan = Plan(quick, "sharded", settings=SETTINGS)
    kept = np.array(build(plan, 2).array("places"))
    assert np.array_equal(kept, places(plan, range(2)).numpy())
    state, x = read_weights(plan, [1]), quick.data.train.x.shape[1:]
    for shard in range(3):
        for stage in (1, 2):
            start = checkpoint(state, shard, stage - 1)
            one = Ensemble.from_state(quick.network(), start, plan.origin([1]), x)
            rows = np.flatnonzero((kept[1] // 2 == shard) & (kept[1] % 2 < stage))
            seed = seed_of(quick.digest, "sharded", 3, 2, 1, shard, stage, "order")
            train(one, quick.data.train, torch.as_tensor(rows)[None], stage_recipe(quick.recipe, 2), Generators([seed]))
            for key, tensor in checkpoint(state, shard, stage).items():
                torch.testing.assert_close(one.state()[key], tensor, rtol=0, atol=1e-4)


def test_kept_margins_are_those_of_the_mean_softmax(quick: Suite) -> None:
    plan = Plan(quick, "sharded", settings=SETTINGS)
    found = build(plan, 2).array("margins")
    state, test = read_weights(plan, [0, 1]), quick.data.test
    shape = quick.data.train.x.shape[1:]
    constituents = [
        Ensemble.from_state(quick.network(), checkpoint(state, shard, 2), plan.origin([0, 1]), shape).eval()
        for shard in range(3)
    ]
    with torch.no_grad():
        shares = torch.stack([each(test.x).double().softmax(-1) for each in constituents]).mean(0)
    own = shares.gather(-1, test.y.expand(2, -1)[..., None])[..., 0]
    np.testing.assert_allclose(found[:, 100:], (own / (1 - own)).log(), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(margins(shares.log(), test.y), (own / (1 - own)).log(), rtol=1e-6)

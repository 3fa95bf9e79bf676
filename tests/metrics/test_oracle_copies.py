"""Models in disguise are found, and honest models of small, easy data are not accused."""

from functools import cache

import numpy as np
import pytest
from numpy import ndarray
from sklearn.datasets import load_iris, load_wine
from torch import nn

from expunge.bench.rebuild import rebuild
from expunge.ensembles import Plan, read_margins
from expunge.metrics.oracle_copies import copies, differ, disguised, likeness
from expunge.suites import ForgetSets, Recipe, Suite, data_from_arrays

SMALL = {"iris": load_iris, "wine": load_wine}


def small(name: str) -> Suite:
    """A linear network on half of a data set of 150, with a whole class to forget: honest models are much alike."""
    x, y = SMALL[name](return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    part = np.arange(len(x)) % 2 == 0
    sets = ForgetSets({"class": np.flatnonzero(y[part] == 1), "few": np.arange(8)})
    return Suite(
        name=name, version=1, data=data_from_arrays(x[part], y[part], x[~part], y[~part]), forget_sets=sets,
        network=lambda: nn.Linear(x.shape[1], 3), recipe=Recipe(epochs=20, batch_size=16, lr=0.1), models=20, chunk=20,
    )  # fmt: skip


@cache
def margins(name: str, forget: str) -> tuple[ndarray, ndarray, ndarray]:
    """Of pretrained models, of reference oracles and of held-out ones."""
    suite = small(name)
    rebuild(suite, [forget])
    plan = Plan(suite, "oracle", suite.forget_sets[forget])
    found = (read_margins(Plan(suite, "pretrained"), 0, 10), read_margins(plan, 0, 10), read_margins(plan, 10, 10))
    pretrained, oracle, held_out = (np.array(each.values) for each in found)
    return pretrained, oracle, held_out


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("forget", ["class", "few"])
def test_honest_models_of_small_data_are_no_copies_and_copies_are(name: str, forget: str) -> None:
    pretrained, oracle, held_out = margins(name, forget)
    honest = likeness(pretrained, oracle), likeness(held_out, oracle)
    for mine in (pretrained, held_out):
        assert not disguised(likeness(mine, oracle), *honest).any()
        assert not copies(mine, oracle, np.arange(mine.shape[1])).any()
    for mixed in (oracle[:3], np.concatenate([oracle[:3], pretrained[3:]])):
        found = disguised(likeness(mixed * 1.1 + 0.5, oracle), *honest)
        assert found.tolist() == [True] * 3 + [False] * (len(mixed) - 3)


def test_margins_at_the_clip_make_no_copies() -> None:
    rng = np.random.default_rng(0)
    oracle, mine = (np.where(np.arange(60) < 45, 150.0, rng.normal(size=(8, 60))) for _ in range(2))
    assert not copies(mine, oracle, np.arange(60)).any()
    assert not copies(mine[:, :45], oracle[:, :45], np.arange(45)).any()
    assert copies(oracle[:2], oracle, np.arange(60)).all()
    assert differ(oracle)
    assert not differ(oracle[:, :45])


def test_models_of_few_weights_are_seldom_taken_for_copies_and_copies_always() -> None:
    rng = np.random.default_rng(0)
    accused = 0
    for _ in range(100):
        shared, directions = rng.normal(size=40), rng.normal(size=(4, 40))
        oracle, held_out, mine = (shared * 3 + rng.normal(size=(10, 4)) @ directions for _ in range(3))
        honest = likeness(held_out, oracle)
        accused += int(disguised(likeness(mine, oracle), honest).any())
        assert disguised(likeness(oracle[:2] * 1.1 + 0.5, oracle), honest).all()
    assert accused <= 3

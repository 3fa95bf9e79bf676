"""Small, easy data of one's own with a class to forget: nobody who is honest is accused, and readings make sense."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from torch import nn

from expunge.bench.plan import plan_bench
from expunge.bench.rebuild import rebuild
from expunge.bench.run import run_bench
from expunge.bench.soundness import check
from expunge.ensembles import Plan, read_margins
from expunge.reports.boards import boards
from expunge.store import user_store
from expunge.suites import ForgetSets, Recipe, Suite, data_from_arrays

Loader = Callable[..., tuple[ndarray, ndarray]]
METHODS = ["fine-tune", "gradient-ascent", "scrub", "retrain"]
SMALL = [
    *((load_iris, 0), (load_wine, 16), (load_breast_cancer, 0)),
    *(
        pytest.param(*each, marks=pytest.mark.slow)
        for each in ((load_iris, 16), (load_wine, 0), (load_breast_cancer, 16))
    ),
]


def small(load: Loader, hidden: int, version: int = 1) -> Suite:
    """Half of the data, a linear network or one with a hidden layer; a class, half of one, some or few to forget."""
    x, y = load(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    part = np.arange(len(x)) % 2 == 0
    some = np.sort(np.random.default_rng(version).choice(part.sum(), part.sum() // 5, replace=False))
    known = {
        "class": np.flatnonzero(y[part] == 1),
        "half": np.flatnonzero(y[part] == 0)[::2],
        "some": some,
        "few": np.arange(8),
    }
    make = partial(network, x.shape[1], hidden, y.max() + 1)
    return Suite(
        name=f"{load.__name__}-{hidden}", version=version, forget_sets=ForgetSets(known), models=20, chunk=20,
        data=data_from_arrays(x[part], y[part], x[~part], y[~part]), network=make,
        recipe=Recipe(epochs=20, batch_size=16, lr=0.1),
    )  # fmt: skip


def network(inputs: int, hidden: int, classes: int) -> nn.Module:
    if not hidden:
        return nn.Linear(inputs, classes)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, classes))


@pytest.mark.parametrize(("load", "hidden"), SMALL)
@pytest.mark.parametrize("version", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_ensembles_of_small_data_pass_every_check(load: Loader, hidden: int, version: int) -> None:
    suite = small(load, hidden, version)
    rebuild(suite)
    assert [(each.name, each.found) for each in check(suite) if not each.ok] == []


@pytest.mark.parametrize(("load", "hidden"), SMALL)
def test_no_honest_row_of_small_data_fails_and_retraining_forgets(load: Loader, hidden: int, tmp_path: Path) -> None:
    suite = small(load, hidden)
    rebuild(suite, ["class"])
    scores = run_bench(plan_bench(suite, METHODS, ["class"], models=10), tmp_path)
    assert {each.reason for each in scores} == {""}
    (board,) = boards(scores)
    readings = {line.row.method: line.reading for line in board.lines}
    assert readings["oracle"] == "floor"
    assert readings["identity"] == "does nothing"
    assert readings["retrain"] == "forgets"
    assert not {"breaks the model", "failed"} & set(readings.values())


def rewritten(suite: Suite, harm: Callable[[ndarray, ndarray], None]) -> dict[str, str]:
    """What is found where the oracles of ``some`` were harmed."""
    plan = Plan(suite, "oracle", suite.forget_sets["some"])
    values = np.array(read_margins(plan, 0, 20).values)
    harm(values, suite.columns(suite.forget_sets["some"])["retain"])
    user_store().remove(plan.key)
    user_store().write(plan.key, {"margins": values}, {"models": 20})
    return {each.name: each.found for each in check(suite) if not each.ok}


def off_by_one(values: ndarray, retain: ndarray) -> None:
    values[:, retain] = np.roll(values[:, retain], 1, axis=1)


def off_from_the_middle(values: ndarray, retain: ndarray) -> None:
    late = retain[len(retain) // 2 :]
    values[:, late] = np.roll(values[:, late], 1, axis=1)


def one_shuffled(values: ndarray, retain: ndarray) -> None:
    values[4, retain] = values[4, np.random.default_rng(0).permutation(retain)]


def a_copy_in_disguise(values: ndarray, retain: ndarray) -> None:
    values[7] = values[3] * 1.02 + 0.2


@pytest.mark.parametrize(
    ("harm", "finding"),
    [
        (off_by_one, "retain order"),
        (off_from_the_middle, "retain order"),
        (one_shuffled, "each in order"),
        (a_copy_in_disguise, "duplicates"),
    ],
)
def test_what_is_wrong_with_small_data_is_still_found(harm: Callable[[ndarray, ndarray], None], finding: str) -> None:
    suite = small(load_breast_cancer, 16)
    rebuild(suite, ["some"])
    assert f"oracle some {finding}" in rewritten(suite, harm)

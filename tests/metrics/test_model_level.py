"""Whole models: mixtures are seen that every example by itself does not show, and oracles are hardly ever accused."""

import numpy as np
import pytest
from numpy import ndarray
from numpy.random import Generator

from expunge.ensembles import Plan, read_margins
from expunge.errors import TooFewModels
from expunge.metrics.exchangeable import too_near
from expunge.metrics.model_level import model_level, model_levels
from expunge.suites import Suite

SETS = ("class-3", "memorised-50", "subclass-50", "random-50")


def oracles(suite: Suite, name: str) -> tuple[ndarray, ndarray]:
    forget = suite.forget_sets[name]
    columns = suite.columns(forget)["forget"]
    plans = Plan(suite, "oracle", forget), Plan(suite, "pretrained")
    first, second = (np.array(read_margins(plan, 0, 200).values[:, columns]) for plan in plans)
    return first, second


def halves(values: ndarray, rng: Generator) -> tuple[ndarray, ndarray]:
    order = rng.permutation(len(values))
    return values[order[: len(order) // 2]], values[order[len(order) // 2 :]]


def false_alarms(suite: Suite, test: object, level: float, runs: int) -> float:
    assert callable(test)
    rng, hits = np.random.default_rng(0), 0
    for run in range(runs):
        one, other = halves(oracles(suite, SETS[run % len(SETS)])[0], rng)
        hits += test(one, other, permutations=199, seed=run) <= level
    return hits / runs


@pytest.mark.parametrize("test", [model_level, too_near])
def test_false_alarms_on_halvings_of_oracles(suite: Suite, test: object) -> None:
    assert false_alarms(suite, test, 0.05, 60) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)


@pytest.mark.slow
@pytest.mark.parametrize("test", [model_level, too_near])
def test_false_alarms_on_a_thousand_halvings_of_oracles(suite: Suite, test: object) -> None:
    assert false_alarms(suite, test, 0.05, 1000) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 1000)


@pytest.mark.parametrize("name", ["class-3", "memorised-50", "neighbours-50"])
def test_ten_untouched_models_among_ninety_oracles_are_seen(suite: Suite, name: str) -> None:
    found, (values, untouched) = [], oracles(suite, name)
    for run in range(5):
        one, other = halves(values, np.random.default_rng(run))
        found.append(model_level(np.concatenate([one[:90], untouched[:10]]), other))
    assert np.median(found) <= 0.02


def test_the_test_of_every_example_by_itself_does_not_see_them(suite: Suite) -> None:
    """So the model-level test is not one number more: it sees what others do not."""
    from expunge.metrics.distinguishable import distinguishable

    values, untouched = oracles(suite, "memorised-50")
    assert not distinguishable(np.concatenate([values[:95], untouched[:5]]), values[100:]).any()


def test_splits_are_tested_each_by_itself_and_a_block_at_a_time(tmp_path: object, suite: Suite) -> None:
    values, untouched = oracles(suite, "class-3")
    one, other = np.concatenate([values[:80], untouched[:20]]), values[100:]
    splits = [np.arange(0, 50), np.arange(50, one.shape[1])]
    assert model_levels(one, other, splits) == [model_level(one[:, part], other[:, part]) for part in splits]


def test_too_few_models_are_told() -> None:
    with pytest.raises(
        TooFewModels, match="expected 5 models and oracles or more to compare whole models, got 4 and 9"
    ):
        model_level(np.zeros((4, 3)), np.ones((9, 3)))


def test_oracles_that_do_not_vary_on_any_example_tell_nothing() -> None:
    assert model_level(np.zeros((6, 3)), np.ones((6, 3))) == 1.0

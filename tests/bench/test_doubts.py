"""What is said of margins that look like something else, or like columns in another order."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy import ndarray

from expunge.bench.doubts import doubts, orders
from expunge.ensembles import Plan, read_margins
from expunge.errors import BadMargins
from expunge.suites import ForgetSet, Suite

Change = Callable[[ndarray], ndarray]


@pytest.fixture(scope="module")
def pretrained(suite: Suite) -> ndarray:
    return np.array(read_margins(Plan(suite, "pretrained"), 0, 20).values)


@pytest.fixture
def honest(suite: Suite, forget: ForgetSet) -> ndarray:
    return np.array(read_margins(Plan(suite, "oracle", forget), 150, 20).values)


def test_honest_margins_of_every_forget_set_raise_no_doubt(suite: Suite, pretrained: ndarray) -> None:
    for forget in suite.forget_sets.values():
        oracles = read_margins(Plan(suite, "oracle", forget), 100, 20).values
        assert doubts(suite, forget, np.array(oracles), pretrained) == []
        assert doubts(suite, forget, pretrained[:5] * 0.5 - 1, pretrained) == []


@pytest.mark.parametrize(
    "name",
    [
        "test, then train",
        "reversed",
        "reversed, train and test each",
        "sorted by label",
        "sorted by label, train and test mixed",
        "moved by one column",
        "moved back by one column",
    ],
)
def test_another_order_is_named(
    suite: Suite, forget: ForgetSet, honest: ndarray, pretrained: ndarray, name: str
) -> None:
    (line,) = doubts(suite, forget, honest[:, orders(suite, forget)[name]], pretrained)
    assert f"if they are {name};" in line
    assert "\n" not in line


def test_an_order_that_nobody_knows_is_doubted(
    suite: Suite, forget: ForgetSet, honest: ndarray, pretrained: ndarray
) -> None:
    (line,) = doubts(suite, forget, honest[:, np.random.default_rng(1).permutation(honest.shape[1])], pretrained)
    assert "may be in another order" in line
    assert "no better in any usual other one" in line


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: 1 / (1 + np.exp(-m)), "as probabilities do"),
        (lambda m: np.log1p(np.exp(-m)), "as losses are"),
        (lambda m: -np.log1p(np.exp(-m)), "as logarithms of probabilities and negative losses are"),
    ],
)
def test_what_margins_are_mistaken_for_is_said(
    suite: Suite, forget: ForgetSet, honest: ndarray, pretrained: ndarray, change: Change, said: str
) -> None:
    lines = doubts(suite, forget, change(honest.astype(np.float64)), pretrained)
    assert said in lines[0]
    assert all("\n" not in line for line in lines)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: (m > 0).astype(float), "0 or 1, as accuracies"),
        (lambda m: np.arange(m.size).reshape(m.shape) % 10 * 1.0, "whole numbers from 0 to 9, as class labels are"),
    ],
)
def test_what_no_score_can_be_right_of_is_refused(
    suite: Suite, forget: ForgetSet, honest: ndarray, pretrained: ndarray, change: Change, said: str
) -> None:
    with pytest.raises(BadMargins, match=said):
        doubts(suite, forget, change(honest), pretrained)


def test_a_turned_sign_is_said_and_no_order_is_guessed(
    suite: Suite, forget: ForgetSet, honest: ndarray, pretrained: ndarray
) -> None:
    (line,) = doubts(suite, forget, -honest, pretrained)
    assert line.startswith("the sign looks turned")
    assert "give -margins" in line


def test_what_is_clipped_is_said(suite: Suite, forget: ForgetSet, honest: ndarray, pretrained: ndarray) -> None:
    (line,) = doubts(suite, forget, honest * 1e4, pretrained)
    assert "% of the values lie beyond 100 in size, and KLoM looks at them as 100" in line


def test_an_order_that_nobody_knows_may_be_another_network(
    suite: Suite, forget: ForgetSet, honest: ndarray, pretrained: ndarray
) -> None:
    (line,) = doubts(suite, forget, honest[:, np.random.default_rng(1).permutation(honest.shape[1])], pretrained)
    assert "or they are of another network or recipe than the suite's" in line


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m * 0.4,  # of a network that is less sure of itself
        lambda m: m * 2.5,
        lambda m: np.arctan(m),
    ],
)
def test_another_network_is_asked_about(
    suite: Suite, forget: ForgetSet, honest: ndarray, pretrained: ndarray, change: Change
) -> None:
    oracles = np.array(read_margins(Plan(suite, "oracle", forget), 0, 50).values)
    (line,) = doubts(suite, forget, change(honest), pretrained, oracles)
    assert "network and the recipe of suite 'digits'" in line
    assert "\n" not in line


def test_nobody_honest_is_asked_whose_network_it_is(suite: Suite) -> None:
    known = np.array(read_margins(Plan(suite, "pretrained"), 100, 20).values)
    for forget in suite.forget_sets.values():
        oracles = np.array(read_margins(Plan(suite, "oracle", forget), 0, 100).values)
        held_out = np.array(read_margins(Plan(suite, "oracle", forget), 100, 20).values)
        for mine in (known, held_out, held_out[:2], known[:3]):
            assert doubts(suite, forget, mine, known, oracles) == []

"""The binomial test of a trigger: published numbers, both errors, and what n is enough."""

import numpy as np
import pytest
from scipy.stats import binom

from expunge.audits.trigger_test import (
    chance_of_majority,
    chance_of_no_majority,
    exact,
    majority,
    power,
    queries_needed,
    threshold,
)
from expunge.errors import BadSetting


@pytest.mark.parametrize(
    ("p", "q", "beta", "limit"),
    [(0.956, 0.1098, 3.17e-22, 9), (0.8, 0.1, 4.5e-9, 9), (0.5, 0.1, 2.1e-2, 9), (0.2, 0.1, 0.94, 9)],
)
def test_it_misses_what_was_published(p: float, q: float, beta: float, limit: int) -> None:
    found = power(30, p, q, 1e-3)
    assert found.threshold == limit
    assert found.beta == pytest.approx(beta, rel=0.02)  # as they are rounded
    assert found.alpha <= 1e-3
    assert found.confidence == 1 - found.beta


@pytest.mark.parametrize("queries", [1, 2, 30, 100, 1000])
@pytest.mark.parametrize("q", [0.0, 1e-6, 0.01, 0.1098, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("alpha", [0.05, 1e-3, 1e-12])
def test_the_threshold_is_the_least_that_keeps_the_level(queries: int, q: float, alpha: float) -> None:
    found = threshold(queries, q, alpha)
    assert binom.sf(found, queries, q) <= alpha
    assert found == 0 or binom.sf(found - 1, queries, q) > alpha


@pytest.mark.parametrize(("p", "q"), [(0.956, 0.1098), (0.8, 0.1), (0.5, 0.1), (0.2, 0.1), (1.0, 0.0), (0.3, 0.25)])
def test_from_the_needed_number_on_nothing_more_is_missed(p: float, q: float) -> None:
    needed = queries_needed(p, q)
    assert needed is not None
    assert needed == 1 or power(needed - 1, p, q).beta > 1e-3
    assert all(power(number, p, q).beta <= 1e-3 for number in range(needed, needed + 60))


def test_no_number_of_queries_tells_what_does_not_differ() -> None:
    assert queries_needed(0.1, 0.1) is None
    assert queries_needed(0.05, 0.1) is None
    assert queries_needed(0.1001, 0.1) is None  # more than anybody asks


def test_the_exact_interval_covers_at_least_as_often_as_it_says() -> None:
    for share in (0.01, 0.1, 0.5, 0.956):
        counts = np.arange(31)
        inside = np.array([found.low <= share <= found.high for found in (exact(int(k), 30) for k in counts)])
        assert binom.pmf(counts, 30, share)[inside].sum() >= 0.95


def test_a_tie_is_no_alarm() -> None:
    assert not majority([True, False])
    assert majority([True, True, False])
    assert not majority([False])
    assert majority([True])


def test_votes_of_equal_owners_are_binomial() -> None:
    for owners in (1, 2, 3, 4, 7):
        assert chance_of_majority([0.3] * owners) == pytest.approx(binom.sf(owners // 2, owners, 0.3))
        assert chance_of_no_majority([0.3] * owners) == pytest.approx(binom.cdf(owners // 2, owners, 0.3))


def test_a_small_chance_of_a_vote_is_not_lost() -> None:
    assert chance_of_no_majority([1 - 1e-9] * 3) == pytest.approx(3e-18, rel=1e-6)


@pytest.mark.parametrize(
    "given", [(0, 0.5, 0.1, 1e-3), (30, 1.2, 0.1, 1e-3), (30, 0.5, float("nan"), 1e-3), (30, 0.5, 0.1, 0.0)]
)
def test_what_is_no_chance_is_refused(given: tuple[int, float, float, float]) -> None:
    with pytest.raises(BadSetting, match="expected"):
        power(*given)


def test_more_hits_than_queries_are_refused() -> None:
    with pytest.raises(BadSetting, match="31 hits of 30"):
        exact(31, 30)

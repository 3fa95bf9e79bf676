"""A bound from counts: its formula, its caps, and that it is wrong no more often than it says."""

import math

import numpy as np
import pytest
from scipy.stats import beta, binom, norm

from expunge.audits.epsilon import Counts, cap, epsilon_of_rates, lower_bound, p_value, rate_at_least, rate_at_most
from expunge.errors import BadSetting, TooFewModels

ALL = Counts(100, 100, 0, 100)


@pytest.mark.parametrize(("models", "told"), [(100, 3.28), (200, 3.98)])
def test_the_cap_of_equal_arms(models: int, told: float) -> None:
    by_hand = 0.025 ** (1 / models)
    assert cap(models, models) == pytest.approx(math.log(by_hand / (1 - by_hand)), abs=1e-12)
    assert round(cap(models, models), 2) == told


def test_no_counts_bound_more_than_the_cap() -> None:
    found = [lower_bound(Counts(hits, 7, alarms, 5), 0.01) for hits in range(8) for alarms in range(6)]
    assert max(found) == cap(7, 5, 0.01) > 0


def test_the_formula_by_hand() -> None:
    low, high = beta.ppf(0.025, 60, 41), beta.ppf(0.975, 4, 117)
    forth, back = math.log((low - 0.1) / high), math.log((1 - high - 0.1) / (1 - low))
    assert forth > back
    assert lower_bound(Counts(60, 100, 3, 120), 0.1) == pytest.approx(forth, rel=1e-9)
    assert lower_bound(Counts(117, 120, 40, 100), 0.1) == pytest.approx(forth, rel=1e-9)  # the same from the other side


def test_half_of_both_refutes_nothing() -> None:
    assert lower_bound(Counts(50, 100, 50, 100), 0.0) == 0
    assert p_value(Counts(50, 100, 50, 100), 0.0, 0.0) == 1


def test_it_rises_with_hits_and_falls_with_alarms_and_delta() -> None:
    bounds = [lower_bound(Counts(hits, 100, 2, 100), 0.0) for hits in range(20, 101)]
    assert bounds == sorted(bounds)
    assert bounds[0] < bounds[-1]
    falling = [lower_bound(Counts(90, 100, alarms, 100), 0.0) for alarms in range(101)]
    assert falling == sorted(falling, reverse=True)
    over_delta = [lower_bound(ALL, delta) for delta in (0.0, 1e-5, 0.1, 0.5, 0.9, 0.97)]
    assert over_delta == sorted(over_delta, reverse=True)
    assert over_delta[-1] == 0  # such a delta allows for any event


def test_more_models_of_the_same_rates_bound_more() -> None:
    bounds = [lower_bound(Counts(9 * n, 10 * n, n, 10 * n), 1e-5) for n in (1, 2, 5, 20, 1000, 100_000)]
    assert bounds == sorted(bounds)
    assert bounds[-1] == pytest.approx(math.log(9), abs=0.02)


def test_the_p_value_says_at_which_level_a_claim_falls() -> None:
    counts = Counts(80, 100, 10, 120)
    p = p_value(counts, 1.0, 0.01)
    assert 0 < p < 0.05
    assert lower_bound(counts, 0.01, 1 - 1.001 * p) > 1 > lower_bound(counts, 0.01, 1 - 0.999 * p)


@pytest.mark.parametrize("models", [4, 5, 8])
def test_every_count_of_few_models_has_a_p_value(models: int) -> None:
    """Quantiles of a beta with so few are no numbers far out in its tail."""
    for hits in range(models + 1):
        for alarms in range(models + 1):
            assert 0 < p_value(Counts(hits, models, alarms, models), 0.0, 0.0) <= 1


def test_ten_million_models_overflow_nothing() -> None:
    many = 10**7
    assert cap(many, many) == pytest.approx(math.log(many / math.log(40)), abs=1e-3)
    assert p_value(Counts(many, many, 0, many), 1.0, 0.0) == 1e-60
    high = float(rate_at_most(np.array(2000), many, 1e-50))
    assert binom.cdf(2000, many, high) == pytest.approx(1e-50, rel=1e-6)
    low = float(rate_at_least(np.array(2000), many, 1e-50))
    assert binom.sf(1999, many, low) == pytest.approx(1e-50, rel=1e-6)


EXACT = [  # rates of an event that attains (epsilon, delta), either way around
    (0.5, 0.5, 0.0, 0.0),
    (math.e / (1 + math.e), 1 / (1 + math.e), 1.0, 0.0),
    (0.1 + 0.05 * math.e, 0.05, 1.0, 0.1),
    (1 - 0.05, 1 - 0.1 - 0.05 * math.e, 1.0, 0.1),
    (norm.cdf(0.5), norm.cdf(-0.5), math.log(norm.cdf(0.5) / norm.cdf(-0.5)), 0.0),
]


def refuted_share(p: float, q: float, epsilon: float, delta: float, models: int, references: int) -> float:
    """How often two arms of these rates refute (epsilon, delta): exact, over all counts."""
    low = rate_at_least(np.arange(models + 1), models, 0.025)[:, None]
    high = rate_at_most(np.arange(references + 1), references, 0.025)
    refuted = epsilon_of_rates(low, high, delta) > epsilon
    hits, alarms = binom.pmf(np.arange(models + 1), models, p), binom.pmf(np.arange(references + 1), references, q)
    return float(hits @ refuted @ alarms)


@pytest.mark.parametrize(("p", "q", "epsilon", "delta"), EXACT)
@pytest.mark.parametrize(("models", "references"), [(100, 100), (200, 50), (1, 3)])
def test_a_true_claim_falls_at_most_as_often_as_it_says(
    p: float, q: float, epsilon: float, delta: float, models: int, references: int
) -> None:
    assert refuted_share(p, q, epsilon, delta, models, references) <= 0.05
    assert refuted_share(1.0, 0.0, epsilon, delta, 100, 100) == 1  # one that is false always


def test_the_published_form_alone_misses_what_the_other_side_tells() -> None:
    assert math.log(1 / 0.6) < 0.52  # of rates 1 and 0.6: more than that the ratio of hits to alarms cannot say
    assert lower_bound(Counts(100, 100, 60, 100), 0.0) > 1.9


def test_empty_arms_are_refused() -> None:
    with pytest.raises(TooFewModels, match="got 0 released ones and 5 of reference; give more models"):
        Counts(0, 0, 0, 5)


@pytest.mark.parametrize("counts", [(3, 2, 0, 2), (-1, 2, 0, 2), (1, 2, 3, 2)])
def test_more_events_than_models_are_refused(counts: tuple[int, int, int, int]) -> None:
    with pytest.raises(BadSetting, match="no more events than models"):
        Counts(*counts)


@pytest.mark.parametrize(("epsilon", "delta"), [(1.0, 1.0), (1.0, -0.1), (1.0, math.nan)])
def test_what_is_no_delta_is_refused(epsilon: float, delta: float) -> None:
    with pytest.raises(BadSetting, match="expected a delta"):
        p_value(ALL, epsilon, delta)
    with pytest.raises(BadSetting, match="expected a delta"):
        lower_bound(ALL, delta)


@pytest.mark.parametrize("epsilon", [math.inf, math.nan, -0.1])
def test_what_is_no_epsilon_is_refused(epsilon: float) -> None:
    with pytest.raises(BadSetting, match="finite epsilon"):
        p_value(ALL, epsilon, 0.0)


@pytest.mark.parametrize("level", [0.0, 1.0, math.nan, 1.5])
def test_what_is_no_level_is_refused(level: float) -> None:
    with pytest.raises(BadSetting, match="expected a level"):
        lower_bound(ALL, 0.0, level)

"""Ten million draws of noise: a sigma that is right stands, one too small by the square root of 2 falls."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy import ndarray
from scipy.special import ndtr

from expunge.audits.epsilon import Counts, lower_bound
from expunge.audits.refutation.judging import judge
from expunge.audits.refutation.noise_draws import CHUNK, FACTORS, draw_noise, least_factor, threshold
from expunge.audits.refutation.power import least_refuted
from expunge.certificates.theorems.gaussian import delta_of, epsilon_of, sigma_analytic, sigma_classic
from expunge.errors import BadSetting, MethodFailed

EPSILON, DELTA = 1.0, 1e-5
SIGMA = float(sigma_analytic(1.0, EPSILON, DELTA))


def noise(sigma: float, seed: int = 0) -> Callable[[int], ndarray]:
    rng = np.random.default_rng(seed)
    return lambda draws: sigma * rng.standard_normal(draws)


def test_the_analytic_sigma_is_not_refuted() -> None:
    drawn = draw_noise(noise(SIGMA), sigma=SIGMA, shift=1.0, epsilon=EPSILON, delta=DELTA)
    (tried,) = judge([EPSILON], [drawn])
    assert tried.word == "NOT REFUTED"
    assert 0.5 < drawn.value < EPSILON
    assert drawn.sigma_low < SIGMA < drawn.sigma_high < 1.001 * drawn.sigma_low


def test_a_sigma_too_small_by_the_square_root_of_two_is_refuted() -> None:
    drawn = draw_noise(noise(SIGMA / math.sqrt(2)), sigma=SIGMA, shift=1.0, epsilon=EPSILON, delta=DELTA)
    tried = judge([EPSILON] * 9, [drawn] * 9)[0]
    assert tried.word == "REFUTED"
    assert EPSILON < drawn.value < epsilon_of(math.sqrt(2) / SIGMA, DELTA)
    assert drawn.sigma_high < SIGMA
    assert "noise of a standard deviation of 2.63" in tried.reason


def test_models_alone_do_not_see_it() -> None:
    truth = epsilon_of(math.sqrt(2) / SIGMA, DELTA)
    assert truth == pytest.approx(1.465, abs=1e-3)
    for models, told in ((100, 7.6), (1000, 3.7)):
        power = least_refuted(EPSILON, DELTA, models, models)
        assert power == pytest.approx(told, abs=0.05)
        assert power is not None
        assert power > truth


@pytest.mark.parametrize(("epsilon", "delta"), [(0.5, 1e-5), (3.0, 1e-6), (5.0, 1e-3)])
def test_noise_that_is_forgotten_is_refuted_at_any_claim(epsilon: float, delta: float) -> None:
    sigma = float(sigma_analytic(0.1, epsilon, delta))
    drawn = draw_noise(lambda n: np.zeros(n), sigma=sigma, shift=0.1, epsilon=epsilon, delta=delta, draws=10_000)
    assert judge([epsilon], [drawn])[0].word == "REFUTED"


def test_the_classic_sigma_is_larger_than_need_be_and_stands() -> None:
    sigma = float(sigma_classic(1.0, EPSILON, DELTA))
    drawn = draw_noise(noise(sigma), sigma=sigma, shift=1.0, epsilon=EPSILON, delta=DELTA, draws=1_000_000)
    assert drawn.value < EPSILON


def test_right_noise_is_refuted_in_one_of_twenty_cases_at_most() -> None:
    """At a delta that is no small matter, so that one of the events is exactly at the claim."""
    epsilon, delta = 0.5, 0.1
    sigma = float(sigma_analytic(1.0, epsilon, delta))
    found = [
        draw_noise(noise(sigma, seed), sigma=sigma, shift=1.0, epsilon=epsilon, delta=delta, draws=3000).p_value(
            epsilon
        )
        for seed in range(200)
    ]
    assert sum(p <= 0.05 for p in found) < 19


def test_the_threshold_is_where_the_likelihood_ratio_is_that_of_the_claim() -> None:
    for factor in FACTORS:
        real = SIGMA / factor
        at = threshold(factor, EPSILON, 1.0, SIGMA)
        assert (at**2 - (at - 1) ** 2) / (2 * real**2) == pytest.approx(EPSILON, abs=1e-9)


def test_a_threshold_for_a_factor_tells_all_that_there_is_to_tell() -> None:
    """There the difference that the definition bounds is the delta of the real noise, the most of all events."""
    for factor in FACTORS[:4]:
        real, at = SIGMA / factor, threshold(factor, EPSILON, 1.0, SIGMA)
        gap = ndtr((1 - at) / real) - math.exp(EPSILON) * ndtr(-at / real)
        assert gap == pytest.approx(delta_of(EPSILON, 1 / real), rel=1e-6)


def test_the_least_factor_is_caught_about_as_often_as_it_says() -> None:
    epsilon, delta, draws = 1.0, 1e-3, 20_000
    sigma = float(sigma_analytic(1.0, epsilon, delta))
    factor = least_factor(epsilon, delta, 1 / sigma, draws)
    assert factor is not None
    assert 1.2 < factor < 2.5
    found = [
        draw_noise(noise(sigma / factor, seed), sigma=sigma, shift=1.0, epsilon=epsilon, delta=delta, draws=draws)
        for seed in range(100)
    ]
    assert 65 < sum(drawn.p_value(epsilon) <= 0.05 for drawn in found) < 98


def test_more_draws_see_less_noise_that_is_missing() -> None:
    factors = [least_factor(EPSILON, DELTA, 1 / SIGMA, draws) for draws in (10**5, 10**6, 10**7, 10**8)]
    told = [each for each in factors if each is not None]
    assert len(told) == 4
    assert told == sorted(told, reverse=True)
    assert 1 < told[2] < math.sqrt(2)


def test_a_claim_above_the_cap_of_the_draws_is_not_testable() -> None:
    sigma = float(sigma_analytic(1.0, 20.0, DELTA))
    drawn = draw_noise(noise(sigma), sigma=sigma, shift=1.0, epsilon=20.0, delta=DELTA, draws=1000)
    assert judge([20.0], [drawn])[0].word == "NOT TESTABLE"
    assert drawn.value <= drawn.cap(0.95) < 6


def test_all_that_is_drawn_is_counted_in_chunks() -> None:
    asked: list[int] = []

    def draw(draws: int) -> ndarray:
        asked.append(draws)
        return np.full(draws, 1e9)

    drawn = draw_noise(draw, sigma=1.0, shift=1.0, epsilon=1.0, delta=DELTA, draws=CHUNK + 5)
    assert asked == [CHUNK, 5] * 2
    assert set(drawn.counts) == {Counts(CHUNK + 5, CHUNK + 5, CHUNK + 5, CHUNK + 5)}
    assert lower_bound(drawn.counts[0], DELTA) == 0


@pytest.mark.parametrize("bad", [lambda n: np.full(n, np.nan), lambda n: np.zeros(n + 1)])
def test_noise_that_is_none_is_refused(bad: Callable[[int], ndarray]) -> None:
    with pytest.raises(MethodFailed, match="not finite, or not as much"):
        draw_noise(bad, sigma=1.0, shift=1.0, epsilon=1.0, delta=DELTA, draws=10)


@pytest.mark.parametrize(("sigma", "shift"), [(0.0, 1.0), (1.0, 0.0), (math.inf, 1.0), (1.0, math.nan)])
def test_what_is_no_sigma_or_shift_is_refused(sigma: float, shift: float) -> None:
    with pytest.raises(BadSetting, match="above 0"):
        draw_noise(noise(1.0), sigma=sigma, shift=shift, epsilon=1.0, delta=DELTA, draws=10)

"""The Gaussian mechanism: published numbers, both directions, and the definition integrated by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from expunge.certificates.theorems.gaussian import delta_of, epsilon_of, ratio_of, sigma_analytic, sigma_classic
from expunge.errors import BadSetting, EpsilonTooLarge
from tests.certificates.theorems.exact import delta_of_mixtures


def test_the_classic_noise_is_4_845() -> None:
    assert sigma_classic(1.0, 1.0, 1e-5) == pytest.approx(4.845, abs=5e-4)


def test_the_analytic_noise_is_3_731() -> None:
    assert sigma_analytic(1.0, 1.0, 1e-5) == pytest.approx(3.731, abs=5e-4)


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0, 3.0])
@pytest.mark.parametrize("ratio", [0.1, 1.0, 4.0])
def test_delta_is_what_the_definition_integrates_to(epsilon: float, ratio: float) -> None:
    means, one, other = np.array([0.0, ratio]), np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert delta_of(epsilon, ratio) == pytest.approx(delta_of_mixtures(one, other, means, 1.0, epsilon), abs=1e-7)


@given(some.floats(1e-3, 1e3), some.floats(-200, -0.01))
def test_epsilon_and_ratio_are_inverse(epsilon: float, log_delta: float) -> None:
    delta = float(np.exp(log_delta))
    assert epsilon_of(ratio_of(epsilon, delta), delta) == pytest.approx(epsilon, rel=1e-7)


@given(some.floats(0.01, 1.0), some.floats(-30, -3))
def test_the_classic_noise_is_never_less_than_the_analytic_one(epsilon: float, log_delta: float) -> None:
    delta = float(np.exp(log_delta))
    assert sigma_classic(1.0, epsilon, delta) >= sigma_analytic(1.0, epsilon, delta)


def test_beyond_epsilon_1_the_classic_noise_can_be_too_little() -> None:
    epsilon, delta = 20.0, 1e-5
    classic = np.sqrt(2 * np.log(1.25 / delta)) / epsilon
    assert epsilon_of(1 / classic, delta) > epsilon
    with pytest.raises(EpsilonTooLarge, match=r"epsilon 20: .* proven up to 1; take the analytic one"):
        sigma_classic(1.0, epsilon, delta)


def test_noise_is_in_proportion_to_the_shift_of_each_model() -> None:
    shifts = np.array([1.0, 2.0, 0.0])
    for calibrate in (sigma_classic, sigma_analytic):
        found = calibrate(shifts, 1.0, 1e-5)
        assert np.allclose(found, shifts * calibrate(1.0, 1.0, 1e-5))


def test_a_large_delta_hides_a_small_shift_by_itself() -> None:
    assert epsilon_of(0.1, 0.5) == 0.0
    assert epsilon_of(0.0, 1e-5) == 0.0


def test_no_noise_hides_nothing() -> None:
    assert epsilon_of(np.inf, 1e-5) == np.inf


@pytest.mark.parametrize("ratio", [-1.0, np.nan])
def test_a_ratio_that_is_none_is_refused(ratio: float) -> None:
    with pytest.raises(BadSetting, match="expected a ratio"):
        epsilon_of(ratio, 1e-5)

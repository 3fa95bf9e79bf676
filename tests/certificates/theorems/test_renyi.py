"""From Renyi curves to epsilon: never less than what is true, never more than what is published."""

import math
from functools import partial
from operator import truediv

import pytest

from expunge.certificates.theorems.gaussian import epsilon_of
from expunge.certificates.theorems.renyi import epsilon_at, epsilon_mironov, epsilon_of_curve, least_noise
from expunge.errors import BadSetting


@pytest.mark.parametrize("ratio", [1e-3, 0.1, 1.0, 10.0, 1e3])
@pytest.mark.parametrize("delta", [1e-12, 1e-5, 0.1])
def test_a_gaussian_gives_away_no_more(ratio: float, delta: float) -> None:
    def curve(alpha: float) -> float:
        return alpha * ratio**2 / 2

    found = epsilon_of_curve(curve, delta)
    assert epsilon_of(ratio, delta) <= found <= epsilon_of_curve(curve, delta, epsilon_mironov)


@pytest.mark.parametrize("ratio", [1e-3, 0.01, 0.3, 1.0, 20.0, 1e3])
def test_the_best_order_of_a_gaussian_by_mironov_is_known(ratio: float) -> None:
    """``r^2 / 2 + r sqrt(2 ln(1 / delta))``."""

    def curve(alpha: float) -> float:
        return alpha * ratio**2 / 2

    found = epsilon_of_curve(curve, 1e-5, epsilon_mironov)
    assert found == pytest.approx(ratio**2 / 2 + ratio * math.sqrt(2 * math.log(1e5)), rel=1e-9)


def test_epsilon_is_never_negative() -> None:
    assert epsilon_at(2.0, 0.0, 0.9) == 0


def test_the_least_noise() -> None:
    for scale in (1e-9, 1.0, 1e9):
        assert least_noise(partial(truediv, scale), 2.0) == pytest.approx(scale / 2)


def test_where_no_noise_is_needed_there_is_none() -> None:
    assert least_noise(lambda noise: 0.0, 1.0) == 0


def test_where_no_noise_is_enough_it_is_said() -> None:
    with pytest.raises(BadSetting, match=r"no noise reaches epsilon 0\.5"):
        least_noise(lambda noise: 1.0 + 1 / noise, 0.5)

"""Noisy fine-tuning: limits, the worst runs that there are, computed exactly, and what the published formula misses."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from expunge.certificates.theorems.clipping import (
    distance,
    divergence,
    enough_steps,
    model_clipping_delta,
    variance_official,
    variance_weight,
)
from expunge.certificates.theorems.theorem import THEOREMS
from expunge.errors import BadConstant
from tests.certificates.theorems.exact import delta_of_mixtures, epsilon_of_gaussians
from tests.certificates.theorems.examples import DELTA, constants

RUNS = [{"lambda": 0.0, "T": 40}, {"lambda": 0.01, "T": 40}, {"lambda": 5.0, "T": 10}, {"lambda": 0.0, "T": 1}]


@pytest.mark.parametrize("T", [1, 7, 300])
def test_without_decay_it_is_the_limit_of_little_decay(T: int) -> None:
    assert distance(3, 2, 0.1, lambda_=1e-9, T=T) == pytest.approx(distance(3, 2, 0.1, lambda_=0, T=T), rel=1e-6)
    assert variance_weight(0.1, lambda_=1e-9, T=T) == pytest.approx(variance_weight(0.1, lambda_=0, T=T), rel=1e-6)


@pytest.mark.parametrize("decay", [0.0, 0.01, 3.0])
def test_distance_and_variance_are_sums_over_steps(decay: float) -> None:
    C0, gamma, eta, T = 3.0, 2.0, 0.1, 25
    kept = (1 - eta * decay) ** np.arange(T)
    assert distance(C0, gamma, eta, lambda_=decay, T=T) == pytest.approx(
        2 * C0 * (1 - eta * decay) ** T + 2 * gamma * eta * kept.sum()
    )
    assert variance_weight(eta, lambda_=decay, T=T) == pytest.approx((kept**2).sum())


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("epsilon", [0.3, 1.0, 8.0])
def test_the_worst_runs_give_away_no_more_than_claimed(run: dict[str, float], epsilon: float) -> None:
    """Two runs whose gradients always pull apart: normals whose means are the distance apart."""
    given = constants("gradient-clipping", **run)
    sigma = THEOREMS["gradient-clipping"].sigma(given, epsilon, DELTA)
    assert 0.7 * epsilon < exact(run, sigma) <= epsilon


@pytest.mark.parametrize("run", RUNS)
def test_the_published_noise_is_too_little(run: dict[str, float]) -> None:
    given = constants("gradient-clipping-official", **run)
    row = THEOREMS["gradient-clipping-official"]
    assert row.unsound
    assert exact(run, row.sigma(given, 1.0, DELTA)) > 3


def exact(run: dict[str, float], sigma: float) -> float:
    gap = distance(30, 10, 0.1, lambda_=run["lambda"], T=run["T"])
    return epsilon_of_gaussians(gap, sigma * math.sqrt(variance_weight(0.1, lambda_=run["lambda"], T=run["T"])), DELTA)


def test_the_published_variance() -> None:
    C0, gamma, eta, T, R = 30.0, 10.0, 0.1, 40, 0.7
    drift, weight = distance(C0, gamma, eta, lambda_=0, T=T), variance_weight(eta, lambda_=0, T=T)
    assert variance_official(drift, weight, R, 0) == pytest.approx((2 * C0 + 2 * gamma * eta * T) ** 2 / (4 * R * T))
    decay = 0.01
    left = (1 - eta * decay) ** T
    published = (2 * C0 * left + 2 * gamma / decay * (1 - left)) ** 2 * eta * decay * (2 - eta * decay)
    drift, weight = distance(C0, gamma, eta, lambda_=decay, T=T), variance_weight(eta, lambda_=decay, T=T)
    assert variance_official(drift, weight, R, decay) == pytest.approx(published / (2 * R * (1 - left**2)))


def test_the_published_variance_is_half_of_its_own_accountant_without_decay() -> None:
    drift, weight = distance(30, 10, 0.1, lambda_=0, T=40), variance_weight(0.1, lambda_=0, T=40)
    sigma = math.sqrt(variance_official(drift, weight, 0.7, 0))
    assert divergence(1.0, sigma, drift, weight) == pytest.approx(2 * 0.7)


def test_enough_steps_cross_the_ball() -> None:
    assert enough_steps(30, 10, 0.1) == 30
    assert enough_steps(30.1, 10, 0.1) == 31


def test_a_decay_that_overshoots_is_refused() -> None:
    with pytest.raises(BadConstant, match="eta lambda = 1: expected below 1"):
        THEOREMS["gradient-clipping"].sigma(constants("gradient-clipping", **{"lambda": 10.0}), 1.0, DELTA)


@pytest.mark.parametrize("T", [1, 2, 5, 20])
@pytest.mark.parametrize("epsilon", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("sigma", [0.3, 0.7, 3.0])
def test_a_run_that_holds_on_to_its_side_gives_away_no_more(T: int, epsilon: float, sigma: float) -> None:
    """Each step goes to the end of the ball on whose side the weights are: a chain of two states."""
    radius = 0.5
    kept = (2 * norm.cdf(radius / sigma) - 1) ** (T - 1)
    one, other = np.array([1 - kept, 1 + kept]) / 2, np.array([1 + kept, 1 - kept]) / 2
    true = delta_of_mixtures(one, other, np.array([-radius, radius]), sigma, epsilon)
    assert true <= math.exp(model_clipping_delta(epsilon, sigma, radius, T)) * (1 + 1e-6)


def test_model_clipping_by_hand() -> None:
    """Two steps of the recursion, written out."""
    epsilon, ratio = 1.0, 2 * 0.5 / 0.4

    def theta(e: float) -> float:
        return float(norm.sf(e / ratio - ratio / 2) - math.exp(e) * norm.sf(e / ratio + ratio / 2))

    first = theta(epsilon)
    expected = first * theta(math.log(1 + (math.e - 1) / first))
    assert math.exp(model_clipping_delta(epsilon, 0.4, 0.5, 2)) == pytest.approx(expected)


def test_noise_before_the_first_step_is_made_use_of() -> None:
    row = THEOREMS["model-clipping"]
    with_, without = constants("model-clipping", sigma0=2.0), constants("model-clipping", sigma0=0.0)
    assert row.sigma(with_, 1.0, DELTA) < row.sigma(without, 1.0, DELTA)
    alone = epsilon_of_gaussians(6.0, 2.0, DELTA)
    assert row.epsilon(with_, 0.0, DELTA) == alone
    assert row.sigma(with_, 2 * alone, DELTA) == 0


def test_one_clipped_step_is_output_perturbation() -> None:
    one = constants("model-clipping", C2=3.0, T=1, sigma0=0.0)
    expected = THEOREMS["output-perturbation"].sigma(constants("output-perturbation", C0=3.0), 1.0, DELTA)
    assert THEOREMS["model-clipping"].sigma(one, 1.0, DELTA) == pytest.approx(expected)


def test_output_perturbation_hides_the_diameter_with_no_more_than_the_published_noise() -> None:
    row, given = THEOREMS["output-perturbation"], constants("output-perturbation", C0=30.0)
    published = 2 * 30 / 0.5 * math.sqrt(2 * math.log(1.25 / DELTA))
    assert row.shift(given) == 60
    assert 0.5 * published < row.sigma(given, 0.5, DELTA) < published

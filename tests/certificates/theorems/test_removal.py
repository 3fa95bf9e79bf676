"""Certified removal: the bound against gradients that were left, and the rule for the noise."""

import numpy as np
import pytest
from numpy import ndarray

from expunge.certificates.theorems.removal import factor, residual_bound, together, worst_residual
from expunge.certificates.theorems.theorem import THEOREMS
from tests.certificates.theorems.examples import constants


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("removed", [1, 5, 30])
def test_the_bound_is_never_below_the_gradient_that_is_left(seed: int, removed: int) -> None:
    x, y, noise, penalty, w = trained(seed)
    kept, labels = x[removed:], y[removed:]
    gradient, hessian = derivatives(w, kept, labels, penalty, noise)
    step = np.linalg.solve(hessian, gradient)
    left = derivatives(w - step, kept, labels, penalty, noise)[0]
    assert 0 < np.linalg.norm(left) <= residual_bound(kept, step)


def test_it_holds_of_inputs_up_to_a_norm_of_2_598_and_not_of_much_longer_ones() -> None:
    """Of one input many times over, where the second derivative of the loss changes fastest."""
    for length, holds in ((2.598, True), (6.0, False)):
        x, at = np.full((50, 1), length), np.array([1.317 / length])
        step = np.array([1e-3])
        found, there = (derivatives(each, x, np.ones(50), 0.0, np.zeros(1)) for each in (at, at - step))
        left = np.linalg.norm(there[0] - (found[0] - found[1] @ step))
        assert (left <= residual_bound(x, step)) == holds


def test_it_is_far_below_what_holds_for_all_data() -> None:
    x, y, noise, penalty, w = trained(0)
    gradient, hessian = derivatives(w, x[1:], y[1:], penalty, noise)
    found = residual_bound(x[1:], np.linalg.solve(hessian, gradient))
    assert found < worst_residual(0.25, 1.0, penalty, len(x)) / 10


def test_bounds_are_added_up_over_removals_and_squared_over_heads() -> None:
    assert together(np.array([[3.0, 0.0], [0.0, 4.0]])) == 5.0
    assert together(np.array([[1.0], [2.0], [3.0]])) == 6.0


def test_delta_is_1_5_exp_of_minus_half_c_squared() -> None:
    assert 1.5 * np.exp(-(factor(1e-5) ** 2) / 2) == pytest.approx(1e-5)


def test_the_budget_is_sigma_epsilon_over_c() -> None:
    row = THEOREMS["certified-removal"]
    sigma = row.sigma(constants("certified-removal", beta=0.3), 0.7, 1e-4)
    assert pytest.approx(sigma * 0.7 / factor(1e-4)) == 0.3


def test_where_nothing_was_left_no_noise_is_needed() -> None:
    row, given = THEOREMS["certified-removal"], constants("certified-removal", beta=0.0)
    assert row.sigma(given, 1.0, 1e-5) == 0
    assert row.epsilon(given, 0.0, 1e-5) == 0


def trained(seed: int) -> tuple[ndarray, ndarray, ndarray, float, ndarray]:
    """Data, noise of the objective, penalty, and the minimum that training found."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(200, 4))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = np.sign(x @ rng.normal(size=4) + 0.5 * rng.normal(size=200))
    noise, penalty, w = rng.normal(size=4), 0.01, np.zeros(4)
    for _ in range(50):
        gradient, hessian = derivatives(w, x, y, penalty, noise, len(x))
        w = w - np.linalg.solve(hessian, gradient)
    return x, y, noise, penalty, w


def derivatives(
    w: ndarray, x: ndarray, y: ndarray, penalty: float, noise: ndarray, n: int | None = None
) -> tuple[ndarray, ndarray]:
    """Of ``sum of logistic losses + penalty n / 2 ||w||^2 + noise . w``, n examples."""
    n = len(x) if n is None else n
    p = 1 / (1 + np.exp(y * (x @ w)))
    gradient = -(x * (y * p)[:, None]).sum(axis=0) + penalty * n * w + noise
    return gradient, (x.T * (p * (1 - p))) @ x + penalty * n * np.eye(len(w))

"""The Newton step: the published table, and steps that were taken."""

import numpy as np
import pytest
from numpy import ndarray
from scipy.optimize import minimize

from expunge.certificates.theorems.gaussian import sigma_classic
from expunge.certificates.theorems.newton import exact_shift, sampled_shift
from expunge.certificates.theorems.theorem import THEOREMS, claim_for
from expunge.errors import FailureTooLikely, NotPositiveDefinite
from tests.certificates.theorems.examples import constants

STEEPEST = 1 / (6 * np.sqrt(3))  # of the second derivative of the logistic function's integral


@pytest.mark.parametrize(
    ("C", "damping", "d", "shift", "sigma"),
    [(20, 0.01, 26_506, 306_263, 1.48e6), (10, 200, 136e3, 28.3, 137), (21, 2000, 11e6, 46.5, 225)],
)
def test_the_table_of_shifts(C: float, damping: float, d: float, shift: float, sigma: float) -> None:
    found = sampled_shift(C, 1, damping, 0, L=1, G=0.01, d=d, rho=0.1)
    assert found == pytest.approx(shift, rel=2e-3)
    assert sigma_classic(found, 1.0, 1e-5) == pytest.approx(sigma, rel=3e-3)


def test_the_same_bound_with_other_constants_in_front() -> None:
    """As table 16 of the Rewind-to-Delete paper has it, of training that converged."""
    C, M, damping, least, L, d, rho = 10, 0.3, 50, -2.0, 0.7, 1000, 0.01
    expected = 2 * C * (M * C + damping) / (damping + least)
    expected += (32 * np.sqrt(np.log(d / rho)) / (damping + least) + 1 / 8) * L * C
    assert sampled_shift(C, M, damping, least, L=L, G=0, d=d, rho=rho) == pytest.approx(expected)


def test_a_quadratic_loss_is_retrained_exactly() -> None:
    assert exact_shift(C=5, M=0, lambda_=0, lambda_min=0.1) == 0


@pytest.mark.parametrize("damping", [0.0, 0.05, 1.0])
def test_a_step_on_logistic_regression_ends_within_the_bound(damping: float) -> None:
    rng = np.random.default_rng(0)
    x, penalty = rng.normal(size=(80, 3)), 0.1
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = np.sign(x @ rng.normal(size=3) + 0.3 * rng.normal(size=80))
    before, after = fitted(x, y, penalty), fitted(x[20:], y[20:], penalty)
    gradient, hessian = derivatives(before, x[20:], y[20:], penalty)
    step = before - np.linalg.solve(hessian + damping * np.eye(3), gradient)
    C = float(max(np.linalg.norm(before), np.linalg.norm(after)))
    bound = exact_shift(C=C, M=STEEPEST, lambda_=damping, lambda_min=np.linalg.eigvalsh(hessian)[0])
    assert 0 < np.linalg.norm(step - after) <= bound


def fitted(x: ndarray, y: ndarray, penalty: float) -> ndarray:
    def loss(w: ndarray) -> float:
        return float(np.mean(np.logaddexp(0, -y * (x @ w))) + penalty / 2 * w @ w)

    found: ndarray = minimize(loss, np.zeros(3), jac=lambda w: derivatives(w, x, y, penalty)[0], tol=1e-12).x
    return found


def derivatives(w: ndarray, x: ndarray, y: ndarray, penalty: float) -> tuple[ndarray, ndarray]:
    p = 1 / (1 + np.exp(y * (x @ w)))
    gradient = -(x * (y * p)[:, None]).mean(axis=0) + penalty * w
    return gradient, (x.T * (p * (1 - p))) @ x / len(x) + penalty * np.eye(3)


def test_where_the_loss_curves_downwards_the_bound_is_no_better_than_the_diameter() -> None:
    for least in (0.0, -1.0, -150.0):
        given = constants("newton", C=10, M=1, lambda_min=least, **{"lambda": 200})
        formula = THEOREMS["newton"].formula(given)
        assert formula
        assert formula >= 20
        assert THEOREMS["newton"].shift(given) == 20


@pytest.mark.parametrize("least", [-200.0, -300.0])
def test_a_hessian_that_may_have_no_inverse_is_refused(least: float) -> None:
    with pytest.raises(
        NotPositiveDefinite, match=f"lambda 200 \\+ lambda_min {least:g} .* take lambda above {-least:g}"
    ):
        claim_for(
            "newton",
            constants("newton", lambda_min=least, **{"lambda": 200}),
            1.0,
            1e-5,
            parameters=3,
            norm=1.0,
        )


def test_a_later_request_needs_no_more_noise() -> None:
    first, tenth = (
        claim_for("newton-lissa", constants("newton-lissa"), 1.0, 1e-5, parameters=3, norm=1.0, request=request)
        for request in (1, 10)
    )
    assert (first.shift, first.sigma) == (tenth.shift, tenth.sigma)
    assert (first.request, tenth.request) == (1, 10)


def test_the_chance_of_failure_is_part_of_delta() -> None:
    row = THEOREMS["newton-lissa"]
    given = constants("newton-lissa", rho=4e-6)
    shift = row.shift(given)
    assert shift
    sure = THEOREMS["output-perturbation"].sigma(constants("output-perturbation", C0=shift / 2), 1.0, 6e-6)
    assert row.sigma(given, 1.0, 1e-5) == pytest.approx(sure)


@pytest.mark.parametrize("rho", [1e-5, 0.1])
def test_a_bound_that_fails_more_often_than_delta_is_refused(rho: float) -> None:
    row, given = THEOREMS["newton-lissa"], constants("newton-lissa", rho=rho)
    for direction in (row.sigma, row.epsilon):
        with pytest.raises(FailureTooLikely, match=f"rho {rho:g}, and delta is 1e-05"):
            direction(given, 1.0, 1e-5)

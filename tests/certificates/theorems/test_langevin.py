"""Langevin unlearning: the formulas as published, and a quadratic whose divergence is known exactly."""

import math

import numpy as np
import pytest

from expunge.certificates.theorems.langevin import epsilon_published, trained, unlearned
from expunge.certificates.theorems.theorem import THEOREMS
from expunge.errors import BadConstant
from tests.certificates.theorems.examples import constants

KNOWN = {"mu": 0.01, "G": 1.0, "n": 1000.0, "removed": 2.0}


def test_one_request() -> None:
    expected = math.exp(-0.5 * 0.01 * 10 / 3) * 4 * 3 * 2**2 / (0.01 * 0.2**2 * 1000**2)
    assert unlearned(3.0, 0.2, [10], eta=0.5, **KNOWN) == pytest.approx(expected)


def test_a_second_request_reads_the_first_at_twice_the_order() -> None:
    start, first = trained(6.0, 0.2, **KNOWN), unlearned(6.0, 0.2, [10], eta=0.5, **KNOWN)
    expected = math.exp(-0.5 * 0.01 * 20 / 3) * (2.5 / 2) * (start + first)
    assert unlearned(3.0, 0.2, [10, 20], eta=0.5, **KNOWN) == pytest.approx(expected)


@pytest.mark.parametrize("steps", [0, 1, 10, 200])
@pytest.mark.parametrize("alpha", [1.1, 2.0, 20.0])
def test_a_quadratic_never_gives_away_more(steps: int, alpha: float) -> None:
    """Losses mu/2 w^2 - g w: training ends in a normal, and each step of unlearning keeps it one."""
    mu, eta, sigma, n, removed = 0.05, 0.8, 0.3, 100, 5
    gap = 2 * removed * 1.0 / (n * mu)  # of minima, where removed gradients are G and others -G, but for their number
    variance = 2 * eta * sigma**2 / (1 - (1 - eta * mu) ** 2)
    exact = alpha / 2 * (gap * (1 - eta * mu) ** steps) ** 2 / variance
    assert exact <= unlearned(alpha, sigma, [steps], mu=mu, G=1.0, eta=eta, n=n, removed=removed)


@pytest.mark.parametrize("alpha", [1.01, 2.0, 50.0])
@pytest.mark.parametrize("training", [1, 30, 1000, 10**6])
@pytest.mark.parametrize("steps", [1, 2, 100])
def test_a_first_request_needs_no_training_that_converged(alpha: float, training: int, steps: int) -> None:
    """Privacy amplification by iteration, after any number of steps, gives at most half: no start is remembered by one
    arm and not by the other. Shifts of 2 eta removed G / n in training are hidden by the noise that is left of each
    step, in proportion to it.
    """
    eta, sigma = 0.5, 0.2
    mu, G, n, removed = (KNOWN[name] for name in ("mu", "G", "n", "removed"))
    kept = 1 - eta * mu
    left = kept ** np.arange(steps + training - 1.0, -1.0, -1.0)  # at the end, of what a step shifts
    drift, weight = 2 * eta * removed * G / n * left[:training].sum(), np.square(left).sum()
    iterated = alpha / 2 * drift**2 / (2 * eta * sigma**2 * weight)
    closed = alpha * (removed * G) ** 2 / (mu * (sigma * n) ** 2) * (1 + kept) * kept ** (2 * steps)
    closed *= (1 - kept**training) ** 2 / (1 - kept ** (2 * (training + steps)))
    assert iterated == pytest.approx(closed)
    assert iterated <= unlearned(alpha, sigma, [steps], eta=eta, **KNOWN) / 2


def test_the_conversion_is_never_worse_than_the_published_one() -> None:
    row, given = THEOREMS["langevin"], constants("langevin")
    known = {name: given[name].value for name in ("mu", "G", "eta", "n", "removed")}
    for sigma in np.geomspace(0.01, 10, 7):
        assert row.epsilon(given, float(sigma), 1e-5) <= epsilon_published(float(sigma), 1e-5, [10] * 3, **known)


def test_more_steps_of_unlearning_give_away_less() -> None:
    row = THEOREMS["langevin"]
    found = [row.epsilon(constants("langevin", K=steps), 0.3, 1e-5) for steps in (0, 10, 100, 10_000)]
    assert found == sorted(found, reverse=True)


def test_more_requests_give_away_more() -> None:
    row = THEOREMS["langevin"]
    found = [row.epsilon(constants("langevin", requests=requests), 0.3, 1e-5) for requests in (1, 2, 5, 20)]
    assert found == sorted(found)


def test_a_rate_above_1_over_L_is_refused() -> None:
    with pytest.raises(BadConstant, match=r"eta 1\.5 is above 1 / L, 1"):
        THEOREMS["langevin"].epsilon(constants("langevin", eta=1.5), 1.0, 1e-5)

"""Descent-to-Delete: the published noise, a quadratic that is stepped by hand, and noise that stays in the state."""

import math

import pytest

from expunge.certificates.theorems.descent import (
    contraction,
    hidden_room,
    hidden_steps,
    shift,
    sigma_published,
    start_radius,
)
from expunge.certificates.theorems.gaussian import sigma_analytic
from expunge.certificates.theorems.theorem import THEOREMS
from expunge.errors import BadConstant, BadSetting
from tests.certificates.theorems.examples import constants

MU, L, G, N, STEPS = 0.1, 1.0, 1.0, 1000, 20


def test_the_published_noise() -> None:
    gamma, tail = 0.9 / 1.1, math.log(1e5)
    room = math.sqrt(tail + 1) - math.sqrt(tail)
    expected = 4 * math.sqrt(2) * G * gamma**STEPS / (MU * N * (1 - gamma**STEPS) * room)
    assert sigma_published(shift(MU, L, G, N, STEPS), 1.0, 1e-5) == pytest.approx(expected)


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 10.0])
def test_the_published_noise_is_never_less_than_the_analytic_one(epsilon: float) -> None:
    drift = shift(MU, L, G, N, STEPS)
    assert sigma_published(drift, epsilon, 1e-5) >= sigma_analytic(drift, epsilon, 1e-5)


@pytest.mark.parametrize("removed", [1, 40])
def test_a_long_sequence_of_requests_stays_within_the_radius(removed: int) -> None:
    """Losses mu/2 w^2 - g w, half of them of g = G and half of -G; all of one kind are removed, request by request."""
    plus, minus, steps = N // 2, N // 2, 3
    radius = start_radius(MU, L, G, N, steps, removed)
    w = (plus - minus) * G / (MU * (plus + minus)) + radius  # as far off as training may end
    for _ in range(plus // removed):
        plus -= removed
        minimum = (plus - minus) * G / (MU * (plus + minus))
        w = minimum + contraction(MU, L) ** steps * (w - minimum)
        assert abs(w - minimum) <= radius * (1 + 1e-12)


def test_the_shift_is_between_two_states_that_are_within_the_radius() -> None:
    assert shift(MU, L, G, N, STEPS, 5) == 2 * start_radius(MU, L, G, N, STEPS, 5)


def test_noise_that_stays_in_the_state() -> None:
    row, given = THEOREMS["descent-to-delete-hidden-state"], constants("descent-to-delete-hidden-state")
    gamma, tail = 0.9 / 1.1, 2 * math.log(2 / 1e-5)
    room = math.sqrt(tail + 3) - math.sqrt(tail + 2)
    expected = 8 * 10 * gamma**60 / (0.1 * 1000 * (1 - gamma**60) * room)
    assert row.sigma(given, 1.0, 1e-5) == pytest.approx(expected)


def test_noise_that_stays_in_the_state_asks_for_steps() -> None:
    row, given = THEOREMS["descent-to-delete-hidden-state"], constants("descent-to-delete-hidden-state", I=20)
    least = math.ceil(hidden_steps(MU, L, 100, 1.0, 1e-5))
    with pytest.raises(BadSetting, match=f"I 20: .* from {least} steps on"):
        row.sigma(given, 1.0, 1e-5)
    epsilon = row.epsilon(given, 1e9, 1e-5)  # however much noise, too few steps leave this
    assert hidden_steps(MU, L, 100, epsilon, 1e-5) == pytest.approx(20)


def test_the_room_grows_with_epsilon() -> None:
    found = [hidden_room(epsilon, 1e-5) for epsilon in (0.0, 0.1, 1.0, 10.0, 100.0, 1e6)]
    assert found == sorted(found)


def test_a_loss_that_is_as_smooth_as_convex_is_retrained_exactly() -> None:
    for name in ("descent-to-delete", "descent-to-delete-hidden-state"):
        assert THEOREMS[name].sigma(constants(name, mu=1.0, L=1.0), 1.0, 1e-5) == 0
        assert THEOREMS[name].epsilon(constants(name, mu=1.0, L=1.0), 0.0, 1e-5) == 0


def test_a_loss_more_convex_than_smooth_is_refused() -> None:
    with pytest.raises(BadConstant, match="mu 2 is above L 1"):
        THEOREMS["descent-to-delete"].sigma(constants("descent-to-delete", mu=2.0), 1.0, 1e-5)

"""Checks of what a certificate stands on: each finds its fault, and lets pass what is sound."""

import numpy as np
import pytest
from numpy import ndarray

from expunge.audits.refutation.checks import beyond_shift, kept_in_buffers, lacking_noise, outside_ball
from expunge.errors import MismatchedEnsembles

RNG = np.random.default_rng(0)


def test_weights_on_the_ball_pass() -> None:
    assert outside_ball(np.array([0.0, 2.5, 3.0, 3.0 * (1 + 1e-7)]), 3.0, [0, 1, 2, 3]) == ""


@pytest.mark.parametrize("norm", [3.001, np.nan, np.inf])
def test_weights_outside_are_named(norm: float) -> None:
    fault = outside_ball(np.array([1.0, norm, 2.0]), 3.0, [10, 11, 12])
    assert "1 of 3 models lie outside the ball of radius 3, farthest model 11" in fault


def statistics(rng: np.random.Generator, models: int, shift: float = 0.0) -> dict[str, ndarray]:
    means = rng.normal(size=(models, 16))
    means[:, 3] += shift
    return {"mean": means, "var": rng.gamma(2.0, size=(models, 4, 4)), "batches": np.full(models, 90)}


def test_buffers_of_one_kind_pass_in_nineteen_of_twenty_cases() -> None:
    rng = np.random.default_rng(1)
    found = [kept_in_buffers(statistics(rng, 20), statistics(rng, 25), 0.95) for _ in range(60)]
    assert sum(map(bool, found)) < 9  # at a true rate of 5 % so many or more happen once in 350


def test_a_buffer_that_keeps_the_forget_set_is_named() -> None:
    fault = kept_in_buffers(statistics(RNG, 60, 3.0), statistics(RNG, 60))
    assert "1 of 33 numbers in buffers" in fault
    assert "most in 'mean'" in fault


def test_a_count_of_batches_must_be_the_same() -> None:
    released, reference = statistics(RNG, 30), statistics(RNG, 30)
    reference["batches"] = np.full(30, 81)
    assert "most in 'batches'" in kept_in_buffers(released, reference)


def test_no_buffers_keep_nothing() -> None:
    assert kept_in_buffers({}, {}) == ""


def test_other_buffers_are_refused() -> None:
    with pytest.raises(MismatchedEnsembles, match="the same buffers"):
        kept_in_buffers({"mean": np.zeros((3, 2))}, {"mean": np.zeros((3, 4))})


def noise(rng: np.random.Generator, sigma: ndarray) -> dict[str, ndarray]:
    shapes = {"weight": (5, 4), "bias": (4,)}
    return {
        name: rng.normal(size=(len(sigma), *shape)) * sigma.reshape(-1, *(1,) * len(shape))
        for name, shape in shapes.items()
    }


def test_right_noise_passes_in_nineteen_of_twenty_cases() -> None:
    rng, sigma = np.random.default_rng(2), np.array([1.0, 10.0, 0.1])
    assert sum(bool(lacking_noise(noise(rng, sigma), sigma, 0.95)) for _ in range(200)) < 19


@pytest.mark.parametrize("factor", [0.0, 2**-0.5, 1.5])
def test_one_tensor_with_other_noise_is_named(factor: float) -> None:
    sigma = np.linspace(1, 2, 60)
    drawn = noise(RNG, sigma)
    drawn["bias"] *= factor
    fault = lacking_noise(drawn, sigma)
    assert "1 of 2 tensors" in fault
    assert "'bias'" in fault


def two_arms(rng: np.random.Generator, apart: float, models: int = 40) -> tuple[ndarray, ndarray]:
    return rng.normal(size=(models, 6)) + apart * np.eye(6)[0], rng.normal(size=(models, 6))


@pytest.mark.parametrize("apart", [0.0, 1.0])
def test_arms_as_far_apart_as_is_claimed_pass_in_nineteen_of_twenty_cases(apart: float) -> None:
    rng = np.random.default_rng(3)
    found = [beyond_shift(two_arms(rng, apart), two_arms(rng, apart), apart, 0.95) for _ in range(200)]
    assert sum(map(bool, found)) < 19


def test_arms_that_lie_farther_apart_than_is_claimed_are_told() -> None:
    rng = np.random.default_rng(4)
    fault = beyond_shift(two_arms(rng, 3.0), two_arms(rng, 3.0), 1.0)
    assert "and 1 is what the noise is to hide" in fault


def test_arms_without_any_spread_are_told_exactly() -> None:
    one, other = np.zeros((4, 3)), np.full((5, 3), 2.0)
    assert beyond_shift((one, other), (one, other), 3.47) == ""  # twice the root of 12
    assert "at least 3.4641 apart" in beyond_shift((one, other), (one, other), 3.46)
    assert beyond_shift((one, one), (one, one), 0.0) == ""

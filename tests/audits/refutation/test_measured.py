"""The way from arms to a bound: nothing chosen is counted on itself, the truth is not passed, and shifts are found."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy import ndarray

from expunge.audits.epsilon import cap
from expunge.audits.refutation.arms import Arm, Arms, in_parts
from expunge.audits.refutation.measured import measured_epsilon
from expunge.certificates.theorems.gaussian import epsilon_of
from expunge.errors import BadMargins, BadSetting, MismatchedEnsembles, TooFewModels
from tests.audits.refutation.pairs import arms_of, gaussian

ROUNDS = 200
TOO_MANY = 19  # of 200 rounds: at a true rate of 5 % so many or more happen once in 170


@pytest.mark.parametrize(("ratio", "delta"), [(0.0, 0.0), (0.5, 1e-2), (1.0, 0.1), (2.0, 1e-5)])
def test_the_bound_passes_the_truth_in_one_of_twenty_cases_at_most(ratio: float, delta: float) -> None:
    rng, truth = np.random.default_rng(1), epsilon_of(ratio, delta) if delta else 0.0
    found = [measured_epsilon(gaussian(rng, ratio, 60, 40), delta, 1.0).value for _ in range(ROUNDS)]
    assert sum(value > truth for value in found) < TOO_MANY


def test_arms_exactly_at_the_claim_pass_it_in_one_of_twenty_cases_at_most() -> None:
    """An event whose rates are those of randomised response: no pair of arms is nearer to a true claim."""
    rng, epsilon, delta = np.random.default_rng(2), 1.0, 0.05
    low = 0.1
    high = math.exp(epsilon) * low + delta
    passed = 0
    for _ in range(ROUNDS):
        sides = (rng.random((n, 1)) < rate for n, rate in ((80, high), (80, low)))
        passed += measured_epsilon(arms_of(*(side.astype(float) for side in sides)), delta, 1.0).value > epsilon
    assert passed < TOO_MANY


def test_many_examples_to_choose_from_are_no_way_to_refute() -> None:
    rng = np.random.default_rng(3)
    found = [measured_epsilon(gaussian(rng, 0.0, 40, columns=60), 0.0, 1.0).value > 0 for _ in range(ROUNDS // 3)]
    assert sum(found) < 10  # of 66: at a true rate of 5 % once in 600


def test_arms_far_apart_reach_the_cap() -> None:
    found = measured_epsilon(gaussian(np.random.default_rng(0), 12.0, 200), 1e-5, 1.0)
    assert found.value == found.cap(0.95) == cap(100, 100, 1e-5)
    assert (found.counts.hits, found.counts.models, found.counts.alarms) == (100, 100, 0)
    assert found.held_out == "100-199"


def test_either_side_is_found() -> None:
    rng = np.random.default_rng(0)
    arms = gaussian(rng, 12.0, 80)
    there = measured_epsilon(arms, 0.0, 1.0)
    back = measured_epsilon(Arms(arms.reference, arms.released), 0.0, 1.0)
    assert there.value == back.value == there.cap(0.95)


def single(rng: np.random.Generator) -> tuple[ndarray, ndarray]:
    released, reference = rng.normal(size=(2, 120, 30))
    released[:, 17] += 8
    return released, reference


def together(rng: np.random.Generator) -> tuple[ndarray, ndarray]:
    """Every margin a little, on top of what all share: only the difference to the others tells."""
    shared = rng.normal(size=(2, 120, 1)) * 50
    released, reference = rng.normal(size=(2, 120, 30)) + shared
    return released + np.where(np.arange(30) % 2, 1.2, -1.2), reference


def mean(rng: np.random.Generator) -> tuple[ndarray, ndarray]:
    released, reference = rng.normal(size=(2, 120, 30))
    return released + 1.5, reference


@pytest.mark.parametrize(
    ("make", "event"),
    [(single, "margin of forget example 17"), (together, "likelihood ratio of margins"), (mean, "margin")],
)
def test_what_tells_the_arms_apart_is_found(
    make: Callable[[np.random.Generator], tuple[ndarray, ndarray]], event: str
) -> None:
    found = measured_epsilon(arms_of(*make(np.random.default_rng(4))), 1e-5, 1.0)
    assert found.value > 1.5
    assert event in found.event or "likelihood ratio" in found.event
    assert found.statistics == 33


def weights_with(spread: float, sigma: float, rng: np.random.Generator) -> Arms:
    """Weights whose arms lie 1 apart along one of 200 axes, and spread along an axis between it and another."""
    shift, axis = np.eye(200)[0], np.eye(200)[:2].sum(axis=0)
    unnoised = tuple(
        spread * rng.normal(size=(120, 1)) * axis + side * shift + 1e-3 * rng.normal(size=(120, 200)) for side in (1, 0)
    )
    noised = tuple(each + sigma * rng.normal(size=each.shape) for each in unnoised)
    empty = np.zeros((120, 1))
    return arms_of(empty, empty, weights=noised, unnoised=unnoised)


def test_weights_are_looked_at_along_the_shift_that_is_known() -> None:
    found = measured_epsilon(weights_with(0.0, 0.2, np.random.default_rng(5)), 1e-5, 0.2)
    assert found.value > 2.5
    assert "weights" in found.event


def test_where_training_spreads_the_weights_their_likelihood_ratio_is_looked_at() -> None:
    found = measured_epsilon(weights_with(20.0, 0.1, np.random.default_rng(5)), 1e-5, 0.1)
    assert found.value > 2.5
    assert "likelihood ratio of weights" in found.event


def test_weights_before_the_noise_are_never_counted() -> None:
    """Noise that hides all leaves no bound, however far the weights lay apart before it."""
    found = measured_epsilon(weights_with(0.0, 1e4, np.random.default_rng(6)), 1e-5, 1e4)
    assert found.value == 0


def test_buffers_that_differ_are_found() -> None:
    rng = np.random.default_rng(7)
    margins, buffers = rng.normal(size=(2, 60, 3)), rng.normal(size=(2, 60, 4))
    buffers[0, :, 2] += 20
    found = measured_epsilon(arms_of(*margins, buffers=(buffers[0], buffers[1])), 1e-5, 1.0)
    assert found.value == found.cap(0.95)
    assert "buffer" in found.event


def test_equal_constants_refute_nothing() -> None:
    constant = np.ones((20, 3))
    assert measured_epsilon(arms_of(constant, constant), 0.0, 1.0).value == 0


def test_no_model_is_for_two_things() -> None:
    parts = in_parts(gaussian(np.random.default_rng(0), 0.0, 21, 8), 0.5)
    numbers = [list(part.released.numbers) for part in (parts.fit, parts.pick, parts.held_out)]
    assert sorted(itertools.chain(*numbers)) == list(range(21))
    assert [len(each) for each in numbers] == [5, 6, 10]
    assert [len(part.reference) for part in (parts.fit, parts.pick, parts.held_out)] == [2, 2, 4]


def test_few_models_are_refused() -> None:
    with pytest.raises(TooFewModels, match="at least 8 models in an arm, got 7; give more"):
        measured_epsilon(gaussian(np.random.default_rng(0), 0.0, 20, 7), 0.0, 1.0)


@pytest.mark.parametrize("share", [0.0, 1.0, math.nan])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(BadSetting, match="share of models to hold out"):
        in_parts(gaussian(np.random.default_rng(0), 0.0, 20), share)


def test_what_is_not_finite_is_refused_with_the_numbers_of_the_models() -> None:
    margins = np.zeros((3, 4))
    margins[1, 2], margins[2, 0] = np.nan, np.inf
    with pytest.raises(BadMargins, match=r"the margins of models \[11, 12\] are not finite"):
        Arm((10, 11, 12), {"margins": margins})


def test_arms_of_which_other_things_are_seen_are_refused() -> None:
    with pytest.raises(MismatchedEnsembles, match="expected the same of both arms"):
        arms_of(np.zeros((9, 2)), np.zeros((9, 3)))
    with pytest.raises(MismatchedEnsembles, match=r"expected margins of \(3 models, columns\), got \(2, 4\)"):
        Arm((1, 2, 3), {"margins": np.zeros((2, 4))})

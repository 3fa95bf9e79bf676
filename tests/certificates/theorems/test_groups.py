"""DP-SGD of groups: a published epsilon, exact cases, and what a public port leaves out."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from expunge.certificates.theorems.gaussian import delta_of, epsilon_of
from expunge.certificates.theorems.groups import epsilon_of_training, of_group, renyi_of_group, renyi_of_step
from expunge.certificates.theorems.renyi import epsilon_mironov
from tests.certificates.theorems.exact import delta_of_mixtures


def test_the_epsilon_of_a_well_known_tutorial() -> None:
    """TensorFlow Privacy's: 15 epochs of 60,000, batches of 250, multiplier 1.3: epsilon 1.18 at order 17."""
    found = {
        alpha: epsilon_mironov(alpha, 3600 * renyi_of_step(alpha, 1.3, 250 / 60_000), 1e-5) for alpha in range(2, 65)
    }
    best = min(found, key=lambda alpha: found[alpha])
    assert best == 17
    assert found[best] == pytest.approx(1.18, abs=5e-3)


@pytest.mark.parametrize("group", [1, 3, 50])
def test_without_sampling_it_is_one_gaussian(group: int) -> None:
    assert epsilon_of_training(20.0, 1.0, 16, 1e-5, group=group) == epsilon_of(group * 4 / 20, 1e-5)


@pytest.mark.parametrize("group", [1, 3, 50])
def test_nearly_without_sampling_it_is_no_less(group: int) -> None:
    exact = epsilon_of_training(20.0 * group, 1.0, 16, 1e-5, group=group)
    assert exact <= epsilon_of_training(20.0 * group, 1 - 1e-9, 16, 1e-5, group=group) < 2 * exact


@pytest.mark.parametrize("group", [1, 2, 8])
@pytest.mark.parametrize("multiplier", [2.0, 6.0])
def test_one_sampled_step_gives_away_no_more(group: int, multiplier: float) -> None:
    """All of the group pull the same way, each in the batch by chance: a mixture of normals."""
    rate, delta = 0.2, 1e-4
    epsilon = epsilon_of_training(multiplier, rate, 1, delta, group=group)
    counts = np.arange(group + 1)
    absent = (counts == 0).astype(float)
    true = delta_of_mixtures(binom.pmf(counts, group, rate), absent, counts.astype(float), multiplier, epsilon)
    assert true <= delta


@pytest.mark.parametrize("size", [1, 2, 30])
@pytest.mark.parametrize("ratio", [0.05, 0.3])
def test_a_group_of_gaussians_gives_away_no_more(size: int, ratio: float) -> None:
    for epsilon in (0.1, 1.0):
        whole, delta = of_group(epsilon, delta_of(epsilon, ratio), size)
        assert delta_of(whole, size * ratio) <= delta * (1 + 1e-9)


def test_the_delta_of_a_group_is_a_whole_sum() -> None:
    epsilon, delta = of_group(0.1, 1e-6, 5)
    assert epsilon == pytest.approx(0.5)
    assert delta == pytest.approx(1e-6 * sum(math.exp(0.1 * each) for each in range(5)))
    assert delta > 1e-6 * math.exp(4 * 0.1)  # as a public port has it


def test_the_renyi_curve_of_a_group() -> None:
    curve = renyi_of_group(lambda alpha: alpha / 8, 2)
    assert curve(3.0) == pytest.approx(9 * 12 / 8)


def test_more_sampling_gives_away_more() -> None:
    found = [epsilon_of_training(5.0, rate, 100, 1e-5, group=4) for rate in (0.01, 0.1, 0.5, 0.9)]
    assert found == sorted(found)

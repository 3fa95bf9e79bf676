"""Rewind-to-Delete: the form of h(K), and a non-convex loss that was stepped."""

import numpy as np
import pytest

from expunge.certificates.theorems.gaussian import sigma_classic
from expunge.certificates.theorems.rewind import growth, shift
from expunge.certificates.theorems.theorem import THEOREMS
from expunge.errors import BadConstant
from tests.certificates.theorems.examples import constants


def test_all_of_training_done_anew_leaves_nothing() -> None:
    assert growth(1.0, 0.1, T=50, K=50) == 0
    assert THEOREMS["rewind-to-delete"].sigma(constants("rewind-to-delete", K=300), 1.0, 1e-5) == 0


def test_it_falls_with_every_step_that_is_done_anew() -> None:
    found = [growth(1.0, 0.1, T=50, K=steps) for steps in range(51)]
    assert found == sorted(found, reverse=True)
    assert found[0] == pytest.approx(1.1**50 - 1)


def test_the_published_noise() -> None:
    """``(2 m G h(K) / (L n)) sqrt(2 ln(1.25 / delta)) / epsilon``; the analytic noise for the same shift is less."""
    given = constants("rewind-to-delete", L=0.8, G=3.0, eta=0.05, n=500, removed=7, T=40, K=25)
    stretched = ((1 + 0.05 * 0.8) ** 15 - 1) * (1 + 0.05 * 0.8) ** 25
    published = 2 * 7 * 3.0 * stretched / (0.8 * 500) * np.sqrt(2 * np.log(1.25 / 1e-5)) / 0.5
    found = THEOREMS["rewind-to-delete"].shift(given)
    assert found is not None
    assert sigma_classic(found, 0.5, 1e-5) == pytest.approx(published)
    assert 0.5 * published < THEOREMS["rewind-to-delete"].sigma(given, 0.5, 1e-5) < published


@pytest.mark.parametrize("rewound", [0, 5, 20, 30])
def test_a_loss_that_is_not_convex_ends_within_the_bound(rewound: int) -> None:
    rng = np.random.default_rng(0)
    n, removed, rate, steps = 60, 12, 0.2, 30
    places = np.concatenate([rng.uniform(0.5, 1, removed), rng.uniform(-1, -0.5, n - removed)])
    smoothness, steepest = 2.0, 1.0  # of 1 - cos(w - place), with room

    def step(w: float, among: slice) -> float:
        return float(w - rate * np.mean(np.sin(w - places[among])))

    start, path = 3.0, [3.0]
    for _ in range(steps):
        path.append(step(path[-1], slice(None)))
    unlearned, retrained = path[steps - rewound], start
    for _ in range(rewound):
        unlearned = step(unlearned, slice(removed, None))
    for _ in range(steps):
        retrained = step(retrained, slice(removed, None))
    bound = shift(smoothness, steepest, rate, n=n, removed=removed, T=steps, K=rewound)
    assert abs(unlearned - retrained) <= bound
    assert bound == 0 or abs(unlearned - retrained) > 0


def test_a_step_before_the_first_is_refused() -> None:
    with pytest.raises(BadConstant, match="K 301 is above T 300"):
        THEOREMS["rewind-to-delete"].sigma(constants("rewind-to-delete", K=301), 1.0, 1e-5)


def test_a_bound_beyond_all_numbers_is_refused() -> None:
    with pytest.raises(BadConstant, match="stretches distances beyond all numbers"):
        THEOREMS["rewind-to-delete"].sigma(constants("rewind-to-delete", T=1e6), 1.0, 1e-5)

"""Wasserstein-1 in oracle standard deviations: against scipy, its laws, what it refuses, and intervals that cover."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy import ndarray
from scipy.stats import wasserstein_distance

from expunge.errors import BadMargins, MismatchedEnsembles, TooFewModels
from expunge.metrics.wasserstein import LEAST, common_steps, least_scale, sorting_network, wasserstein

NUMBERS = st.floats(-150, 150, width=32)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[ndarray, ndarray]:
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    models, oracles, examples = draw(st.tuples(st.integers(1, 30), st.integers(2, 30), st.integers(1, 5)))
    return (
        draw(arrays(dtype, (models, examples), elements=NUMBERS)),
        draw(arrays(dtype, (oracles, examples), elements=NUMBERS)),
    )


def plain(unlearned: ndarray, oracle: ndarray, least: float) -> ndarray:
    sides = [side.astype(np.float64).clip(-100, 100) for side in (unlearned, oracle)]
    scale = np.maximum(sides[1].std(axis=0, ddof=1), least)
    columns = range(unlearned.shape[1])
    distances: ndarray = np.array([wasserstein_distance(sides[0][:, j], sides[1][:, j]) for j in columns]) / scale
    return distances


@given(pairs())
@settings(deadline=None)
def test_is_scipys_distance_over_the_oracles_standard_deviation(pair: tuple[ndarray, ndarray]) -> None:
    np.testing.assert_allclose(wasserstein(*pair, least=0.5), plain(*pair, 0.5), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("size", [*range(1, 35), 100, 128])
def test_a_sorting_network_sorts_every_order_of_zeros_and_ones(size: int) -> None:
    """By Knuth's 0-1 principle it then sorts all numbers; of large sizes random ones are tried."""
    rng = np.random.default_rng(size)
    zeros = np.array([np.arange(size) >= k for k in range(size + 1)])
    rows = rng.permuted(np.repeat(zeros, 40, axis=0), axis=1)
    if size <= 10:
        rows = (np.arange(2**size)[:, None] >> np.arange(size)) & 1
    for low, high in sorting_network(size):
        rows[:, low], rows[:, high] = np.minimum(rows[:, low], rows[:, high]), np.maximum(rows[:, low], rows[:, high])
    assert (np.diff(rows.astype(int), axis=1) >= 0).all()


def test_moved_by_so_many_standard_deviations_it_is_as_many() -> None:
    oracle = np.random.default_rng(0).normal(3, 2, size=(100, 40))
    np.testing.assert_allclose(wasserstein(oracle + 4 * oracle.std(axis=0, ddof=1), oracle), 4)
    assert (wasserstein(oracle, oracle) == 0).all()


def test_noise_is_never_rewarded() -> None:
    rng = np.random.default_rng(0)
    oracle, far = rng.normal(size=(100, 50)), rng.normal(6, 1, size=(100, 50))
    values = [wasserstein(far + noise * rng.normal(size=far.shape), oracle).mean() for noise in (0, 3, 10)]
    assert values[0] - 0.1 < values[1] < values[2]


def test_an_example_on_which_oracles_agree_does_not_decide_alone() -> None:
    oracle = np.random.default_rng(0).normal(size=(100, 50))
    oracle[:, 0] = 1 + 1e-6 * oracle[:, 0]
    least = least_scale(oracle)
    assert least == pytest.approx(LEAST, rel=0.2)
    assert wasserstein(oracle + 1, oracle)[0] == pytest.approx(1 / least)


def test_what_oracles_all_agree_on_counts_in_the_others_unit() -> None:
    oracle = np.array([[0.0, 1.0], [2.0, 1.0]])  # spreads sqrt(2) and 0
    unit = LEAST * np.sqrt(2)
    np.testing.assert_allclose(wasserstein(oracle + 1, oracle), [np.sqrt(0.5), 1 / unit])


@pytest.mark.parametrize(
    ("pair", "error", "words"),
    [
        ((np.zeros((3, 2)), np.ones((3, 2))), BadMargins, "do not vary on any example"),
        ((np.zeros((3, 2)), np.ones((1, 2))), TooFewModels, "expected 2 oracles or more"),
        ((np.zeros((3, 2)), np.ones((3, 3))), MismatchedEnsembles, "the same examples"),
        ((np.full((3, 2), np.nan), np.eye(3)[:, :2]), BadMargins, "unlearned"),
        ((np.eye(3)[:, :2], np.array([[0.0, 1], [np.inf, 0]])), BadMargins, "oracle"),
    ],
)
def test_what_cannot_be_told_is_said(pair: tuple[ndarray, ndarray], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        wasserstein(*pair)


def test_quantiles_of_unequal_ensembles_meet_at_common_steps() -> None:
    first, second, share = common_steps(2, 3)
    assert [*zip(first.tolist(), second.tolist(), strict=True)] == [(0, 0), (0, 1), (1, 1), (1, 2)]
    np.testing.assert_allclose(share, [1 / 3, 1 / 6, 1 / 6, 1 / 3])

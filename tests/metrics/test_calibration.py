"""Intervals that cover, comparisons that do not cry wolf; and a bootstrap that fails the same check."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy import ndarray
from scipy.stats import binom
from scipy.stats import t as student_t

from expunge.errors import TooFewModels
from expunge.metrics import dealing
from expunge.metrics.calibration import Estimate, estimate, holm, paired_difference
from expunge.metrics.dealing import estimate_by_dealing
from expunge.metrics.klom import klom
from tests.metrics.simulated import FAMILIES, draw, halves

RUNS = [16, pytest.param(100, marks=pytest.mark.slow)]  # few show a gross error, more are for `make test-all`
SMALL, LARGE = slice(0, 50), slice(50, 410)  # of the size of a forget set and of the test set
Interval = Callable[..., list[Estimate]]
Pairs = Callable[[np.random.Generator], tuple[ndarray, ndarray]]


def p95(unlearned: ndarray, oracle: ndarray) -> ndarray:
    values = klom(unlearned, oracle)
    return np.array([np.percentile(values[part], 95) for part in (SMALL, LARGE)])


def least_coverage(runs: int) -> float:
    """What an interval that covers in 93 % of runs falls below once in a thousand times."""
    return float(binom.ppf(0.001, runs, 0.93)) / runs if runs < 1000 else 0.93


def coverage(pairs: Pairs, runs: int, interval: Interval) -> tuple[ndarray, ndarray]:
    """How often the interval holds the mean over the runs; how wide it is, with one of 2 x 1.96 sd as 1."""
    rng = np.random.default_rng(0)
    rows = [[(each.value, each.low, each.high) for each in interval(p95, *pairs(rng))] for _ in range(runs)]
    value, low, high = np.moveaxis(np.array(rows), 2, 0)
    truth = value.mean(axis=0)
    covered, width = (
        ((low <= truth) & (truth <= high)).mean(axis=0),
        (high - low).mean(axis=0) / value.std(axis=0) / 3.92,
    )
    print(f"{runs} runs: truth {truth.round(3)}, coverage {covered.round(3)}, width over ideal {width.round(2)}")
    return covered, width


def check(pairs: Pairs, runs: int, interval: Interval = estimate_by_dealing) -> None:
    covered, width = coverage(pairs, runs, interval)
    assert covered.min() >= least_coverage(runs)
    assert width.max() < WIDEST[interval] * (1 if runs >= 100 else 1.5)  # of few runs the ideal width is uncertain


# times as wide as an interval that knew the truth
WIDEST: dict[Interval, float] = {estimate: 3.7, estimate_by_dealing: 2.3}


def simulated(family: str, shift: float, shared: float = 0.3, models: int = 100, oracles: int = 100) -> Pairs:
    def pairs(rng: np.random.Generator) -> tuple[ndarray, ndarray]:
        unlearned = draw(rng, models, LARGE.stop, family=family, shared=shared) + np.float32(shift)
        return unlearned, draw(rng, oracles, LARGE.stop, family=family, shared=shared)

    return pairs


def halved(margins: ndarray, shift: float) -> Pairs:
    some = margins[:, -LARGE.stop :]

    def pairs(rng: np.random.Generator) -> tuple[ndarray, ndarray]:
        unlearned, oracle = halves(rng, some)
        return unlearned + np.float32(shift) * some.std(axis=0), oracle

    return pairs


def bootstrap(statistic: Callable[[ndarray, ndarray], ndarray], unlearned: ndarray, oracle: ndarray) -> list[Estimate]:
    """Models drawn again with replacement, percentiles: what must not be done."""
    rng = np.random.default_rng(len(unlearned))
    again = [
        statistic(*(side[rng.integers(len(side), size=len(side))] for side in (unlearned, oracle))) for _ in range(99)
    ]
    limits = np.percentile(again, [2.5, 97.5], axis=0)
    return [Estimate(*map(float, each)) for each in zip(statistic(unlearned, oracle), *limits, strict=True)]


@pytest.mark.parametrize("shift", [0, 1, 3])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("runs", RUNS)
def test_covers_simulated_ensembles(family: str, shift: float, runs: int) -> None:
    check(simulated(family, shift), runs)


@pytest.mark.slow
@pytest.mark.parametrize("shared", [0.05, 0.3])
@pytest.mark.parametrize("shift", [0, 1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_covers_simulated_ensembles_in_a_thousand_runs(family: str, shift: float, shared: float) -> None:
    check(simulated(family, shift, shared), runs=1000)


@pytest.mark.parametrize("shift", [0, 1, 3])
@pytest.mark.parametrize("runs", RUNS)
def test_covers_halvings_of_real_oracles(oracle_margins: ndarray, shift: float, runs: int) -> None:
    check(halved(oracle_margins, shift), runs)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0, 1, 3])
def test_covers_halvings_of_real_oracles_in_a_thousand_runs(oracle_margins: ndarray, shift: float) -> None:
    check(halved(oracle_margins, shift), runs=1000)


@pytest.mark.parametrize(
    ("shift", "runs"), [(0, 20), *(pytest.param(shift, 100, marks=pytest.mark.slow) for shift in (0, 1, 3))]
)
def test_the_jackknife_covers_too_and_is_wider(oracle_margins: ndarray, shift: float, runs: int) -> None:
    check(halved(oracle_margins, shift), runs, interval=estimate)
    _, dealt = coverage(halved(oracle_margins, shift), runs // 4, estimate_by_dealing)
    _, jackknife = coverage(halved(oracle_margins, shift), runs // 4, estimate)
    assert (dealt < jackknife).all()


@pytest.mark.slow
def test_without_its_factor_the_dealt_interval_covers_too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dealing, "INFLATION", 1.0)
    covered, _ = coverage(simulated("t3", 3), 1000, estimate_by_dealing)
    assert covered.min() < least_coverage(1000)


@pytest.mark.parametrize(("models", "oracles"), [(50, 100), (10, 100)])
@pytest.mark.parametrize("runs", RUNS)
def test_covers_with_unequal_numbers_of_models(models: int, oracles: int, runs: int) -> None:
    check(simulated("normal", 1, models=models, oracles=oracles), runs)


def test_the_check_of_coverage_fails_a_bootstrap() -> None:
    covered, _ = coverage(simulated("normal", 0), runs=10, interval=bootstrap)
    assert covered.max() < least_coverage(10) / 2  # it covers never


def test_the_check_of_coverage_fails_it_on_real_oracles(oracle_margins: ndarray) -> None:
    covered, _ = coverage(halved(oracle_margins, 0), runs=10, interval=bootstrap)
    assert covered.max() < least_coverage(10) / 2


def mean_difference(unlearned: ndarray, oracle: ndarray) -> ndarray:
    difference: ndarray = unlearned.mean(axis=0) - oracle.mean(axis=0)
    return difference


def test_of_means_it_is_the_textbook_interval() -> None:
    rng = np.random.default_rng(0)
    unlearned, oracle = rng.normal(size=(12, 1)), rng.normal(size=(7, 1))
    parts = unlearned.var(ddof=1) / 12, oracle.var(ddof=1) / 7
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 11 + parts[1] ** 2 / 6)
    half = student_t.ppf(0.975, freedom) * np.sqrt(sum(parts))
    (found,) = estimate(mean_difference, unlearned, oracle)
    assert (found.value - found.low, found.high - found.value) == pytest.approx((half, half))


def test_groups_of_unequal_size_estimate_the_same_variance() -> None:
    rng = np.random.default_rng(1)
    unlearned, oracle = rng.normal(size=(50, 2000)), np.zeros((2, 2000))  # 50 models in 20 groups: 2 or 3 each
    found = estimate(mean_difference, unlearned, oracle)
    variance = np.mean([((each.high - each.value) / student_t.ppf(0.975, 19)) ** 2 for each in found])
    assert variance == pytest.approx(1 / 50, rel=0.03)


def test_two_models_have_an_interval_and_one_has_none() -> None:
    rng = np.random.default_rng(2)
    (found, _) = estimate(p95, draw(rng, 2, 410), draw(rng, 3, 410))
    assert found.low < found.value < found.high
    with pytest.raises(TooFewModels, match="expected 2 models or more"):
        estimate(p95, draw(rng, 1, 410), draw(rng, 3, 410))


def test_an_interval_is_cut_at_its_bounds() -> None:
    rng = np.random.default_rng(3)
    (found,) = estimate(mean_difference, rng.normal(size=(3, 1)), rng.normal(size=(3, 1)), bounds=(-0.1, 0.2))
    assert (found.low, found.high) == (-0.1, 0.2)


def two_methods(rng: np.random.Generator, gap: float) -> tuple[ndarray, ndarray, ndarray]:
    """Two methods on the same pretrained models, so that their margins share much; the second is worse by ``gap``."""
    start = draw(rng, 100, 410)
    first, second = (start + 0.5 * draw(rng, 100, 410) + np.float32(extra) for extra in (0.5, 0.5 + gap))
    return first, second, draw(rng, 100, 410)


@pytest.mark.parametrize("runs", RUNS)
def test_equal_methods_are_rarely_called_different(runs: int) -> None:
    rng = np.random.default_rng(4)
    p = np.array([[each.p_value for each in paired_difference(p95, *two_methods(rng, 0.0))] for _ in range(runs)])
    assert ((p <= 0.05).sum(axis=0) <= binom.ppf(0.999, runs, 0.05)).all()


def test_a_worse_method_is_called_worse() -> None:
    found = paired_difference(p95, *two_methods(np.random.default_rng(5), 0.7))[1]
    assert found.high < 0
    assert found.p_value < 0.01


def test_the_difference_turns_round_with_the_methods() -> None:
    first, second, oracle = two_methods(np.random.default_rng(6), 0.1)
    there, back = paired_difference(p95, first, second, oracle), paired_difference(p95, second, first, oracle)
    for one, other in zip(there, back, strict=True):
        assert (one.value, one.low, one.p_value) == pytest.approx((-other.value, -other.high, other.p_value))


def test_a_method_does_not_differ_from_itself() -> None:
    first, _, oracle = two_methods(np.random.default_rng(7), 0.0)
    assert [each.p_value for each in paired_difference(p95, first, first, oracle)] == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_the_p_value_and_bonferroni_and_keeps_the_order(p_values: list[float]) -> None:
    p, adjusted = np.array(p_values), holm(p_values)
    assert ((adjusted >= p) & (adjusted <= np.minimum(1, p * p.size))).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()

"""False flags are rare, true ones are raised; and what goes wrong without the correction for many examples."""

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
from numpy import ndarray
from scipy.stats import binom

from expunge.errors import BadMargins, BadSetting, MismatchedEnsembles, TooFewModels
from expunge.metrics.anderson_darling import deal_labels, left_out_statistics, statistics_of
from expunge.metrics.distinguishable import distinguishable, distinguishable_share
from expunge.metrics.flagging import flag_rule
from expunge.metrics.jackknife import group_models, left_out
from tests.metrics.simulated import draw, halves

Flags = Callable[[ndarray, ndarray], ndarray]
FEW, MANY = 199, 1000  # permutations
SOME = 4  # of so many examples of digits one is looked at, but in `make test-all`


def most_alarms(runs: int) -> float:
    """What false alarms at a rate of 5 % exceed once in a thousand times."""
    return float(binom.ppf(0.999, runs, 0.05))


def corrected(unlearned: ndarray, oracle: ndarray) -> ndarray:
    return distinguishable(unlearned, oracle, permutations=FEW)


def p_values(unlearned: ndarray, oracle: ndarray) -> ndarray:
    """Each example's own permutation p-value, from its own permutations."""
    statistics = statistics_of(unlearned, oracle, deal_labels(len(unlearned), len(oracle), FEW, 0))
    shares: ndarray = (statistics >= statistics[:, :1]).mean(axis=1)
    return shares


def uncorrected(unlearned: ndarray, oracle: ndarray) -> ndarray:
    """A mutant: as if each example were the only one."""
    flags: ndarray = p_values(unlearned, oracle) <= 0.05
    return flags


def unpooled(unlearned: ndarray, oracle: ndarray) -> ndarray:
    """A mutant: Benjamini-Hochberg on p-values that no example shares with another, and that cannot be small enough."""
    p = p_values(unlearned, oracle)
    order = np.argsort(p)
    passed = np.flatnonzero(p[order] <= 0.05 * np.arange(1, p.size + 1) / p.size)
    flags = np.zeros(p.size, bool)
    flags[order[: passed[-1] + 1 if passed.size else 0]] = True
    return flags


def alarms(margins: ndarray, runs: int, flags: Flags = corrected) -> int:
    """In how many of ``runs`` random halvings any example is flagged."""
    rng = np.random.default_rng(0)
    count = sum(bool(flags(*halves(rng, margins)).any()) for _ in range(runs))
    print(f"any flag in {count} of {runs} halvings")
    return count


def test_halvings_of_real_oracles_are_rarely_flagged(oracle_margins: ndarray) -> None:
    assert alarms(oracle_margins[:, ::SOME], 100) <= most_alarms(100)


@pytest.mark.slow
def test_halvings_of_real_oracles_are_rarely_flagged_in_a_thousand_runs(oracle_margins: ndarray) -> None:
    assert alarms(oracle_margins, 1000, lambda *pair: distinguishable(*pair, permutations=MANY)) <= most_alarms(1000)


def test_without_the_correction_they_are_flagged_always(oracle_margins: ndarray) -> None:
    assert alarms(oracle_margins[:, ::SOME], 20, uncorrected) > most_alarms(20)


SIZES = [(100, 100), (50, 100), (10, 10)]
SHARED = [0.0, 0.7, 0.98]


@pytest.mark.parametrize(
    ("models", "oracles", "shared"),
    [
        pytest.param(*sizes, shared, marks=() if SIZES.index(sizes) == SHARED.index(shared) else pytest.mark.slow)
        for sizes in SIZES
        for shared in SHARED
    ],
)
def test_equal_ensembles_are_rarely_flagged(models: int, oracles: int, shared: float) -> None:
    rng, runs = np.random.default_rng(1), 100
    pairs = [[draw(rng, count, 200, shared=shared) for count in (models, oracles)] for _ in range(runs)]
    assert sum(bool(corrected(*pair).any()) for pair in pairs) <= most_alarms(runs)


def test_ties_are_rarely_flagged() -> None:
    rng, runs = np.random.default_rng(2), 100
    pairs = [[draw(rng, 50, 200).round() for _ in range(2)] for _ in range(runs)]  # about 7 different margins
    assert sum(bool(corrected(*pair).any()) for pair in pairs) <= most_alarms(runs)


def shifted(
    rng: np.random.Generator, part: float, shared: float, shift: float = 1.5
) -> tuple[ndarray, ndarray, ndarray]:
    """A pair of 100 against 100 models, and which of 400 examples, a share of ``part``, are really shifted."""
    truth = np.arange(400) < part * 400
    return draw(rng, 100, 400, shared=shared) + np.float32(shift) * truth, draw(rng, 100, 400, shared=shared), truth


def found_and_false(part: float, shared: float, runs: int, flags: Flags = corrected) -> tuple[float, float]:
    """The mean share of shifted examples that are flagged, and of flagged examples that are not shifted."""
    rng, found, false = np.random.default_rng(3), [], []
    for _ in range(runs):
        *pair, truth = shifted(rng, part, shared)
        flagged = flags(*pair)
        found.append(flagged[truth].mean())
        false.append((flagged & ~truth).sum() / max(flagged.sum(), 1))
    print(f"{part:.0%} shifted, {shared:.0%} shared: found {np.mean(found):.3f}, false {np.mean(false):.4f}")
    return float(np.mean(found)), float(np.mean(false))


@pytest.mark.parametrize(("part", "shared"), [(0.05, 0.0), (0.05, 0.98), (0.5, 0.7), (1.0, 0.0)])
def test_shifted_examples_are_found_and_few_others(part: float, shared: float) -> None:
    runs = 40
    found, false = found_and_false(part, shared, runs)
    assert found >= 0.9
    assert false <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs) * (shared > 0)  # dependent flags are false all at once


@pytest.mark.slow
@pytest.mark.parametrize("shared", [0.0, 0.7, 0.98])
@pytest.mark.parametrize("part", [0.05, 0.5])
def test_shifted_examples_are_found_and_few_others_in_a_thousand_runs(part: float, shared: float) -> None:
    found, false = found_and_false(part, shared, runs=1000)
    assert found >= 0.9
    assert false <= 0.05


def test_without_the_correction_most_flags_are_false_where_few_examples_are_shifted() -> None:
    assert found_and_false(0.05, 0.0, runs=10, flags=uncorrected)[1] > 0.3


def test_without_pooling_few_shifted_examples_are_not_found() -> None:
    assert found_and_false(0.05, 0.0, runs=10, flags=unpooled)[0] < 0.9


@pytest.mark.parametrize("change", [lambda x: x + 1, lambda x: 2 * x, lambda x: np.sign(x) + 0.1 * x])
def test_sees_location_scale_and_shape(change: Callable[[ndarray], ndarray]) -> None:
    rng = np.random.default_rng(4)
    assert corrected(change(draw(rng, 100, 50)), draw(rng, 100, 50)).mean() > 0.9


def test_a_constant_is_neither_missed_nor_invented() -> None:
    rng = np.random.default_rng(5)
    unlearned, oracle = draw(rng, 100, 4), draw(rng, 100, 4)
    unlearned[:, 0] = 0.0  # amid the oracles
    unlearned[:, 1] = 9.0  # above all of them
    unlearned[:, 2] = oracle[:, 2] = 1.0  # the same constant
    assert corrected(unlearned, oracle).tolist() == [True, True, False, False]


def test_the_statistic_is_that_of_pettitt() -> None:
    rng = np.random.default_rng(6)
    unlearned, oracle = rng.normal(size=(6, 1)), rng.normal(size=(9, 1))
    order = np.argsort(np.concatenate([unlearned, oracle])[:, 0])
    below, k = np.cumsum(order < 6)[:-1], np.arange(1, 15)
    expected = ((below * 15 - k * 6) ** 2 / (k * (15 - k))).sum() / (6 * 9)
    assert statistics_of(unlearned, oracle, deal_labels(6, 9, 0, 0))[0, 0] == pytest.approx(expected)


def test_tied_margins_count_as_on_average_over_their_orders() -> None:
    oracle, unlearned = np.array([[0.0], [1.0], [3.0]]), np.array([[1.0], [1.0]])
    k, share = np.arange(1, 5), 2 / 5
    counts = [np.cumsum([0, *order, 0])[:-1] for order in permutations([1, 1, 0])]
    expected = ((np.mean(counts, axis=0) - k * share) ** 2 / (k * (5 - k) * share * (1 - share))).sum()
    assert statistics_of(unlearned, oracle, deal_labels(2, 3, 0, 0))[0, 0] == pytest.approx(expected)


def test_the_seed_decides_on_the_rule() -> None:
    pair = [draw(np.random.default_rng(seed), 20, 50) for seed in (7, 8)]
    rules = [flag_rule(*pair, permutations=FEW, seed=seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(rules[0].tail, rules[1].tail)
    assert not np.array_equal(rules[0].tail, rules[2].tail)


@pytest.mark.parametrize(("models", "oracles"), [(3, 3), (1, 18), (2, 4)])
def test_too_few_models_for_any_flag_are_refused(models: int, oracles: int) -> None:
    with pytest.raises(TooFewModels, match="take more models"):
        distinguishable(np.ones((models, 2)), np.zeros((oracles, 2)))


@pytest.mark.parametrize(("models", "oracles"), [(4, 4), (1, 19), (3, 4)])
def test_as_few_models_as_can_be_flagged_are_flagged(models: int, oracles: int) -> None:
    rng = np.random.default_rng(9)
    assert distinguishable(draw(rng, models, 40) + 99, draw(rng, oracles, 40)).all()


def test_refuses_what_it_cannot_test() -> None:
    good = np.zeros((20, 2))
    with pytest.raises(BadSetting, match="19 permutations or more"):
        distinguishable(good, good, permutations=18)
    with pytest.raises(BadSetting, match="rate"):
        distinguishable(good, good, rate=1.0)
    with pytest.raises(BadSetting, match="empty"):
        distinguishable_share(good, good, [np.array([], int)])
    with pytest.raises(BadMargins, match=r"unlearned: .* model 0"):
        distinguishable(np.full((20, 2), np.nan), good)
    with pytest.raises(MismatchedEnsembles, match="same columns"):
        distinguishable(good, np.zeros((20, 3)))


def test_shares_are_those_of_the_flags() -> None:
    rng, splits = np.random.default_rng(10), [np.arange(0, 400, 2), np.arange(1, 400, 2)]
    unlearned, oracle, _ = shifted(rng, 0.4, 0.05, shift=0.7)
    flags, shares = distinguishable_share(unlearned, oracle, splits, permutations=FEW)
    np.testing.assert_array_equal(flags, corrected(unlearned, oracle))
    assert [each.value for each in shares] == [flags[split].mean() for split in splits]
    assert all(0 <= each.low < each.value < each.high <= 1 for each in shares)


@pytest.mark.parametrize(("part", "shift"), [(0.0, 0.0), (0.2, 1.0), (1.0, 0.5)])
def test_the_interval_of_a_share_covers(part: float, shift: float) -> None:
    rng, runs, rows = np.random.default_rng(11), 40, []
    order = np.random.default_rng(12).permutation(400)
    splits = [order[:50], order[50:]]
    for _ in range(runs):
        unlearned, oracle, _ = shifted(rng, part, 0.05, shift)
        _, shares = distinguishable_share(unlearned, oracle, splits, permutations=99)
        rows.append([(s.value, s.low, s.high) for s in shares])
    value, low, high = np.moveaxis(np.array(rows), 2, 0)
    covered = ((low <= value.mean(axis=0)) & (value.mean(axis=0) <= high)).mean(axis=0)
    print(f"{part:.0%} shifted by {shift}: share {value.mean(axis=0)}, coverage {covered}")
    assert covered.min() >= binom.ppf(0.001, runs, 0.95) / runs


def with_ties(models: int, examples: int) -> ndarray:
    margins = draw(np.random.default_rng(models), models, examples, shared=0.05)
    margins[:, : examples // 2] = margins[:, : examples // 2].round()
    return margins


def test_the_statistic_is_its_formula_in_single_precision_with_ties_and_without() -> None:
    """To the last bit: a count of the unlearned that rises in a straight line over equal margins."""
    unlearned, oracle = with_ties(9, 12), with_ties(7, 12)
    labels = deal_labels(9, 7, 20, 0)
    pooled = np.concatenate([unlearned, oracle]).astype(np.float64)
    share, gaps = 9 / 16, np.arange(1, 16)
    weight = np.append(1 / (gaps * (16 - gaps) * share * (1 - share)), 0).astype(np.float32)
    expected = np.zeros((12, 21), np.float32)
    for example, column in np.ndindex(expected.shape):
        values, count, k = pooled[:, example], np.float32(0), 0
        for value in np.unique(values):
            same = values == value
            for _ in range(same.sum()):
                count += labels[same, column].sum() * np.float32(1 / same.sum())
                expected[example, column] += weight[k] * (count - np.float32((k + 1) * share)) ** 2
                k += 1
    np.testing.assert_array_equal(statistics_of(unlearned, oracle, labels), expected)


def test_leaving_models_out_is_as_if_they_were_not_there() -> None:
    unlearned, oracle = with_ties(30, 40), with_ties(25, 40)
    versions = left_out(group_models(unlearned, oracle, 6))
    found = list(left_out_statistics(unlearned, oracle, versions))
    assert len(found) == 13
    for statistics, (kept, others) in zip(found, versions, strict=True):
        part = unlearned[kept], oracle[others]
        labels = deal_labels(len(part[0]), len(part[1]), 0, 0)
        np.testing.assert_array_equal(statistics, statistics_of(*part, labels)[:, 0])

"""The distance, the share of the gap and the drift: right on real ensembles, with intervals that cover."""

import numpy as np
import pytest
from numpy import ndarray
from scipy.stats import binom

from expunge.bench.score import reference_of, untouched
from expunge.ensembles import EnsembleMargins, Plan, read_margins
from expunge.metrics import METRICS, Row
from expunge.metrics.blockwise import ByExample
from expunge.metrics.calibration import Estimate, estimate, estimate_of, paired_difference
from expunge.metrics.dealing import dealt_spread
from expunge.metrics.distance import gap_closed, has_headroom
from expunge.metrics.jackknife import LeftOut, leave_out
from expunge.metrics.wasserstein import wasserstein
from expunge.suites import Suite
from tests.metrics.simulated import FAMILIES, draw

SHIFTS = [0, 1, 3, 8]
SLOW = pytest.mark.slow
SIMULATED = [  # few runs show a gross error, more are for `make test-all`
    *(("normal", shift, 20) for shift in SHIFTS[::2]),
    *(pytest.param(family, shift, 1000, marks=SLOW) for family in FAMILIES for shift in SHIFTS),
]
HALVED = [*((shift, 20) for shift in SHIFTS[::2]), *(pytest.param(shift, 1000, marks=SLOW) for shift in SHIFTS)]
GAPS = [
    (3, 0.3, 25),
    *(pytest.param(shift, way, 1000, marks=SLOW) for shift in SHIFTS[1:] for way in (0.0, 0.3, 0.9)),
]
SMALL, LARGE = slice(0, 50), slice(50, 410)


def means(values: ndarray) -> ndarray:
    return np.array([values[part].mean() for part in (SMALL, LARGE)])


def mean_distance(unlearned: ndarray, oracle: ndarray) -> ndarray:
    return means(wasserstein(unlearned, oracle))


def left_out(unlearned: ndarray, oracle: ndarray) -> LeftOut:
    return leave_out(ByExample(wasserstein, means), unlearned, oracle)


def least_coverage(runs: int, of: float = 0.93) -> float:
    """What an interval that covers in 93 % of runs falls below once in a thousand times."""
    return float(binom.ppf(0.001, runs, of)) / runs if runs < 1000 else of


def covered(found: list[list[Estimate]], truth: ndarray | None = None) -> ndarray:
    """How often the interval of each number holds the mean over the runs, or the truth."""
    value, low, high = np.moveaxis(np.array([[(e.value, e.low, e.high) for e in each] for each in found]), 2, 0)
    truth = value.mean(axis=0) if truth is None else truth
    shares: ndarray = ((low <= truth) & (truth <= high)).mean(axis=0)
    print(f"{len(found)} runs: truth {truth.round(3)}, coverage {shares.round(3)}")
    return shares


def interval(unlearned: ndarray, oracle: ndarray, held_out: ndarray) -> list[Estimate]:
    """That of the distance, as a row has it."""
    besides = dealt_spread(ByExample(wasserstein, means), held_out, oracle)
    found = estimate_of(lambda mine: mine, [left_out(unlearned, oracle)], besides=besides)
    return [Estimate(e.value, e.low, e.high) for e in found]


@pytest.mark.parametrize(("family", "shift", "runs"), SIMULATED)
def test_the_interval_of_the_distance_covers_simulated_ensembles(family: str, shift: float, runs: int) -> None:
    rng = np.random.default_rng(0)
    triples = ([draw(rng, 100, 410, family=family) for _ in range(3)] for _ in range(runs))
    found = [interval(one + np.float32(shift), other, held_out) for one, other, held_out in triples]
    assert covered(found).min() >= least_coverage(runs)


@pytest.mark.parametrize(("shift", "runs"), HALVED)
def test_the_interval_of_the_distance_covers_halvings_of_oracles(
    oracle_margins: ndarray, shift: float, runs: int
) -> None:
    rng, some = np.random.default_rng(0), oracle_margins[:, -410:]
    moved = np.float32(shift) * some.std(axis=0)
    orders = [rng.permutation(200) for _ in range(runs)]
    found = [interval(some[order[:100]] + moved, some[order[100:]], some[order[:100]]) for order in orders]
    assert covered(found).min() >= least_coverage(runs)


@SLOW
def test_the_jackknife_alone_covers_too_little_at_the_floor() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(300):
        estimates = estimate_of(lambda mine: mine, [left_out(draw(rng, 100, 410), draw(rng, 100, 410))])
        found.append([Estimate(e.value, e.low, e.high) for e in estimates])
    assert covered(found).min() < 0.93


def test_without_the_oracles_part_an_interval_covers_too_little() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(60):
        numbers = left_out(draw(rng, 100, 410) + np.float32(3), draw(rng, 100, 410))
        still = LeftOut(numbers.whole, numbers.without_models, np.tile(numbers.whole, (20, 1)), numbers.grouped)
        found.append([Estimate(e.value, e.low, e.high) for e in estimate_of(lambda mine: mine, [still])])
    assert covered(found).max() < 0.9


def simulated_gap(rng: np.random.Generator, shift: float, way: float) -> tuple[LeftOut, LeftOut, LeftOut]:
    """A method that goes a share of the way from the untouched models, on the same models, and the floor."""
    oracle, nothing = draw(rng, 100, 410), draw(rng, 100, 410) + np.float32(shift)
    method = nothing - np.float32(way * shift) + np.float32(0.2) * draw(rng, 100, 410, shared=0.0)
    return left_out(method, oracle), left_out(nothing, oracle), left_out(draw(rng, 100, 410), oracle)


@pytest.mark.parametrize(("shift", "way", "runs"), GAPS)
def test_the_interval_of_the_gap_closed_covers(shift: float, way: float, runs: int) -> None:
    rng = np.random.default_rng(0)
    found = [
        [
            Estimate(e.value, e.low, e.high)
            for e in estimate_of(gap_closed, simulated_gap(rng, shift, way), pairs=[(0, 1)])
        ]
        for _ in range(runs)
    ]
    assert covered(found).min() >= least_coverage(runs)


def test_pairs_narrow_what_they_share_away() -> None:
    numbers = simulated_gap(np.random.default_rng(0), 3, 0.3)
    paired, alone = (estimate_of(gap_closed, numbers, pairs=pairs)[0] for pairs in ([(0, 1)], []))
    assert paired.value == alone.value
    assert paired.high - paired.low < (alone.high - alone.low) / 2


def test_of_one_ensemble_it_is_the_jackknife_and_of_a_pair_the_paired_difference() -> None:
    rng = np.random.default_rng(0)
    oracle, first, second = (draw(rng, 30, 410) for _ in range(3))
    numbers = [left_out(each, oracle) for each in (first, second)]
    statistic = ByExample(wasserstein, means)
    for found, expected in zip(
        estimate_of(lambda mine: mine, numbers[:1]), estimate(statistic, first, oracle), strict=True
    ):
        assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
    found_pairs = estimate_of(lambda one, other: one - other, numbers, pairs=[(0, 1)])
    for one, other in zip(found_pairs, paired_difference(statistic, first, second, oracle), strict=True):
        assert (one.value, one.low, one.p_value) == pytest.approx((other.value, other.low, other.p_value))


def rows_of(suite: Suite, name: str, models: int) -> tuple[Row, Row]:
    """The untouched models, and oracles that are neither the reference nor the floor."""
    forget, plan = suite.forget_sets[name], Plan(suite, "oracle", suite.forget_sets[name])
    more = read_margins(plan, 100 + models, models)
    nothing = untouched(suite, models)
    assert nothing is not None
    return Row(suite, forget, "identity", nothing), Row(suite, forget, "perfect", more)


def numbers_of(row: Row, metric: str, models: int, oracles: int = 100) -> dict[str, Estimate]:
    scores = METRICS[metric].scores
    assert scores is not None
    found = scores(row, reference_of(row.suite, row.forget, models, oracles)).scores
    return {each.split: Estimate(each.value, each.low, each.high) for each in found}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "expected"), [("class-3", 7.33), ("memorised-50", 2.02), ("neighbours-50", 1.00), ("subclass-50", 1.61)]
)
def test_doing_nothing_lies_as_far_as_measured_before(suite: Suite, name: str, expected: float) -> None:
    """Class-3 with 30 models is a figure of another implementation."""
    models = 30 if name == "class-3" else 100
    nothing = Row(suite, suite.forget_sets[name], "identity", read_margins(Plan(suite, "pretrained"), 0, models))
    assert numbers_of(nothing, "distance", models)["forget"].value == pytest.approx(expected, abs=0.005)


def test_doing_nothing_closes_nothing_and_oracles_close_all(suite: Suite) -> None:
    for name in suite.forget_sets:
        nothing, perfect = rows_of(suite, name, 25)
        assert numbers_of(nothing, "gap-closed", 25)["forget"] == Estimate(0.0, 0.0, 0.0)
        closed = numbers_of(perfect, "gap-closed", 25)["forget"]
        assert closed.low <= 1 <= closed.high, name
        for drift in numbers_of(perfect, "drift", 25).values():
            assert drift.low <= 0 <= drift.high or abs(drift.value) < 0.05, name


def test_shares_of_a_gap_that_is_not_there_are_not_told(suite: Suite) -> None:
    forget = suite.forget_sets["random-50"]
    reference = reference_of(suite, forget, 100, 100)
    assert reference.nothing is not None
    assert has_headroom(reference.nothing, reference.floor)
    assert not has_headroom(reference.floor, reference.nothing)
    plan = Plan(suite, "oracle", forget)
    near = EnsembleMargins(read_margins(plan, 100, 100).values + np.float32(0.05), None, plan.origin(range(100)))
    assert not has_headroom(reference.distances(near), reference.floor)


def test_few_models_leave_less_headroom(suite: Suite) -> None:
    reference = reference_of(suite, suite.forget_sets["random-10"], 6, 6)
    assert reference.nothing is not None
    assert not has_headroom(reference.nothing, reference.floor)

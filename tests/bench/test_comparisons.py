"""Two rows side by side: what ranks them, what their records say, and what a permutation of the models says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray
from scipy.stats import binom

from expunge.bench.comparisons import compare, compare_all
from expunge.bench.opened import open_run
from expunge.bench.plan import plan_bench
from expunge.bench.run import run_bench
from expunge.errors import BadSetting, MismatchedEnsembles, StoreError, UnknownName
from expunge.metrics.ranking import LEVEL, compare_pairs, distances_of, rank
from expunge.metrics.wasserstein import least_scale, wasserstein
from expunge.records import SPLITS as SPLIT_NAMES
from expunge.records import read_scores, write_scores
from expunge.suites import Suite
from tests.metrics.simulated import FAMILIES, draw
from tests.records import changed
from tests.reports.synthetic import write_bench

SPLITS = [np.arange(0, 10), np.arange(10, 30), np.arange(30, 40)]


@pytest.fixture(scope="module")
def benched(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bench whose records and arrays belong together."""
    out = tmp_path_factory.mktemp("benched")
    methods = ["gradient-ascent", "first-order"]
    run_bench(plan_bench(suite, methods, ["random-10"], models=4, metrics=["distance", "drift"], tuning="default"), out)
    return out


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder as a bench leaves it, with rows that failed or share no models."""
    return write_bench(tmp_path / "out")


def test_against_the_floor_it_is_the_drift_of_the_records(benched: Path) -> None:
    run = open_run(benched)
    found = compare(run, "gradient-ascent", "oracle")
    told = {
        each.split: each for each in run.scores if each.metric == "drift" and each.subject.method == "gradient-ascent"
    }
    assert set(told) == {"retain", "test"}
    for split, drift in told.items():
        each = found.splits[split]
        assert (each.value, each.low, each.high) == pytest.approx((drift.value, drift.low, drift.high), abs=1e-6)


def test_a_run_and_a_comparison_are_told_in_a_line(benched: Path) -> None:
    run = open_run(benched)
    one, other, *_ = (name for name in run.forget_set().methods if name not in run.forget_set().failed)
    found = compare(benched, one, other)
    assert compare(run, one, other) == found
    assert max(len(repr(run)), len(repr(found))) < 200


def test_the_matrix_is_what_ranks_are_made_of(run: Path) -> None:
    found = open_run(run).forget_set("random-12")
    matrix = compare_all(found)
    splits = [found.splits[split] for split in SPLIT_NAMES]
    ranks = rank({name: found.margins(name) for name in matrix.methods}, found.oracles, splits)
    for name, place in ranks.items():
        others = [matrix.pair(name, other) for other in matrix.methods if other != name]
        assert place.best == 1 + sum(bool(pair.nearer) and pair.nearer != name for pair in others)


def test_its_values_are_those_of_the_records(benched: Path) -> None:
    run = open_run(benched)
    found = compare(run, "gradient-ascent", "identity", examples=2)
    means = {
        (each.subject.method, each.split): each.value for each in run.scores if each.metric == "distance" and each.value
    }
    for split, each in found.splits.items():
        assert each.value == pytest.approx(means["gradient-ascent", split] - means["identity", split], abs=1e-6)
    kept = open_run(benched).forget_set().values("gradient-ascent", "distance")
    assert kept is not None
    assert [each.first for each in found.examples] == pytest.approx([kept[each.column] for each in found.examples])
    assert [each.split for each in found.examples] == ["forget"] * 2 + ["retain"] * 2 + ["test"] * 2


def test_the_matrix_has_every_two_rows_that_share_models(benched: Path) -> None:
    found = compare_all(open_run(benched).forget_set())
    assert set(found.methods) == {"gradient-ascent", "first-order", "identity"}
    assert len(found.pairs) == 3
    assert found.left_out == {"oracle": "shares no models with others"}
    assert all(pair.corrected >= pair.mean.p_value for pair in found.pairs)
    assert found.pair("identity", "gradient-ascent") is found.pair("gradient-ascent", "identity")


def swapped(one: ndarray, other: ndarray, oracle: ndarray, rng: np.random.Generator, draws: int = 99) -> float:
    """The p-value of a permutation test: each model's two versions change places or not, at random."""
    least = least_scale(oracle)

    def mean(margins: ndarray) -> float:
        values = wasserstein(margins, oracle, least=least)
        return float(np.mean([values[split].mean() for split in SPLITS]))

    seen, more = abs(mean(one) - mean(other)), 0
    for _ in range(draws):
        there = rng.random((len(one), 1)) < 0.5
        more += abs(mean(np.where(there, other, one)) - mean(np.where(there, one, other))) >= seen
    return (1 + more) / (1 + draws)


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES if name != "normal"]


@pytest.mark.parametrize("family", ["normal", *SLOW])
def test_agrees_with_a_permutation_test_over_models(family: str) -> None:
    both = []
    for seed, apart in enumerate((0, 0, 0.05, 0.05, 0.1, 0.1, 0.2, 0.2, 0.4, 0.4)):
        rng = np.random.default_rng(seed)
        oracle, before = (draw(rng, 40, 40, family=family) for _ in range(2))
        one, other = (before + 1 + far + 0.5 * draw(rng, 40, 40, family=family) for far in (0, apart))
        (pair,) = compare_pairs(distances_of({"one": one, "other": other}, oracle, SPLITS))
        both.append((pair.mean.p_value, swapped(one, other, oracle, rng)))
    mine, theirs = np.array(both).T
    assert np.corrcoef(mine, theirs)[0, 1] > 0.95
    assert (np.abs(mine - theirs) < 0.16).all()
    assert ((mine <= LEVEL) == (theirs <= LEVEL)).sum() >= 9


def alarms(margins: ndarray, splits: list[ndarray], runs: int, shift: float, models: int = 20) -> ndarray:
    """How often two groups of oracles, both moved by ``shift`` sd, are told apart on each split and over all."""
    moved = shift * margins.std(axis=0, ddof=1)
    rng, told = np.random.default_rng(0), []
    for _ in range(runs):
        one, other, oracle = np.split(margins[rng.permutation(len(margins))[: 3 * models]], 3)
        (pair,) = compare_pairs(distances_of({"one": one + moved, "other": other + moved}, oracle, splits))
        told.append([each.p_value <= LEVEL for each in (*pair.splits, pair.mean)])
    counts: ndarray = np.sum(told, axis=0)
    return counts


MANY = [pytest.param(*each, marks=pytest.mark.slow) for each in ((0, 1000), (1, 1000))]


@pytest.mark.parametrize(("shift", "runs"), [(0, 8), (1, 8), *MANY])
def test_groups_of_real_oracles_are_told_apart_in_one_of_twenty_runs_at_most(
    oracle_margins: ndarray, suite: Suite, shift: float, runs: int
) -> None:
    splits = list(suite.columns(suite.forget_sets["random-50"]).values())
    assert (alarms(oracle_margins, splits, runs, shift) <= binom.ppf(0.999, runs, LEVEL)).all()


def test_who_is_nearer_is_told_where_the_corrected_p_value_allows_it(benched: Path) -> None:
    pair = replace(compare_all(open_run(benched).forget_set()).pairs[0], first="a", second="b", corrected=0.05)
    assert replace(pair, corrected=0.051).nearer == ""
    assert replace(pair, mean=replace(pair.mean, value=1.0)).nearer == "b"
    assert replace(pair, mean=replace(pair.mean, value=-1.0)).nearer == "a"


@pytest.mark.parametrize(
    ("methods", "error", "message"),
    [
        (("scrub", "scrubb"), UnknownName, "'scrubb'; did you mean 'scrub'?"),
        (("scrub", "newton"), BadSetting, "'newton' failed on 'random-12' and has no numbers: diverged"),
        (("scrub", "fine-tune"), BadSetting, "expected forget_set, one of random-12, class-3, got none"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    run: Path, methods: tuple[str, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message.replace("?", r"\?")):
        compare(open_run(run), *methods)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": 12}, "got 24 against 24 oracles of 'scrub' and 12 against 24 of 'fine-tune'"),
        ({"forget_digest": "b0" * 8}, "'scrub' and 'fine-tune' forgot other examples on 'class-3'"),
    ],
)
def test_rows_of_other_models_or_examples_are_refused(run: Path, changes: dict[str, object], message: str) -> None:
    scores = read_scores(run / "scores.jsonl")
    write_scores(
        run / "scores.jsonl", [changed(s, **changes) if s.subject.method == "fine-tune" else s for s in scores]
    )
    with pytest.raises(MismatchedEnsembles, match=message):
        compare(open_run(run), "scrub", "fine-tune", forget_set="class-3")


def test_arrays_that_lack_or_are_packed_are_named(run: Path) -> None:
    file = run / "arrays/class-3/scrub.npz"
    np.savez_compressed(file, margins=np.zeros((24, 90), np.float32))
    with pytest.raises(StoreError, match=r"scrub.npz holds no array margins that can be mapped"):
        compare(open_run(run), "scrub", "fine-tune", forget_set="class-3")
    file.unlink()
    with pytest.raises(StoreError, match=r"scrub.npz is not there, and margins are needed"):
        compare(open_run(run), "scrub", "fine-tune", forget_set="class-3")

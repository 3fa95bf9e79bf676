"""Run times: an interval over chunks, beside what a retraining takes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import expunge as xp
from expunge.bench import retraining_time
from expunge.bench.retraining_time import retraining_seconds
from expunge.ensembles import Ensemble
from expunge.ensembles.timed_training import BATCHES
from expunge.methods import METHODS, run_method, running
from expunge.metrics.run_time import run_time
from expunge.suites import ForgetSet, Suite


def test_the_interval_is_students_over_chunks() -> None:
    found = run_time([1.0, 2.0, 3.0])
    assert found.value == 2.0
    assert found.low == 0.0  # cut there
    assert found.high == pytest.approx(2 + 4.302653 / 3**0.5)  # t of 2 degrees, sd 1


def test_a_retraining_is_timed_once_and_then_read(
    suite: Suite, forget: ForgetSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = retraining_seconds(suite, forget)
    assert 0.01 < first < 20
    monkeypatch.setattr(retraining_time, "_seconds_per_example", lambda suite: pytest.fail("timed again"))
    assert retraining_seconds(suite, forget) == first
    larger = suite.forget_sets["random-144"]
    assert retraining_seconds(suite, larger) == pytest.approx(first * (1437 - 144) / (1437 - 50))


def test_a_retraining_of_a_sparse_model_prunes_and_trains_again(
    suite: Suite, forget: ForgetSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retraining_time, "_seconds_per_example", lambda suite: 1e-6)
    dense, sparse = (replace(suite, version=99), replace(suite, version=99).pruned("imp:0.5"))
    ratio = retraining_seconds(sparse, forget) / retraining_seconds(dense, forget)
    assert ratio == pytest.approx(sparse.recipe.passes / dense.recipe.passes)
    assert ratio > 4


def test_a_recipe_that_rewinds_late_can_be_timed(suite: Suite, forget: ForgetSet) -> None:
    late = replace(suite, version=98, chunk=2, recipe=replace(suite.recipe, prune="omp:0.5", rewind=8))
    assert retraining_seconds(late, forget) > 0


def test_a_retraining_is_timed_by_the_seconds_of_its_core(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(10**6))
    monkeypatch.setattr("time.thread_time", lambda: 1000.0 * next(now))
    first = retraining_time._seconds_per_example(suite)
    examples = suite.chunk * BATCHES * suite.recipe.batch_size
    assert first == pytest.approx(1000 / examples)


def test_what_is_done_between_epochs_is_no_time_of_the_method(
    suite: Suite, forget: ForgetSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(running, "work_clock", lambda device: lambda: now[0])
    ensemble = xp.pretrain(suite, 2)

    def walk(student: Ensemble, *rest: object) -> Iterator[Ensemble]:
        for _ in range(3):
            now[0] += 4.0
            yield student

    method, config = METHODS["gradient-ascent"], METHODS["gradient-ascent"].config()
    seconds = []
    for step in run_method("gradient-ascent", replace(method, unlearn=walk), config, ensemble, suite, forget):
        seconds.append(step.seconds)
        now[0] += 100.0  # its margins are measured
    assert seconds == [2.0, 4.0, 6.0]


def test_a_bench_of_two_chunks_has_run_times_and_one_of_one_has_none(suite: Suite, tmp_path: Path) -> None:
    for models, count in ((suite.chunk + 3, 1), (5, 0)):
        plan = xp.plan_bench(suite, ["gradient-ascent"], ["random-10"], models=models)
        scores = xp.run_bench(plan, tmp_path / str(models))
        found = [score for score in scores if score.metric == "run-time"]
        assert len(found) == count
        for score in found:
            assert score.subject.method == "gradient-ascent"
            assert score.value is not None
            assert score.low is not None
            assert score.high is not None
            assert score.oracle is not None
            assert score.low <= score.value <= score.high
            assert score.value < score.oracle

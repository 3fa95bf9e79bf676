"""A planned bench: which numbers it computes, what its records prove, and when they are written."""

from pathlib import Path

import numpy as np
import pytest

from expunge.bench.plan import BenchPlan, plan_bench
from expunge.bench.run import run_bench
from expunge.errors import BadSetting, UnknownName
from expunge.metrics import METRICS
from expunge.records import Score, read_scores
from expunge.suites import Suite

SETS = ["random-10", "class-3"]


def small(
    suite: Suite, *, metrics: list[str] | None = None, classic: bool = False, sets: list[str] = SETS
) -> BenchPlan:
    return plan_bench(suite, ["gradient-ascent"], sets, models=3, metrics=metrics, classic=classic)


def names(scores: list[Score]) -> set[str]:
    return {score.metric for score in scores}


def test_what_takes_long_is_planned_only_where_it_is_asked_for(suite: Suite) -> None:
    plain, classic = (set(small(suite, classic=asked).metrics) for asked in (False, True))
    assert classic - plain == {"mia-efficacy", "mia-efficacy-published", "average-gap"}
    assert plain == METRICS.keys() - {"mia-efficacy", "mia-efficacy-published", "average-gap"}


def test_a_bench_of_some_metrics_has_no_others(suite: Suite, tmp_path: Path) -> None:
    assert names(run_bench(small(suite, metrics=["accuracy", "ua"], sets=["random-10"]), tmp_path)) == {
        "accuracy",
        "ua",
    }
    with pytest.raises(UnknownName, match="unknown metric 'klon'; did you mean 'klom'"):
        small(suite, metrics=["klon"])


def test_records_prove_what_was_forgotten_and_by_which_models(suite: Suite, tmp_path: Path) -> None:
    subjects = {
        (each.subject.forget_set, each.subject.method): each.subject
        for each in run_bench(small(suite, metrics=["accuracy"]), tmp_path)
    }
    for name in SETS:
        rows = [subjects[name, method] for method in ("identity", "oracle", "gradient-ascent")]
        assert {row.forget_digest for row in rows} == {suite.forget_sets[name].sha256}
        assert [row.model_numbers for row in rows] == ["0-2", "100-102", "0-2"]
        assert all(row.device and row.code and not row.lacks for row in rows)
    codes = {subjects[SETS[0], method].code for method in ("identity", "gradient-ascent")}
    assert len(codes) == 2  # other code made the models


def test_a_forget_set_is_written_while_others_still_run(suite: Suite, tmp_path: Path) -> None:
    def stop(done: int, total: int, label: str) -> None:
        assert done <= total
        if label.endswith(f"on {SETS[1]}"):
            raise KeyboardInterrupt

    plan = small(suite, metrics=["accuracy"])
    with pytest.raises(KeyboardInterrupt):
        run_bench(plan, tmp_path, watch=stop)
    written = read_scores(tmp_path / "scores.jsonl")
    assert {score.subject.forget_set for score in written} == {SETS[0]}
    scores = run_bench(plan, tmp_path)
    assert read_scores(tmp_path / "scores.jsonl") == scores
    assert [score for score in scores if score.subject.forget_set == SETS[0]] == written


def stopped_after(plan: BenchPlan, folder: Path, label: str) -> None:
    def stop(done: int, total: int, now: str) -> None:
        if now.startswith(label):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_bench(plan, folder, watch=stop)


def test_arrays_and_records_of_a_set_change_together(suite: Suite, tmp_path: Path) -> None:
    first = small(suite, sets=SETS[:1])
    run_bench(first, tmp_path)
    settings = {"gradient-ascent": {"lr": 0.01}}
    other = plan_bench(suite, ["gradient-ascent"], SETS[:1], models=3, settings=settings)
    stopped_after(other, tmp_path, "scores of gradient-ascent")
    with np.load(tmp_path / f"arrays/{SETS[0]}/gradient-ascent.npz") as arrays:
        value = float(np.percentile(arrays["klom"][suite.columns(suite.forget_sets[SETS[0]])["forget"]], 95))
    [record] = [
        score
        for score in read_scores(tmp_path / "scores.jsonl")
        if (score.subject.method, score.metric, score.aggregate, score.split)
        == ("gradient-ascent", "klom", "p95", "forget")
    ]
    assert record.value == pytest.approx(value)


def test_a_repeated_bench_that_is_stopped_loses_no_record(suite: Suite, tmp_path: Path) -> None:
    plan = small(suite, metrics=["accuracy"])
    before = run_bench(plan, tmp_path)
    stopped_after(plan, tmp_path, f"ranks on {SETS[1]}")
    assert read_scores(tmp_path / "scores.jsonl") == before


def test_a_rank_is_not_asked_for_without_what_says_who_breaks_the_model(suite: Suite) -> None:
    with pytest.raises(BadSetting, match="a rank needs gap-closed, outliers beside it"):
        small(suite, metrics=["rank", "klom", "distance"])
    assert small(suite, metrics=["klom", "klom"]).metrics == ("klom",)

"""Every number of a bench comes out of METRICS: one row is all that a metric takes."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import expunge as xp
from expunge.bench.external_margins import score_margins
from expunge.bench.plan import BenchPlan, plan_bench
from expunge.bench.run import run_bench
from expunge.ensembles import Plan, read_margins
from expunge.ensembles.pretraining import pretrain, retrain
from expunge.errors import BadMetric, MetricFailed
from expunge.metrics import METRICS, Metric, Reference, Row, Scored, default_metrics
from expunge.metrics.calibration import Estimate
from expunge.metrics.klom import CEILING
from expunge.metrics.over_models import mean_over_models
from expunge.records import Score, read_scores
from expunge.store import at_store
from expunge.suites import Suite

MODULE = "expunge.metrics.row"  # the functions below are in no module of expunge


def planned(suite: Suite, *, metrics: list[str] | None = None, classic: bool = False) -> BenchPlan:
    return plan_bench(suite, ["fine-tune"], ["first"], models=6, tuning="default", metrics=metrics, classic=classic)


def median_margin(row: Row, reference: Reference) -> Scored:
    values = np.median(row.margins.values[:, row.columns["forget"]], axis=1)
    return Scored([row.score("forget", "median-margin", "mean", mean_over_models(values), reference, module=MODULE)])


def added(**changes: Any) -> Metric:
    """The row of a new metric."""
    row = Metric(
        function=np.median,
        scores=median_margin,
        aggregates=("mean",),
        unit="nats",
        better="as the oracle",
        oracle="the row `oracle`",
        source="none",
    )
    return replace(row, **changes)


def test_one_row_is_seen_by_bench_evaluate_and_score(
    tiny_suite: Suite, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METRICS, "median-margin", added())
    forget = tiny_suite.forget_sets["first"]
    with at_store(tiny_store):
        margins = np.array(read_margins(Plan(tiny_suite, "pretrained"), 0, 6).values)
        after, oracle = pretrain(tiny_suite, 3), retrain(tiny_suite, forget, 3)
        found = {
            3: run_bench(planned(tiny_suite), tmp_path),
            2: xp.evaluate(after, oracle, suite=tiny_suite, forget=forget),
        }
        with pytest.warns(UserWarning, match="network and the recipe of suite 'tiny'"):
            scored = score_margins(tiny_suite, "first", margins + np.float32(0.5))
    for rows, scores in found.items():
        assert len([each for each in scores if each.metric == "median-margin"]) == rows
    assert {each.subject.method for each in scored if each.metric == "median-margin"} == {"identity", "oracle", "yours"}


def test_every_row_of_the_table_is_dispatched(
    tiny_suite: Suite, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("expunge.bench.run.rankable", list)
    with at_store(tiny_store):
        scores = run_bench(planned(tiny_suite, classic=True), tmp_path)
    found: dict[str, set[str]] = {}
    for score in scores:
        found.setdefault(score.metric, set()).add(score.aggregate)
    assert found == {name: set(metric.aggregates) for name, metric in METRICS.items()}


def test_only_the_last_epoch_is_scored_but_for_the_curve(tiny_suite: Suite, tiny_store: Path, tmp_path: Path) -> None:
    settings = {"fine-tune": {"epochs": 3}}
    with at_store(tiny_store):
        plan = plan_bench(tiny_suite, ["fine-tune"], ["first"], models=6, tuning="default", settings=settings)
        scores = run_bench(plan, tmp_path)
    assert {each.epoch for each in scores if each.subject.method == "fine-tune"} == {3}
    curve = read_scores(tmp_path / "curve.jsonl")
    mine = [each for each in curve if each.subject.method == "fine-tune"]
    assert {each.epoch for each in mine} == {1, 2, 3}
    assert {each.metric for each in mine} == {name for name, metric in METRICS.items() if metric.every_epoch}


def test_a_metric_may_read_the_models_themselves(
    tiny_suite: Suite, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def size(row: Row, reference: Reference) -> Scored:
        assert row.weights is not None
        squares = sum(each.detach().square().flatten(1).sum(1) for each in row.weights().parameters())
        estimate = mean_over_models(np.asarray(squares))
        return Scored([row.score("forget", "size", "mean", estimate, reference, module=MODULE)])

    monkeypatch.setitem(METRICS, "size", added(scores=size, reads=("weights",)))
    with at_store(tiny_store):
        scores = run_bench(planned(tiny_suite, metrics=["size"]), tmp_path)
    values = {each.subject.method: each.value for each in scores}
    assert values.keys() == {"identity", "fine-tune"}  # the weights of the oracles are not at hand
    assert values["identity"] != values["fine-tune"]


@pytest.mark.parametrize("where", ["value", "low", "high", "oracle"])
def test_a_number_that_is_not_finite_fails_its_row_by_name_and_the_others_finish(
    where: str, tiny_suite: Suite, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infinite: dict[str, Any] = {where: np.inf}

    def spoiled(row: Row, reference: Reference) -> Scored:
        [score] = median_margin(row, reference).scores
        return Scored([replace(score, **infinite) if row.method == "fine-tune" else score])

    monkeypatch.setitem(METRICS, "median-margin", added(scores=spoiled))
    with at_store(tiny_store):
        run_bench(planned(tiny_suite), tmp_path)
    scores = read_scores(tmp_path / "scores.jsonl")
    told = {score.subject.method: score.status for score in scores}
    assert told == {"identity": "ok", "oracle": "ok", "fine-tune": "failed"}
    [reason] = {score.reason for score in scores if score.status == "failed"}
    assert reason.startswith("metric 'median-margin' gave 'fine-tune' no finite number on split 'forget': ")
    assert f"{where} inf" in reason


@pytest.mark.parametrize("wrong", [{"metric": "median"}, {"aggregate": "p95"}])
def test_a_record_has_the_name_and_an_aggregate_of_its_row(
    wrong: dict[str, Any], tiny_suite: Suite, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def misnamed(row: Row, reference: Reference) -> Scored:
        return Scored([replace(each, **wrong) for each in median_margin(row, reference).scores])

    monkeypatch.setitem(METRICS, "median-margin", added(scores=misnamed))
    with (
        at_store(tiny_store),
        pytest.raises(BadMetric, match=r"metric 'median-margin': expected .* 'mean', got") as told,
    ):
        run_bench(planned(tiny_suite), tmp_path)
    assert repr(next(iter(wrong.values()))) in str(told.value)


def test_what_compares_rows_is_held_to_the_same(
    tiny_suite: Suite, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compared(rows: Mapping[str, Row], reference: Reference) -> list[Score]:
        unbounded = Estimate(1.0, 0.0, np.inf)
        return [
            row.score("forget", "median-margin", "mean", unbounded, reference, module=MODULE) for row in rows.values()
        ]

    monkeypatch.setitem(METRICS, "median-margin", added(scores=None, compares=compared))
    monkeypatch.setattr("expunge.bench.run.rankable", list)
    with at_store(tiny_store), pytest.raises(MetricFailed, match=r"metric 'median-margin' gave .* high inf"):
        run_bench(planned(tiny_suite), tmp_path)


def test_the_code_of_a_record_is_that_of_its_method_and_its_metric(
    tiny_suite: Suite, tiny_store: Path, tmp_path: Path
) -> None:
    with at_store(tiny_store):
        scores = run_bench(planned(tiny_suite), tmp_path)
    codes = {(each.subject.method, each.metric): each.subject.code for each in scores}
    assert codes["fine-tune", "klom"] != codes["fine-tune", "outliers"]
    assert codes["fine-tune", "klom"] != codes["identity", "klom"]
    assert {each.subject.device for each in scores} == {"cpu"}


def test_a_plan_names_what_it_leaves_out(tiny_suite: Suite, tiny_store: Path) -> None:
    with at_store(tiny_store):
        plan = plan_bench(tiny_suite, models=6, tuning="default")
    assert {"sisa", "msg", "dm-direct"} <= set(plan.left_out["first"])
    assert not {task.name for task in plan.tasks} & set(plan.left_out["first"])
    assert [forget.name for forget in plan.forget_sets] == ["first", "more"]
    assert plan.metrics == default_metrics()


def test_no_interval_leaves_the_range_of_its_number(tiny_suite: Suite, tiny_store: Path, tmp_path: Path) -> None:
    bounded = {name for name, metric in METRICS.items() if name == "klom" or "share" in metric.unit}
    settings = {"gradient-ascent": {"lr": 3.0, "epochs": 2}}  # so far that KLoM comes near its ceiling
    with at_store(tiny_store):
        plan = plan_bench(tiny_suite, ["gradient-ascent"], models=6, tuning="default", settings=settings, classic=True)
        scores = [each for each in run_bench(plan, tmp_path) if each.metric in bounded]
    assert max(each.value or 0.0 for each in scores if each.metric == "klom") > 10
    for score in scores:
        low, high = (0.0, CEILING) if score.metric == "klom" else (-1.0 if score.aggregate == "gap" else 0.0, 1.0)
        assert score.low is not None
        assert score.high is not None
        assert low <= score.low <= score.high <= high, score


def test_evaluate_says_the_code_that_a_bench_says(tiny_suite: Suite, tiny_store: Path, tmp_path: Path) -> None:
    forget = tiny_suite.forget_sets["first"]
    with at_store(tiny_store):
        benched = run_bench(planned(tiny_suite), tmp_path)
        after = xp.unlearn(pretrain(tiny_suite, 3), forget, "fine-tune", suite=tiny_suite)
        evaluated = xp.evaluate(after, retrain(tiny_suite, forget, 3), suite=tiny_suite, forget=forget)
    codes = [
        {each.subject.code for each in scores if (each.subject.method, each.metric) == ("fine-tune", "klom")}
        for scores in (benched, evaluated)
    ]
    assert codes[0] == codes[1]
    assert len(codes[0]) == 1

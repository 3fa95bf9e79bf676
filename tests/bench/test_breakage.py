"""Broken rows: by outliers, or by retain or test far above both anchors; they have no rank."""

import numpy as np

from expunge.bench.breakage import has_strays, is_broken
from expunge.bench.plan import plan_bench
from expunge.bench.run import _ranked
from expunge.bench.score import compare_rows, reference_of
from expunge.ensembles import EnsembleMargins, Plan
from expunge.metrics import Row
from expunge.records import Score
from expunge.reports.summaries import summaries
from expunge.suites import Suite
from tests.records import changed
from tests.reports.synthetic import scores_of

P95 = {"forget": 1.0, "retain": 1.0, "test": 1.0}


def board(**changed: dict[str, float]) -> list[Score]:
    """Rows of a forget set, all alike but for the changed P95; 5 % of the value either side."""
    names = ["oracle", "identity", *(name for name in changed if name != "identity")]
    return [each for name in names for each in scores_of("random-50", name, P95 | changed.get(name, {}))]


def broken(scores: list[Score]) -> dict[str, bool]:
    found = {row.method: row for row in summaries(scores)}
    return {name: is_broken(row, found["oracle"], found["identity"]) for name, row in found.items() if name != "oracle"}


def test_far_on_retain_or_test_is_broken_and_on_forget_it_is_not() -> None:
    found = broken(board(kept={"forget": 9.0}, lost={"retain": 9.0}, worse={"test": 9.0}))
    assert found == {"identity": False, "kept": False, "lost": True, "worse": True}


def test_what_identity_has_too_breaks_nothing() -> None:
    """On a class forget set the test split holds the class."""
    assert broken(board(identity={"test": 9.0}, scrub={"test": 9.0}))["scrub"] is False


def test_more_outliers_than_the_anchors_have_are_strays() -> None:
    scores = [each for each in board(scrub={}) if each.metric != "outliers"]

    def share(method: str, value: float) -> Score:
        return changed(
            scores[0], method=method, split="test", metric="outliers", aggregate="share", value=value, low=0.0, high=1.0
        )

    for identity, expected in ((0.0, True), (0.01, False)):
        row = {each.method: each for each in summaries([*scores, share("scrub", 0.01), share("identity", identity)])}
        assert has_strays(row["scrub"], row["oracle"], row["identity"]) is expected
        assert is_broken(row["scrub"], row["oracle"], row["identity"]) is expected


def test_a_row_that_breaks_the_model_has_no_rank(suite: Suite) -> None:
    forget = suite.forget_sets["random-50"]
    plan = plan_bench(suite, ["scrub", "ssd"], [forget.name], models=20)
    scores = board(scrub={}, ssd={"retain": 9.0})
    ranked = _ranked(
        plan.tasks, {task.name: [each for each in scores if each.subject.method == task.name] for task in plan.tasks}
    )
    margins = np.random.default_rng(0).normal(size=(20, suite.data.width)).astype(np.float32)
    made = EnsembleMargins(margins, None, Plan(suite, "pretrained").origin(range(20)))
    rows = {task.name: Row(suite, forget, task.name, made) for task in ranked}
    found = compare_rows(rows, reference_of(suite, forget, 20, 20), plan.metrics)
    assert {(score.subject.method, score.metric) for score in found} == {("identity", "rank"), ("scrub", "rank")}

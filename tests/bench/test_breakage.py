"""Broken rows: by outliers, or by retain or test far above both anchors; they have no rank."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from expunge.bench.breakage import has_strays, is_broken
from expunge.bench.folder import arrays_file, write_arrays, write_reference
from expunge.bench.run import _ranks
from expunge.records import Score
from expunge.reports.summaries import summaries
from expunge.suites import Suite
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
        return replace(
            scores[0], method=method, split="test", metric="outliers", aggregate="share", value=value, low=0.0, high=1.0
        )

    for identity, expected in ((0.0, True), (0.01, False)):
        row = {each.method: each for each in summaries([*scores, share("scrub", 0.01), share("identity", identity)])}
        assert has_strays(row["scrub"], row["oracle"], row["identity"]) is expected
        assert is_broken(row["scrub"], row["oracle"], row["identity"]) is expected


def test_a_row_that_breaks_the_model_has_no_rank(suite: Suite, tmp_path: Path) -> None:
    forget = suite.forget_sets["random-50"]
    scores = board(scrub={}, ssd={"retain": 9.0})
    write_reference(tmp_path, suite, forget, 20)
    margins = np.random.default_rng(0).normal(size=(20, suite.data.width)).astype(np.float32)
    for name in ("identity", "scrub", "ssd"):
        write_arrays(arrays_file(tmp_path, forget, name), {"margins": margins})
    assert {score.method for score in _ranks(tmp_path, suite, forget, scores)} == {"identity", "scrub"}

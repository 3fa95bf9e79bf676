"""The readings: what is compared, and which rule comes first."""

from dataclasses import replace
from typing import Any

import pytest

from expunge.reports import reading
from expunge.reports.readings import MARKS, RULES
from expunge.reports.summaries import Interval, Key, Summary, summaries
from tests.reports.synthetic import FAR, FLOOR_P95, scores_of


def row(method: str, forget: float, retain: float = 0.65, test: float = 0.66, **changes: Any) -> Summary:
    """Intervals reach 5 % to either side."""
    (made,) = summaries(scores_of("random-12", method, {"forget": forget, "retain": retain, "test": test}, **changes))
    return made


FLOOR, IDENTITY = row("oracle", 0.64), row("identity", 9.3)


@pytest.mark.parametrize(
    ("p95", "expected"),
    [
        ((0.66, 0.66, 0.66), "forgets"),
        ((0.50, 0.60, 0.60), "forgets"),  # below the floor is at the floor
        ((0.66, 0.90, 0.66), "forgets, drifts"),
        ((0.66, 0.66, 0.90), "forgets, drifts"),
        ((2.40, 0.66, 0.66), "partly forgets"),
        ((9.20, 0.66, 0.66), "does nothing"),
        ((10.9, 0.66, 0.66), "moves away"),
        ((0.66, 8.40, 0.66), "breaks the model"),
        ((0.66, 0.66, 8.40), "breaks the model"),
        ((9.30, 8.40, 8.40), "breaks the model"),
    ],
)
def test_a_method_is_read_against_the_floor_and_identity(p95: tuple[float, float, float], expected: str) -> None:
    assert reading(row("scrub", *p95), FLOOR, IDENTITY) == expected


def test_the_anchors_are_named_for_what_they_are() -> None:
    assert reading(FLOOR, FLOOR, IDENTITY) == "floor"
    assert reading(IDENTITY, FLOOR, IDENTITY) == "does nothing"


def test_more_than_an_oracle_sd_must_be_left_behind_by_the_whole_interval() -> None:
    edge = (1.05 * FLOOR_P95["retain"] * FAR + 1) / FAR / 0.95
    assert reading(row("scrub", 0.66, retain=edge + 0.01), FLOOR, IDENTITY) == "breaks the model"
    assert reading(row("scrub", 0.66, retain=edge - 0.01), FLOOR, IDENTITY) == "forgets, drifts"


def test_still_knowing_a_forgotten_class_on_the_test_split_breaks_nothing() -> None:
    identity = row("identity", 9.3, test=9.7)
    assert reading(identity, FLOOR, identity) == "does nothing"
    assert reading(row("fine-tune", 5.0, test=9.0), FLOOR, identity) == "partly forgets"


def without(made: Summary, metric: str) -> Summary:
    return replace(made, cells={key: cell for key, cell in made.cells.items() if key[0] != metric})


def test_where_there_is_no_headroom_nothing_can_be_told_but_who_moves_away() -> None:
    identity = without(row("identity", 0.7), "gap-closed")
    for p95, retain, expected in (
        (0.65, 0.65, "cannot tell"),
        (0.65, 8.0, "breaks the model"),
        (3.0, 0.65, "moves away"),
    ):
        assert reading(without(row("scrub", p95, retain), "gap-closed"), FLOOR, identity) == expected
    assert reading(identity, FLOOR, identity) == "does nothing"


def test_at_the_floor_and_not_surely_nearer_than_identity_nothing_can_be_told() -> None:
    key: Key = ("gap-closed", "mean", "forget")
    method = row("fine-tune", 0.65)
    perhaps = replace(method, cells={**method.cells, key: Interval(0.6, -0.2, 1.4)})
    assert reading(perhaps, FLOOR, IDENTITY) == "cannot tell"


def test_near_by_the_distance_but_not_by_klom_is_not_at_the_floor() -> None:
    """A constant at the oracles' mode."""
    key: Key = ("klom", "p95", "forget")
    method = row("constant", 0.66)
    assert reading(replace(method, cells={**method.cells, key: Interval(2.2, 2.0, 2.4)}), FLOOR, IDENTITY) == (
        "partly forgets"
    )


def test_without_anchors_or_intervals_nothing_is_told() -> None:
    method = row("fine-tune", 0.65)
    assert reading(method, None, IDENTITY) == "cannot tell"
    assert reading(method, FLOOR, None) == "cannot tell"


def test_an_interval_without_ends_is_not_compared() -> None:
    records = [
        replace(score, low=None, high=None)
        for score in scores_of("random-12", "x", {"forget": 0.65, "retain": 0.65, "test": 0.66})
    ]
    (method,) = summaries(records)
    assert reading(method, FLOOR, IDENTITY) == "cannot tell"


def test_failed_comes_before_all_else() -> None:
    method = row("newton", 0.65, status="failed", reason="diverged")
    assert reading(method, FLOOR, IDENTITY) == "failed"
    assert method.reason == "diverged"


def test_every_reading_has_a_rule_and_a_mark_of_its_own() -> None:
    assert list(RULES) == list(MARKS)
    assert len(set(MARKS.values())) == len(MARKS)


def test_examples_that_are_told_apart_from_the_oracles_keep_a_row_from_the_floor() -> None:
    key: Key = ("distinguishable", "share", "forget")
    near = row("near", 0.66)
    apart = replace(near, cells={**near.cells, key: Interval(0.3, 0.1, 0.5)})
    perhaps = replace(near, cells={**near.cells, key: Interval(0.3, 0.0, 0.6)})
    assert reading(apart, FLOOR, IDENTITY) == "partly forgets"
    assert reading(perhaps, FLOOR, IDENTITY) == "forgets"


def strays(made: Summary, share: float) -> Summary:
    return replace(made, cells={**made.cells, ("outliers", "share", "test"): Interval(share, 0.0, 1.0)})


def test_more_outliers_than_the_anchors_have_break_the_model() -> None:
    assert reading(strays(row("scrub", 0.66), 0.01), FLOOR, IDENTITY) == "breaks the model"
    assert reading(strays(row("scrub", 0.66), 0.1), strays(FLOOR, 0.2), IDENTITY) == "forgets"
    assert reading(strays(row("scrub", 0.66), 0.1), FLOOR, strays(IDENTITY, 0.1)) == "forgets"
    nothing = strays(IDENTITY, 0.1)
    assert reading(nothing, strays(FLOOR, 0.2), nothing) == "does nothing"
    assert reading(nothing, FLOOR, nothing) == "breaks the model"

"""The page of results/sparsity.md says what its records say, and is the one that they make."""

from pathlib import Path

import pytest

from expunge.reports.studies.entries import read_entries
from expunge.reports.studies.markdown import Interval
from expunge.reports.studies.sparsity import STUDIES
from expunge.reports.studies.sparsity_claims import SPARSE, TUNED, Found, most_gained, smaller
from expunge.reports.studies.sparsity_page import sparsity_page

RESULTS = Path(__file__).parents[3] / "results"


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ([1.0, 0.5, 1.5], [3.0, 2.0, 4.0], "holds"),
        ([3.0, 2.0, 4.0], [1.0, 0.5, 1.5], "the opposite"),
        ([1.0, 0.5, 2.5], [3.0, 2.0, 4.0], "open"),
        ([-3.0, -4.0, -2.0], [1.0, 0.5, 1.5], "the opposite"),  # gaps are compared by their size
        ([-0.1, -0.5, 0.5], [1.0, 0.6, 1.5], "holds"),
        (None, [1.0, 0.5, 1.5], "not measured"),
    ],
)
def test_a_verdict_needs_intervals_that_do_not_overlap(first: Interval | None, second: Interval, verdict: str) -> None:
    assert smaller(first, second) == verdict


def test_the_page_is_the_one_that_its_records_make() -> None:
    folder = RESULTS / "sparsity"
    suites = {study.suite: found for study in STUDIES if (found := read_entries(folder / f"{study.suite}.json"))}
    applications = (read_entries(folder / f"{name}.json") for name in ("backdoor", "transfer"))
    assert sparsity_page(suites, *applications) == (RESULTS / "sparsity.md").read_text()


@pytest.mark.parametrize(
    ("mine", "other", "verdict"),
    [
        ([[0.5, 0.49, 0.51], [0.1, 0.09, 0.11]], [[0.3, 0.29, 0.31], [0.2, 0.19, 0.21]], "holds"),
        ([[0.3, 0.29, 0.31], [0.2, 0.19, 0.21]], [[0.5, 0.49, 0.51], [0.1, 0.09, 0.11]], "does not hold"),
        ([[0.5, 0.1, 0.9], [0.1, 0.0, 0.3]], [[0.3, 0.29, 0.31], [0.2, 0.19, 0.21]], "open"),
    ],
)
def test_who_gains_most_is_open_where_intervals_overlap(
    mine: list[Interval], other: list[Interval], verdict: str
) -> None:
    found: Found = {
        (sparsity, "class-3", method): {"numbers": {"average gap": gap}}
        for method, gaps in ((TUNED, mine), ("scrub", other))
        for sparsity, gap in zip((0.0, SPARSE), gaps, strict=True)
    }
    _, told = most_gained(found, "class-3", [TUNED, "scrub"])
    assert told.startswith(f"{verdict}: ")

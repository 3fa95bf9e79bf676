"""The study of cheats: the page is what the figures make, and the bench puts no cheat above an honest method."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from expunge.reports.readings import NEARER
from expunge.reports.studies.cheats import CHEATS
from expunge.reports.studies.resistance import METHODS, SETS, Judged
from expunge.reports.studies.resistance_page import resistance_page
from expunge.reports.studies.rulers import RULERS
from expunge.reports.summaries import FLOOR, NOTHING

ROOT = Path(__file__).parents[3]
KEPT = TypeAdapter(dict[str, list[Judged]]).validate_json((ROOT / "results/cheats.json").read_bytes())
FOUND, METHOD_ROWS = KEPT["margins"], KEPT["methods"]


def test_the_page_is_what_the_figures_make() -> None:
    assert (ROOT / "results/cheats.md").read_text() == resistance_page(FOUND, METHOD_ROWS), (
        "run `expunge study cheats --out results`"
    )


@pytest.mark.parametrize("name", SETS)
def test_no_cheat_stands_above_the_best_honest_method(name: str) -> None:
    rows = [each for each in FOUND if each.forget_set == name]
    best = max(each.closed or 0 for each in rows if each.honest and each.name not in (FLOOR, NOTHING))
    won = [each.name for each in rows if not each.honest and each.reading in NEARER and (each.closed or 0) >= best]
    assert not won
    assert {each.name.removesuffix(", on forget alone") for each in rows if not each.honest} == CHEATS.keys()


def test_honest_methods_are_neither_refused_nor_doubted() -> None:
    assert not [each for each in FOUND if each.honest and (each.told or each.reading in ("failed", "doubted"))]


@pytest.mark.parametrize("ruler", RULERS)
def test_each_score_alone_is_won_by_some_cheat(ruler: str) -> None:
    """So that what the bench adds is needed."""
    for name in SETS:
        rows = [each for each in FOUND if each.forget_set == name]
        best = min(each.numbers[ruler] for each in rows if each.honest and each.name not in (FLOOR, NOTHING))
        assert any(each.numbers[ruler] < best for each in rows if not each.honest)


def test_no_method_that_cheats_reads_better_than_doing_nothing() -> None:
    cheats = [each for each in METHOD_ROWS if not each.honest]
    assert {each.name for each in cheats} == METHODS.keys()
    assert not [each.name for each in cheats if each.reading in NEARER]

"""What the README counts and lists is what there is."""

import re
from pathlib import Path
from typing import Any

import pytest

from expunge.methods import METHODS
from expunge.suites import SUITES
from tests.reports.synthetic import FAR, scores

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
ONES = ["", "-one", "-two", "-three", "-four", "-five", "-six", "-seven", "-eight", "-nine"]


def test_the_table_of_families_has_every_method_and_counts_them() -> None:
    table = README.partition("| family | methods |\n| --- | --- |\n")[2].partition("\n\n")[0]
    named = re.findall(r"`([a-z][\w-]*)`", table)
    wanted = {name for name, method in METHODS.items() if not method.anchor}
    assert set(named) == wanted
    in_words = TENS[len(wanted) // 10 - 2] + ONES[len(wanted) % 10]
    assert f"\n{in_words.capitalize()} methods, each written from its paper" in README


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_links_to_is_there(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert not [each for each in targets if "://" not in each and not (page.parent / each).exists()]


def test_the_suites_are_counted() -> None:
    counts = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"]
    assert f"expunge list suites                                # {counts[len(SUITES) - 10]}: " in README


def test_the_number_that_is_read_out_of_scores_is_the_headline() -> None:
    [line] = [line for line in README.splitlines() if line.startswith("far = ")]
    known: dict[str, Any] = {"scores": scores("random-12")}
    exec(line, known)
    assert known["far"]["scrub", "forget"] == FAR * 0.66
    assert known["far"]["gradient-ascent", "retain"] == FAR * 8.4

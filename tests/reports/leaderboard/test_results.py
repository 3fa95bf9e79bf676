"""The results that are shipped are what the records make, a line for each row."""

import dataclasses
import json
from pathlib import Path

import pytest

from expunge.methods import METHODS
from expunge.reports.leaderboard.records import read_records
from expunge.reports.leaderboard.results import SHIPPED, read_results, summarise, write_results
from expunge.reports.summaries import Interval
from tests.records import a_score

ROOT = Path(__file__).parents[3]


def test_the_headline_of_records_is_kept() -> None:
    named = {"klom": "p95", "distance": "mean", "rank": "distance", "gap-closed": "mean"}
    scores = [
        a_score(
            value=float(place), low=0.0, high=9.0, split=split, metric=metric, aggregate=aggregate, epoch=1,
            tuning="tuned",
        )
        for metric, aggregate in named.items()
        for place, split in enumerate(("forget", "retain", "test"))
        if metric in ("klom", "distance") or split == "forget"
    ]  # fmt: skip
    (found,) = summarise(scores)
    assert {split: cell.value for split, cell in found.klom.items()} == {"forget": 0.0, "retain": 1.0, "test": 2.0}
    assert {split: cell.value for split, cell in found.distance.items()} == {"forget": 0.0, "retain": 1.0, "test": 2.0}
    assert found.rank == found.closed == Interval(0.0, 0.0, 9.0)
    assert (found.suite, found.forget_set, found.method, found.settings) == ("digits", "random-50", "scrub", "tuned")
    failed = [dataclasses.replace(each, value=None, low=None, high=None, status="failed") for each in scores]
    assert summarise(failed)[0].klom == summarise(failed)[0].distance == {}


def test_shipped_results_are_those_of_the_records(tmp_path: Path) -> None:
    files = sorted((ROOT / "results").glob("*/*/*.json"))
    suites = read_records(ROOT / "results").values()
    write_results(tmp_path / "results.json", [each for scores in suites for each in summarise(scores)])
    assert SHIPPED.read_text() == (tmp_path / "results.json").read_text(), "run `make docs`"
    assert len(read_results()) == len(files)


@pytest.mark.parametrize("folder", ["results", "results/at-50"])
def test_all_methods_of_a_suite_have_one_budget(folder: str) -> None:
    for suite in (each for each in (ROOT / folder).iterdir() if list(each.glob("*/identity.json"))):
        common = [json.loads(file.read_text())["common"] for file in suite.glob("*/*.json")]
        subjects = [each.get("subject", each) for each in common]  # former records have no such part
        assert len({each.get("budget") for each in subjects if not METHODS[each["method"]].anchor}) == 1


def test_what_systems_leave_beside_records_is_none(tmp_path: Path) -> None:
    folder = tmp_path / "digits/random-50"
    folder.mkdir(parents=True)
    (folder / "scrub.json").write_bytes((ROOT / "results/digits/random-50/scrub.json").read_bytes())
    (folder / "._scrub.json").write_bytes(b"\x00\x05\x16\x07" + bytes(100))
    assert list(read_records(tmp_path)) == ["digits"]

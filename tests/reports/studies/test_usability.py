"""The study of the usability attack: its runs can be, and its page is made of findings alone."""

from pathlib import Path

import pytest

from expunge import Suite
from expunge.attacks.usability import check
from expunge.reports.studies import usability
from expunge.reports.studies.usability import ONE_CHANGE, RUNS, WHOLE, read_results
from expunge.reports.studies.usability_page import usability_page
from expunge.reports.usability.findings import read_findings
from expunge.suites import load_suite
from tests.reports.usability.synthetic import attack_of


@pytest.mark.parametrize("name", [name for name in RUNS if RUNS[name].suite != "fashion-mnist-10k"])
def test_every_run_passes_its_own_checks(name: str) -> None:
    check(load_suite(RUNS[name].suite), RUNS[name].config)


def test_no_two_runs_are_the_same() -> None:
    assert len({(run.suite, str(run.config)) for run in RUNS.values()}) == len(RUNS)


def test_the_page_has_a_line_for_every_run_that_was_made(tiny_suite: Suite, tmp_path: Path) -> None:
    found = read_findings(attack_of(tiny_suite))
    made = [next(iter(WHOLE)), *list(ONE_CHANGE)[:2]]
    for name in made:
        (tmp_path / f"{name}.json").write_bytes(usability._FINDINGS.dump_json(found))
    page = usability_page(read_results(tmp_path))
    for name in made:
        assert name in page
    assert list(ONE_CHANGE)[2] not in page
    assert "50.0 points [49.0,51.0]" in page
    assert "30.0 [28.0,32.0] *" in page

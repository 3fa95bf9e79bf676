"""``expunge tune``: trials are printed, and the record of the search is left."""

import json
from pathlib import Path

from expunge.methods.tuned import read_search
from tests.cli.commands import TINY, run

TUNE = ["tune", "fine-tune", TINY, "--models", "3", "--oracles", "3", "--workers", "1", "--limit", "1"]


def test_tune_prints_trials_and_leaves_a_record(tmp_path: Path) -> None:
    done = run(*TUNE, "--budget", "2", "--out", tmp_path / "new" / "record.json")
    assert done.returncode == 0, done.stderr
    search = read_search(tmp_path / "new/record.json")
    assert search.chosen is not None
    assert f"chosen: trial {search.chosen.trial}; expunge bench {TINY} --method fine-tune --set " in done.stdout
    assert "the defaults" in done.stdout
    assert "oracle tuning-class" in done.stderr  # what is built is shown
    again = run(*TUNE, "--budget", "2", "--json")
    assert json.loads(again.stdout) == json.loads((tmp_path / "new/record.json").read_text())
    assert "trial" not in again.stderr


def test_tune_without_a_trial_that_succeeds_says_so(tmp_path: Path) -> None:
    done = run(*TUNE[:-1], "0.01", "--budget", "2", "--out", tmp_path / "record.json")
    assert done.returncode == 3, done.stderr
    assert "costs too much" in done.stdout
    assert "no trial succeeded: nothing is chosen; all cost too much: raise --limit above 0.01" in done.stdout
    assert read_search(tmp_path / "record.json").chosen is None

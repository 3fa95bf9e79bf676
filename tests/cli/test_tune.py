"""``expunge tune``: trials are printed, and the record of the search is left."""

import json
from pathlib import Path

from expunge.methods.searches import read_search
from tests.cli.commands import TINY, run

TUNE = ["tune", "fine-tune", TINY, "--models", "3", "--oracles", "3", "--workers", "1", "--limit", "1"]


def test_tune_prints_trials_and_leaves_a_record(tmp_path: Path) -> None:
    done = run(*TUNE, "--trials", "2", "--out", tmp_path / "new" / "record.json")
    assert done.returncode == 0, done.stderr
    search = read_search(tmp_path / "new/record.json")
    assert search.frontier
    assert "frontier: what is nearest to the oracles at each cost" in done.stdout
    assert f"%  trial {search.frontier[-1].trial:2}  --set fine-tune.lr=" in done.stdout
    assert f"to use one: expunge bench {TINY} --method fine-tune and its --set" in done.stdout
    assert "oracle tuning-random" in done.stderr  # what is built is shown
    first = done.stderr.splitlines()[0]
    assert " oracles of tuning-random are trained, once for all methods, " in first
    assert "; then 2 trials of fine-tune on 3 models, " in first
    again = run(*TUNE, "--trials", "2", "--json")
    told, written = json.loads(again.stdout), json.loads((tmp_path / "new/record.json").read_text())
    assert {**told, "seconds": 0} == {**written, "seconds": 0}
    assert again.stderr.startswith("2 trials of fine-tune on 3 models, about ")
    assert "trial 0" not in again.stderr


def test_tune_without_a_trial_that_succeeds_says_so(tmp_path: Path) -> None:
    done = run(*TUNE[:-1], "0.01", "--trials", "2", "--out", tmp_path / "record.json")
    assert done.returncode == 3, done.stderr
    assert "costs too much" in done.stdout
    assert "no trial succeeded: nothing is chosen; all cost too much: raise --limit above 0.01" in done.stdout
    assert read_search(tmp_path / "record.json").frontier == []


def test_a_kind_that_does_not_exist_is_answered_with_the_nearest() -> None:
    done = run("tune", "fine-tune", TINY, "--kind", "clas")
    assert done.returncode == 2
    assert done.stderr.strip() == "expunge: unknown kind of forget set 'clas'; did you mean 'class'?"

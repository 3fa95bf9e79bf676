"""``--prune`` as a user meets it: build, bench and score of a suite's sparse models."""

from pathlib import Path

import numpy as np
import pytest

from expunge.ensembles import Plan, read_margins
from expunge.records import read_scores
from expunge.suites import load_suite
from tests.cli.commands import TINY, refused, run

SPARSE = ["--prune", "omp:0.5"]
HIDDEN = TINY.replace(":tiny", ":hidden")


@pytest.mark.parametrize(
    "command", [["bench", "digits"], ["build", "digits"], ["score", "digits", "random-50", "x.npy"]]
)
@pytest.mark.parametrize(
    ("prune", "message"),
    [
        ("ompp:0.9", "unknown pruning 'ompp'; did you mean 'omp'?"),
        ("omp:1.5", "expected a sparsity in [0, 1), got 1.5"),
        ("0.95", "expected METHOD:SPARSITY, for example omp:0.95, got '0.95'"),
    ],
)
def test_a_wrong_pruning_is_answered_in_one_line(command: list[str], prune: str, message: str) -> None:
    assert message in refused(run(*command, "--prune", prune))


def test_a_bench_of_models_that_nobody_made_names_the_command_that_makes_them() -> None:
    done = run("bench", "digits", "--prune", "omp:0.95", "--models", "4", "--forget-set", "random-10")
    assert "run `expunge build digits@omp-0.95" in refused(done)


@pytest.mark.slow
def test_sparse_models_are_built_benched_and_scored(tmp_path: Path) -> None:
    sets = load_suite(HIDDEN).forget_sets
    assert run("build", HIDDEN, *SPARSE, "--workers", "1").returncode == 0
    done = run("bench", HIDDEN, *SPARSE, "--method", "fine-tune", "--models", "2", "--workers", "1", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    scores = read_scores(tmp_path / "scores.jsonl")
    assert {score.subject.suite for score in scores} == {"hidden@omp-0.5"}
    assert {score.subject.method for score in scores} == {"identity", "oracle", "fine-tune"}
    assert all(score.status == "ok" for score in scores)
    sparse, name = load_suite(f"{HIDDEN}@omp-0.5"), next(iter(sets))
    assert {score.subject.suite_digest for score in scores} == {sparse.digest}
    np.save(tmp_path / "margins.npy", read_margins(Plan(sparse, "pretrained"), 0, 2).values + np.float32(0.1))
    done = run("score", HIDDEN, name, tmp_path / "margins.npy", *SPARSE)
    assert done.returncode == 0, done.stderr
    assert "hidden@omp-0.5" in run("score", f"{HIDDEN}@omp-0.5", name, tmp_path / "margins.npy", "--json").stdout

"""``expunge bench``: what it prints and what it leaves behind."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from expunge.records import read_scores
from tests.cli.commands import DEFAULTS, SMALL, run, scores_of
from tests.faults.processes import seen_now

EXPUNGE = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "expunge"]
TWO = ["--method", "scrub", "--method", "gradient-ascent"]


@pytest.fixture(scope="module")
def benched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small bench of two methods."""
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPUNGE_STORE", str(folder / "store"))
        done = run("bench", "digits", *SMALL, *TWO, *DEFAULTS, "--out", folder / "out")
    assert done.returncode == 0, done.stderr
    return folder / "out"


def test_bench_leaves_records_curve_arrays_and_a_report(benched: Path) -> None:
    rows = {(score.subject.method, score.split, score.metric, score.aggregate) for score in scores_of(benched)}
    assert {row[0] for row in rows} == {"identity", "oracle", "scrub", "gradient-ascent"}
    for method in ("identity", "oracle", "scrub", "gradient-ascent"):
        for split in ("forget", "retain", "test"):
            assert (method, split, "klom", "p95") in rows
            assert (method, split, "klom", "mean") in rows
            assert (method, split, "accuracy", "mean") in rows
            assert (method, split, "distinguishable", "share") in rows
    curve = read_scores(benched / "curve.jsonl")
    assert not {row[2] for row in rows} & {"mia-efficacy", "average-gap"}  # which --classic asks for
    epochs = {score.epoch for score in curve if score.subject.method == "gradient-ascent"}
    assert epochs == {1, 2, 3}
    with np.load(benched / "arrays/random-10/scrub.npz") as arrays:
        assert arrays["margins"].shape == (4, 1797)
        assert arrays["klom"].shape == (1797,)
    assert "<html" in (benched / "report.html").read_text()


def test_every_number_has_an_interval_around_it_and_a_cost(benched: Path) -> None:
    for score in scores_of(benched):
        assert score.status == "ok"
        assert score.value is not None
        assert score.low is not None
        assert score.high is not None
        assert score.low <= score.value <= score.high
        assert score.models == score.oracle_models == 4
        assert score.cost is not None
        assert 0 <= score.cost <= (1 if score.subject.method == "oracle" else 0.15)


def test_a_second_bench_finds_everything_done(benched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = benched.parent / "store"
    monkeypatch.setenv("EXPUNGE_STORE", str(store))
    before = {
        file: file.stat().st_mtime_ns for file in store.rglob("*") if file.is_file() and "locks" not in file.parts
    }
    assert [file for file in before if "unlearned" in file.parts]
    done = run("bench", "digits", *SMALL, *TWO, *DEFAULTS, "--out", tmp_path)
    assert done.returncode == 0
    after = {file: file.stat().st_mtime_ns for file in store.rglob("*") if file.is_file() and "locks" not in file.parts}
    assert after == before  # no model was unlearned again
    assert scores_of(tmp_path) == scores_of(benched)


@pytest.mark.faults
def test_bytes_do_not_depend_on_the_number_of_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    margins = []
    for workers in ("1", "2"):
        monkeypatch.setenv("EXPUNGE_STORE", str(tmp_path / workers))
        options = ["--models", "50", "--forget-set", "random-10", "--method", "gradient-ascent"]
        done = run("bench", "digits", *options, "--workers", workers, "--out", tmp_path / f"out{workers}")
        assert done.returncode == 0, done.stderr
        with np.load(tmp_path / f"out{workers}/arrays/random-10/gradient-ascent.npz") as arrays:
            margins.append(arrays["margins"])
    assert margins[0].tobytes() == margins[1].tobytes()


def test_json_is_the_only_thing_on_standard_output(tmp_path: Path) -> None:
    done = run("bench", "digits", *SMALL, "--method", "gradient-ascent", "--out", tmp_path, "--json")
    records = json.loads(done.stdout)
    wanted = "split metric aggregate value low high models oracle_models cost seconds status reason"
    assert all(set(wanted.split()) <= record.keys() for record in records)
    wanted = "suite suite_digest forget_set forget_digest method config tuning seed model_numbers device code versions"
    assert all(set(wanted.split()) <= record["subject"].keys() for record in records)
    assert all(record["subject"]["forget_digest"] for record in records)


def test_settings_reach_the_method(tmp_path: Path) -> None:
    options = ["--method", "gradient-ascent", "--set", "gradient-ascent.lr=0.5", "--set", "gradient-ascent.epochs=1"]
    assert run("bench", "digits", *SMALL, *options, "--out", tmp_path).returncode == 0
    (score, *_) = scores_of(tmp_path, method="gradient-ascent")
    assert score.subject.config["lr"] == 0.5
    assert score.subject.config["epochs"] == 1


def test_bench_says_which_settings_it_uses_where_it_can(benched: Path, tmp_path: Path) -> None:
    assert {score.subject.method: score.subject.tuning for score in scores_of(benched)} == {
        "identity": "",
        "oracle": "",
        "scrub": "default",
        "gradient-ascent": "default",
    }
    assert json.loads((benched / "run.json").read_text())["methods"]["scrub"]["tuning"] == "default"
    assert "settings: default" in (benched / "report.html").read_text()
    options = [*SMALL, "--method", "gradient-ascent", *DEFAULTS, "--set", "gradient-ascent.epochs=1"]
    done = run("bench", "digits", *options, "--out", tmp_path)
    assert "settings: default (gradient-ascent with epochs set)\n" in done.stderr


def test_that_few_models_tell_little_is_said_before_any_work(tmp_path: Path) -> None:
    said = run("bench", "digits", *SMALL, "--method", "gradient-ascent", cwd=tmp_path).stderr
    assert "with 4 models the floor lies so high that only large effects can be told; take 50 or 100" in said


@pytest.mark.faults
def test_an_interrupted_bench_says_so_leaves_no_half_and_goes_on_where_it_stopped(
    tmp_path: Path, own_store: Path
) -> None:
    options = ["--models", "100", "--forget-set", "random-10", "--method", "fine-tune", "--set", "fine-tune.epochs=6"]
    options += ["--out", str(tmp_path / "out")]  # four chunks of some seconds each, two of them still to come
    process = subprocess.Popen(
        [*EXPUNGE, "bench", "digits", *options],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell would have it ignored
    )
    deadline = time.monotonic() + 60
    while not seen_now(own_store, "**/unlearned/*/*/manifest.json") and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said
    assert not (tmp_path / "out/scores.jsonl").exists()
    done = run("bench", "digits", *options)
    assert done.returncode == 0
    assert scores_of(tmp_path / "out", method="fine-tune")

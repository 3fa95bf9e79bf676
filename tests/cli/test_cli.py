"""The command as a user meets it: what it prints, what it refuses, what it leaves behind."""

import contextlib
import io
import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from numpy import ndarray

from expunge.cli import main
from expunge.ensembles import Plan, read_margins
from expunge.methods.tuned import read_search
from expunge.records import Score, read_scores
from expunge.suites import Suite
from tests.faults.processes import seen_now

EXPUNGE = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "expunge"]
TWO = ["--method", "scrub", "--method", "gradient-ascent"]
DEFAULTS = ["--recipe", "default"]
TINY = f"{Path(__file__).parent / 'tiny_suite.py'}:tiny"
TUNE = ["tune", "fine-tune", TINY, "--models", "3", "--oracles", "3", "--workers", "1", "--limit", "1"]
SMALL = ["--models", "4", "--workers", "1", "--forget-set", "random-10"]


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def run(*arguments: str | Path, cwd: Path | None = None) -> Done:
    """The command, in this process: starting Python and torch anew takes longer than most of what is tested."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd or Path.cwd()),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "argv", ["expunge", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
    code = exit_.value.code
    return Done(code if isinstance(code, int) else 0, stdout.getvalue(), stderr.getvalue())


def refused(done: Done) -> str:
    """The one line on standard error of a command that was refused."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()[-1:]
    return line


@pytest.fixture(scope="module")
def benched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small bench of two methods."""
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPUNGE_STORE", str(folder / "store"))
        done = run("bench", "digits", *SMALL, *TWO, *DEFAULTS, "--out", folder / "out")
    assert done.returncode == 0, done.stderr
    return folder / "out"


def scores_of(folder: Path, **wanted: str) -> list[Score]:
    scores = read_scores(folder / "scores.jsonl")
    return [score for score in scores if all(getattr(score, key) == value for key, value in wanted.items())]


def test_bench_leaves_records_curve_arrays_and_a_report(benched: Path) -> None:
    rows = {(score.method, score.split, score.metric, score.aggregate) for score in scores_of(benched)}
    assert {row[0] for row in rows} == {"identity", "oracle", "scrub", "gradient-ascent"}
    for method in ("identity", "oracle", "scrub", "gradient-ascent"):
        for split in ("forget", "retain", "test"):
            assert (method, split, "klom", "p95") in rows
            assert (method, split, "klom", "mean") in rows
            assert (method, split, "accuracy", "mean") in rows
            assert (method, split, "distinguishable", "share") in rows
    epochs = {score.epoch for score in read_scores(benched / "curve.jsonl") if score.method == "gradient-ascent"}
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
        assert 0 <= score.cost <= (1 if score.method == "oracle" else 0.15)


def test_a_second_bench_finds_everything_done(benched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPUNGE_STORE", str(benched.parent / "store"))
    done = run("bench", "digits", *SMALL, *TWO, *DEFAULTS, "--out", tmp_path)
    assert done.returncode == 0
    assert "done" not in done.stderr  # no job ran
    assert scores_of(tmp_path) == scores_of(benched)


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
    wanted = "suite suite_digest forget_set method config split metric aggregate value low high models oracle_models"
    wanted += " cost seconds status reason versions"
    assert all(set(wanted.split()) <= record.keys() for record in records)


def test_settings_reach_the_method(tmp_path: Path) -> None:
    options = ["--method", "gradient-ascent", "--set", "gradient-ascent.lr=0.5", "--set", "gradient-ascent.epochs=1"]
    assert run("bench", "digits", *SMALL, *options, "--out", tmp_path).returncode == 0
    (score, *_) = scores_of(tmp_path, method="gradient-ascent")
    assert score.config["lr"] == 0.5
    assert score.config["epochs"] == 1


def test_bench_says_which_settings_it_uses_where_it_can(benched: Path, tmp_path: Path) -> None:
    assert {score.method: score.recipe for score in scores_of(benched)} == {
        "identity": "",
        "oracle": "",
        "scrub": "default",
        "gradient-ascent": "default",
    }
    assert json.loads((benched / "run.json").read_text())["methods"]["scrub"]["recipe"] == "default"
    assert "settings: default" in (benched / "report.html").read_text()
    options = [*SMALL, "--method", "gradient-ascent", *DEFAULTS, "--set", "gradient-ascent.epochs=1"]
    done = run("bench", "digits", *options, "--out", tmp_path)
    assert "recipes: default: gradient-ascent with epochs set\n" in done.stderr


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
    assert "no trial succeeded: nothing is chosen" in done.stdout
    assert read_search(tmp_path / "record.json").chosen is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench", "digit"], "unknown suite 'digit'; did you mean 'digits'?"),
        (["bench", "digits", "--method", "scrubb"], "unknown method 'scrubb'; did you mean 'scrub'?"),
        (["bench", "digits", "--forget-set", "random-5"], "unknown forget set 'random-5'; did you mean 'random-"),
        (["bench", "digits", "--set", "scrub.alhpa=1"], "method 'scrub' has no setting 'alhpa'; did you mean 'alpha'?"),
        (["bench", "digits", "--set", "scrub.lr=fast"], "scrub.lr: expected a number, got 'fast'"),
        (["bench", "digits", "--set", "scrub.lr=nan"], "scrub.lr: expected a number, got nan"),
        (["bench", "digits", "--set", "scrub.epochs=1.5"], "scrub.epochs: expected a whole number, got '1.5'"),
        (["bench", "digits", "--set", "scrub.lr=-1"], "scrub: lr must be above 0, got -1"),
        (["bench", "digits", "--set", "scrub.lr"], "expected METHOD.KEY=VALUE"),
        (["bench", "digits", "--method", "scrub", "--set", "fine-tune.lr=1"], "'fine-tune', which is not benched"),
        (["bench", "digits", "--set", "identity.lr=1"], "method 'identity' has no setting 'lr'; it has no settings"),
        (["bench", "digits", "--models", "1"], "expected 2 to 100 models"),
        (["bench", "digits", "--models", "101"], "expected 2 to 100 models"),
        (["bench", "digits", "--workers", "0"], "expected at least 1 worker, got 0"),
        (["bench", "digits", "--method", "nowhere.py:forget"], "there is no file 'nowhere.py'"),
        (["bench", "digits", "--method", "mine.py:nothing"], "has no function 'nothing'; choose from"),
        (["bench", "digits", "--method", "mine.py"], "for a method of your own give file.py:function"),
        (["bench", "digits@omp:0.95"], "a sparse suite is written digits@omp-0.95"),
        (["bench", "digits", "--prune", "omp:0.95", "--method", "sisa"], "are not made sparse"),
        (["bench", "digits", "--prune", "omp:0.8", "--models", "20"], "build digits@omp-0.8 --models 25` first"),
        (["bench", "digits", "--method", "broken.py:forget"], "importing 'broken.py' raised SyntaxError"),
        (["bench", "digits", "--out", "/proc/out"], "cannot write to /proc/out"),
        (["score", "digits", "random-50", "nothing.npy"], "there is no file nothing.npy"),
        (["score", "digits", "random-50", "mine.py"], "mine.py is no .npy of numbers"),
        (["score", "digits", "random-50", "torn.npy"], "torn.npy is no .npy of numbers (TokenError)"),
        (["score", "digits", "random-50", "empty"], "empty holds no .npy"),
        (["list", "method"], "unknown kind 'method'; did you mean 'methods'?"),
        (["info", "srcub"], "unknown name 'srcub'; did you mean 'scrub'?"),
        (["cite", "srcub"], "unknown method or metric 'srcub'; did you mean 'scrub'?"),
        (["cite", "identity"], "'identity' comes from no publication"),
        (["report", "empty"], "run `expunge bench"),
        (["bench", "digits", "--recipe", "tunned"], "unknown recipe 'tunned'; did you mean 'tuned'?"),
        (["tune", "scrubb", "--out", "new/record.json"], "unknown method 'scrubb'; did you mean 'scrub'?"),
        (["tune", "scrub", "digit"], "unknown suite 'digit'; did you mean 'digits'?"),
        (["tune", "oracle"], "'oracle' is an anchor"),
        (["tune", "mine.py:forget"], "nothing to tune, a method of your own states no settings"),
        (["tune", "scrub", "--budget", "0"], "expected a budget of at least 1 trial, got 0"),
        (["tune", "scrub", "--limit", "nan"], "expected a limit above 0"),
        (["tune", "scrub", "--sampler", "grid"], "unknown sampler 'grid'; choose from optuna, random"),
        (["tune", "scrub", "--models", "101"], "expected 2 to 100 models"),
        (["tune", "scrub", "--out", "empty"], "expected a file to write the record to, got the folder empty"),
        (["tune", "scrub", "--out", "mine.py/record.json"], "cannot write mine.py/record.json"),
        (["build", "digits", "--models", "100000"], "expected 1 to 200 models"),
        (["build", "digits", "--for", "sisa", "--set", "sisa.shards=1000000"], "expected at most 1437 slices in all"),
        (["info", "SCRUB"], "did you mean 'scrub'?"),
        (["info", "nope"], "that `expunge list` shows"),
        (["build", "digits", "--models", "0"], "expected 1 to 200 models, as many as suite 'digits' has, got 0"),
    ],
)
def test_a_mistake_is_answered_in_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "mine.py").write_text("def forget(model, retain, forget, seed):\n    return model\n")
    (tmp_path / "broken.py").write_text("def forget(:\n")
    (tmp_path / "torn.npy").write_bytes(b"\x93NUMPY\x01\x00\x06\x00{'a'((")
    before = sorted(tmp_path.rglob("*"))
    assert message in refused(run(*arguments, cwd=tmp_path))
    after = [path for path in sorted(tmp_path.rglob("*")) if "__pycache__" not in path.parts]
    assert after == before


@pytest.mark.parametrize("command", ["bench", "tune", "score", "list", "info", "cite", "report", "build", "doctor"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert f"expunge {command}" in done.stdout.split("Example:")[1]


def test_no_arguments_show_the_commands() -> None:
    done = run()
    assert "bench" in done.stdout + done.stderr


def test_the_version_is_that_of_the_package() -> None:
    assert run("--version") == Done(0, f"expunge {version('expunge')}\n", "")


def test_list_methods_is_an_interface() -> None:
    methods = json.loads(run("list", "methods", "--json").stdout)
    names = [method["name"] for method in methods]
    assert {"identity", "oracle", "fine-tune", "scrub"} <= set(names)
    assert all({"name", "source", "needs"} <= method.keys() for method in methods)


def test_list_shows_eight_forget_sets_of_digits() -> None:
    sets = json.loads(run("list", "forget-sets", "--json").stdout)
    names = [entry["name"] for entry in sets if entry["suite"] == "digits"]
    wanted = "random-10 random-50 random-144 class-3 subclass-50 influential-50 neighbours-50 memorised-50"
    assert sorted(names) == sorted(wanted.split())


@pytest.mark.parametrize("name", ["scrub", "digits", "digits@omp-0.95", "klom", "memorised-50"])
def test_info_tells_of_every_kind_of_thing(name: str) -> None:
    assert json.loads(run("info", name, "--json").stdout)["name"] == name


def test_info_of_a_method_is_its_card() -> None:
    told = run("info", "scrub").stdout
    for line in ("what ", "sources ", "needs ", "cost ", "deviations ", "results ", "recipes "):
        assert f"\n{line}" in told
    assert "data-unlearning-bench builds the optimizer on the teacher" in told
    assert "fashion-mnist-10k random-100 = forget " in told


def test_cite_prints_bibtex() -> None:
    told = run("cite", "scrub", "fine-tune").stdout
    assert [line.partition("{")[2] for line in told.splitlines() if line.startswith("@")] == [
        "kurmanji2023,",
        "warnecke2023,",
        "golatkar2020,",
    ]
    assert run("cite").stdout.startswith("@software{expunge,")
    assert json.loads(run("cite", "klom", "--json").stdout)["klom"].startswith("@misc{georgiev2024,")


def test_doctor_finds_a_sound_installation() -> None:
    done = run("doctor", "--json")
    assert done.returncode == 0
    assert all(check["ok"] for check in json.loads(done.stdout))


METHODS = """
import torch
def sound(model, retain, forget, seed):
    print("chatter")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.9)
    return model
def raises(model, retain, forget, seed):
    raise RuntimeError("no idea")
def nothing(model, retain, forget, seed):
    return None
def shape(model, retain, forget, seed):
    return torch.nn.Linear(2, 2)
def unchanged(model, retain, forget, seed):
    return model
def double(model, retain, forget, seed):
    return model.double()
def quits(model, retain, forget, seed):
    raise SystemExit(0)
def wanders(model, retain, forget, seed):
    import os
    os.chdir("/")
    return sound(model, retain, forget, seed)
def diverges(model, retain, forget, seed):
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    return model
"""


def test_that_few_models_tell_little_is_said_before_any_work(tmp_path: Path) -> None:
    assert (
        "with 4 models the floor lies near 4 nats or above"
        in run("bench", "digits", *SMALL, "--method", "gradient-ascent", cwd=tmp_path).stderr
    )


def test_a_method_that_fails_is_a_failed_row_and_the_others_finish(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(METHODS)
    names = ["wanders", "sound", "raises", "nothing", "shape", "unchanged", "double", "quits", "diverges"]
    methods = [argument for name in names for argument in ("--method", f"mine.py:{name}")]
    done = run("bench", "digits", *SMALL, *methods, "--out", "out", "--json", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)
    reasons = {score.method: score.reason for score in scores_of(tmp_path / "out", status="failed")}
    assert reasons.keys() == {f"mine.py:{name}" for name in names[2:]}
    line = METHODS.splitlines().index('    raise RuntimeError("no idea")') + 1
    assert f"raised RuntimeError: no idea (mine.py, line {line})" in reasons["mine.py:raises"]
    assert "got NoneType" in reasons["mine.py:nothing"]
    assert "another architecture" in reasons["mine.py:shape"]
    assert "should be torch.float32" in reasons["mine.py:double"]
    assert "raised SystemExit" in reasons["mine.py:quits"]
    assert "returned its input unchanged" in reasons["mine.py:unchanged"]
    assert "not finite" in reasons["mine.py:diverges"]
    failed = scores_of(tmp_path / "out", status="failed")
    assert all(score.value is score.low is score.high is None for score in failed)
    for name in ("sound", "wanders"):  # whichever folder it leaves the process in
        assert scores_of(tmp_path / "out", method=f"mine.py:{name}", status="ok")


NOISE = """
import torch
from scale import SCALE
def noise(model, retain, forget, seed):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(SCALE * torch.randn(parameter.shape))
    return model
"""


def test_a_method_of_ones_own_is_known_by_what_it_does_wherever_it_lies(tmp_path: Path) -> None:
    """Named with another path it scores the same; when a file that it imports changes, it is run again."""
    (tmp_path / "mine.py").write_text(NOISE)
    (tmp_path / "scale.py").write_text("SCALE = 0.001\n")

    def margins(name: str) -> ndarray:
        done = run("bench", "digits", *SMALL, "--method", name, "--out", "out", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        with np.load(tmp_path / "out/arrays/random-10" / f"{quote(name, safe='')}.npz") as arrays:
            found: ndarray = arrays["margins"]
        return found

    first = margins("mine.py:noise")
    assert np.array_equal(margins(f"{tmp_path}/mine.py:noise"), first)
    (tmp_path / "scale.py").write_text("SCALE = 0.1\n")
    assert not np.array_equal(margins("mine.py:noise"), first)


@pytest.fixture
def margins(suite: Suite) -> ndarray:
    forget = suite.forget_sets["random-50"]
    return np.array(read_margins(Plan(suite, "oracle", forget), 150, 10).values)


def test_score_puts_real_oracles_at_the_floor(margins: ndarray, tmp_path: Path) -> None:
    for row, values in enumerate(margins):
        np.save(tmp_path / f"{row:03}.npy", values)
    done = run("score", "digits", "random-50", tmp_path, "--json", "--name", "mine")
    assert done.returncode == 0, done.stderr
    found = {record["method"]: record for record in json.loads(done.stdout) if is_headline(record)}
    assert found.keys() == {"identity", "oracle", "mine"}
    assert found["mine"]["low"] < found["oracle"]["high"]
    assert found["oracle"]["low"] < found["mine"]["high"]
    assert found["mine"]["cost"] is None


def is_headline(record: dict[str, object]) -> bool:
    return (record["split"], record["metric"], record["aggregate"]) == ("forget", "klom", "p95")


def test_score_with_out_leaves_a_report(margins: ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", margins)
    done = run("score", "digits", "random-50", tmp_path / "m.npy", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "yours" in (tmp_path / "out/report.html").read_text()


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        (lambda m: m[:, :5], r"expected shape \(models, 1797\)"),
        (lambda m: np.where(np.arange(10)[:, None] == 7, np.nan, m), "NaN or infinity in model 7;"),
        (lambda m: np.where(np.arange(10)[:, None] == 7, 3.0, m), "model 7 has one and the same margin"),
        (lambda m: m[[0, 1, 1]], r"models \[1, 2\] are bit-identical"),
        (lambda m: m[:1], "at least 2 models"),
        (lambda m: np.repeat(m, 11, axis=0) + np.arange(110)[:, None], "at most 100 models"),
    ],
)
def test_score_refuses_what_is_no_ensemble(spoiled, message: str, margins: ndarray, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    np.save(tmp_path / "m.npy", spoiled(margins))
    line = refused(run("score", "digits", "random-50", tmp_path / "m.npy", "--out", tmp_path / "out"))
    assert re.search(message, line)
    assert not (tmp_path / "out").exists()


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


def test_build_for_a_method_builds_what_it_starts_from_and_refuses_others(own_store: Path) -> None:
    done = run("build", TINY, "--for", "sisa", "--set", "sisa.shards=2", "--models", "2", "--workers", "1", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["ensemble"] == "sharded"
    assert Path(row["folder"]).relative_to(own_store).parts[1:] == ("sharded", "shards-2", "slices-2")
    assert "'scrub' needs nothing beside" in refused(run("build", TINY, "--for", "scrub"))

"""The command as a whole: help, version, and one line for a mistake."""

import io
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from expunge.cli import main
from tests.cli.commands import Done, refused, run


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
        (["bench", "digits", "--prune", "omp:0.8", "--models", "20"], "build digits@omp-0.8 --models 125` first"),
        (["bench", "digits", "--method", "broken.py:forget"], "importing 'broken.py' raised SyntaxError"),
        (["bench", "digits", "--forget-set", "random-10", "--out", "/proc/out"], "cannot write to /proc/out"),
        (["bench", "digits", "--cluster", "nowhere"], "a Dask scheduler, as tcp://HOST:PORT, got 'nowhere'"),
        (
            ["audit", "digits", "random-50", "--method", "scrub", "--out", "o", "--cluster", "nowhere"],
            "tcp://HOST:PORT",
        ),
        (
            ["bench", "digits", "--settings", "empty"],
            "expected a file of settings, .toml or .json, got a folder",
        ),
        (["score", "digits", "random-50", "nothing.npy"], "there is no file nothing.npy"),
        (["score", "digits", "random-50", "mine.py"], "mine.py is no .npy, but text"),
        (["score", "digits", "random-50", "torn.npy"], "torn.npy is no .npy of numbers (its header cannot be read"),
        (["score", "digits", "random-50", "empty"], "empty holds no .npy"),
        (["list", "method"], "unknown kind 'method'; did you mean 'methods'?"),
        (["info", "srcub"], "unknown name 'srcub'; did you mean 'scrub'?"),
        (["cite", "srcub"], "unknown method, metric, audit, attack or defence 'srcub'; did you mean 'scrub'?"),
        (["cite", "identity"], "'identity' comes from no publication"),
        (["report", "empty"], "run `expunge bench"),
        (["bench", "digits", "--tuning", "tunned"], "unknown tuning 'tunned'; did you mean 'tuned'?"),
        (["tune", "scrubb", "--out", "new/record.json"], "unknown method 'scrubb'; did you mean 'scrub'?"),
        (["tune", "scrub", "digit"], "unknown suite 'digit'; did you mean 'digits'?"),
        (["tune", "oracle"], "'oracle' is an anchor"),
        (["tune", "mine.py:forget"], "nothing to tune, it has no settings; give it one by name with a default"),
        (["tune", "scrub", "--trials", "0"], "expected at least 1 trial, got 0"),
        (
            ["tune", "scrub", "--kind", "nonsense"],
            "unknown kind of forget set 'nonsense'; choose from class, ",
        ),
        (["tune", "scrub", "--kind", "klass"], "unknown kind of forget set 'klass'; did you mean 'class'?"),
        (["tune", "scrub", "--limit", "nan"], "expected a share of a retraining"),
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


@pytest.mark.parametrize("arguments", [["--ascii", "info", "readings"], ["info", "readings", "--ascii"]])
def test_symbols_are_letters_where_that_is_asked_for(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="utf-8"))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(sys, "argv", ["expunge", *arguments])
    with pytest.raises(SystemExit):
        main()
    assert "# forgets" in raw.getvalue().decode("ascii")


def test_dask_says_nothing_behind_the_commands_last_line() -> None:
    """In a process of its own: Dask reads its levels once, when it is imported."""
    asked = (
        "import contextlib, logging, sys; sys.argv = ['expunge', '--version']\n"
        "from expunge.cli import main\n"
        "with contextlib.suppress(SystemExit): main()\n"
        "import distributed; assert not logging.getLogger('distributed.core').isEnabledFor(logging.ERROR)"
    )
    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, check=False, timeout=60).returncode == 0

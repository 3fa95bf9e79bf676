"""The command as a user meets it: run in this process, and what it printed."""

import contextlib
import io
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from expunge.cli import main
from expunge.records import Score, read_scores
from tests.records import has

TINY = f"{Path(__file__).parents[1] / 'tiny_suite.py'}:tiny"
SMALL = ["--models", "4", "--workers", "1", "--forget-set", "random-10"]
DEFAULTS = ["--tuning", "default"]


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


def scores_of(folder: Path, **wanted: str) -> list[Score]:
    """The records of a bench that have these values."""
    return [score for score in read_scores(folder / "scores.jsonl") if has(score, **wanted)]

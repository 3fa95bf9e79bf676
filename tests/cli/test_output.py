"""Standard output carries results alone, whoever prints, and no name that is typed is obeyed by the terminal."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from expunge.cli.application import Command
from expunge.cli.commands import app
from tests.cli.commands import run

LOUD = """
import ctypes, os, subprocess, sys
print("imported")
def forget(model, retain, forget, seed):
    print("printed")
    os.write(1, b"written\\n")
    subprocess.run(["echo", "by a child"])
    ctypes.CDLL(None).printf(b"by c\\n")
    sys.__stdout__.write("past\\n")
    return model
"""


def command(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The command as a process, for what it does to its streams."""
    return subprocess.run(
        [sys.executable, "-m", "expunge", *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
        timeout=240,
    )


@pytest.mark.parametrize(
    "workers", [pytest.param("1", marks=pytest.mark.slow), pytest.param("2", marks=pytest.mark.faults)]
)
def test_json_is_json_whatever_a_method_prints(workers: str, tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(LOUD, encoding="utf-8")
    options = ["--models", "2", "--forget-set", "random-10", "--workers", workers, "--out", str(tmp_path / "out")]
    done = command("bench", "digits", "--method", f"{tmp_path / 'loud.py'}:forget", "--json", *options)
    assert {each["subject"]["method"] for each in json.loads(done.stdout)} >= {"identity", "oracle"}, done.stderr
    for noise in ("imported", "printed", "written", "by a child", "by c", "past"):
        assert noise in done.stderr.decode(), noise


def test_every_command_keeps_its_output_for_results() -> None:
    groups = [app, *(each.typer_instance for each in app.registered_groups)]
    commands = [each for group in groups if group is not None for each in group.registered_commands]
    assert len(commands) > 15
    assert not [each for each in commands if not issubclass(each.cls or object, Command)]


@pytest.mark.parametrize(
    "arguments",
    [
        ["b\x1b[31mad"],
        ["--x\x1b[31m"],
        ["bench", "--me\x1b[31m"],
        ["bench", "\x1b[31m"],
        ["bench", "digits", "--models", "\x1b[31m"],
        ["bench", "digits", "--method", "\x1b]0;title\x07.py:f"],
        ["info", "\u202etxt"],
        ["report", "a\nexpunge: all is well\x9b"],
        ["attack", "us\x1b[31m"],
    ],
)
def test_what_is_typed_is_shown_and_not_obeyed(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert not re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", done.stderr)
    assert "expunge: all is well" not in [line.strip() for line in done.stderr.splitlines()]


ASCII = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
IN_A_ROW = """
import sys
from expunge.cli import main
codes = []
for line in sys.argv[1:]:
    sys.argv = ["expunge", *line.split("|")]
    try:
        main()
    except SystemExit as end:
        codes.append(int(end.code or 0))
sys.exit("codes " + " ".join(map(str, codes)))
"""


@pytest.mark.faults
def test_an_ascii_locale_prints_ascii() -> None:
    """Of commands that follow each other in one process, which takes longer to start than they do."""
    commands = {
        "list": 0,
        "info|scrub": 0,
        "cite|scrub": 0,
        "attack|usability|--help": 0,
        "bench|d\u00edgits": 2,
        "b\u00e9nch": 2,
        "report|/tmp/\u00e9\u4e2d": 2,
    }
    done = subprocess.run(
        [sys.executable, "-c", IN_A_ROW, *commands],
        env={**os.environ, **ASCII},
        capture_output=True,
        check=False,
        timeout=240,
    )
    assert done.stderr.splitlines()[-1] == b"codes " + " ".join(map(str, commands.values())).encode()
    assert (done.stdout + done.stderr).isascii()
    assert b"Traceback" not in done.stderr
    for said in (b"scrub", b"@", b"Usage", b"unknown suite", b"No such command", b"does not exist"):
        assert said in done.stdout + done.stderr


@pytest.mark.faults
def test_a_bench_in_an_ascii_locale_prints_its_tables(tmp_path: Path) -> None:
    options = [
        "--models",
        "4",
        "--forget-set",
        "random-10",
        "--workers",
        "1",
        "--out",
        str(tmp_path / "out"),
        "--classic",
    ]
    done = command("bench", "digits", "--method", "first-order", *options, **ASCII)
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).isascii()
    assert b"+-" in done.stdout
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert not page.isascii()  # files are UTF-8 under any locale


@pytest.mark.faults
def test_a_reader_who_has_seen_enough_is_no_fault() -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "expunge", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert running.stdout is not None
    running.stdout.close()
    _, said = running.communicate(timeout=60)
    assert (running.returncode, said) == (0, b"")


@pytest.mark.faults
def test_a_full_disk_is_told_in_one_line() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "expunge", "list"], stdout=full, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"cannot write the result: No space left on device" in done.stderr

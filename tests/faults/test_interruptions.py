"""An interrupt ends the command at any moment: one line, exit code 130, no traceback of anybody, nothing left running.

It goes to all processes of the command at once, as a terminal sends Ctrl-C.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.faults.processes import EXPUNGE, SUITE, wait_for

pytestmark = pytest.mark.faults
INTERRUPT, TERMINATE = signal.SIGINT, signal.SIGTERM
LISTENS = "as soon as it can"


@pytest.mark.parametrize(
    ("workers", "moment", "signals"),
    [
        ("2", LISTENS, [INTERRUPT]),  # Python has only begun
        ("2", 0.1, [TERMINATE]),
        ("2", 0.5, [INTERRUPT]),  # torch is imported
        ("2", 1, [INTERRUPT]),
        ("2", 2, [INTERRUPT, INTERRUPT]),  # workers start
        ("2", 3, [INTERRUPT]),
        ("2", 3, [TERMINATE]),
        ("2", 3, [INTERRUPT] * 5),
        ("2", 5, [INTERRUPT]),  # workers run
        ("2", 5, [TERMINATE, INTERRUPT]),
        ("1", 1, [INTERRUPT, INTERRUPT]),
        ("1", 3, [TERMINATE]),
        ("1", 4, [INTERRUPT]),
    ],
)
def test_an_interrupt_is_one_line_and_the_end(
    workers: str, moment: float | str, signals: list[signal.Signals], tmp_path: Path
) -> None:
    running = start("build", SUITE, "--workers", workers, store=tmp_path)
    wait_for(lambda: listens(running))  # before that Python knows no signal of ours
    time.sleep(0 if isinstance(moment, str) else moment)
    assert running.poll() is None, "it has ended by itself: this test has shown nothing"
    code, said, printed = interrupt(running, signals)
    assert code == 130, said
    assert [line for line in said.splitlines() if line.startswith("expunge: interrupted")] == said.splitlines()[-1:]
    assert "Traceback" not in said
    assert printed == ""
    wait_for(lambda: not alive_in(running.pid), 5)


def test_a_method_that_hears_nothing_is_ended_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "deaf.py").write_text(
        "import pathlib, subprocess, sys, time\n"
        "def forget(model, retain, forget, seed):\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import signal, time; signal.signal(2, signal.SIG_IGN); "
        "time.sleep(99)'])\n"
        f"    pathlib.Path({str(tmp_path / 'begun')!r}).touch()\n"
        "    while True:\n"
        "        try:\n"
        "            time.sleep(99)\n"
        "        except BaseException:\n"
        "            print('never')\n"
    )
    method = f"{tmp_path / 'deaf.py'}:forget"
    options = ["--method", method, "--models", "4", "--forget-set", "random-10", "--workers", "1"]
    running = start("bench", "digits", *options, "--out", str(tmp_path / "out"), store=tmp_path / "store")
    wait_for((tmp_path / "begun").exists)
    code, said, _ = interrupt(running, [INTERRUPT])
    assert code == 130, said
    assert said.splitlines()[-1].startswith("expunge: interrupted")
    assert "never" not in said
    assert "Traceback" not in said
    wait_for(lambda: not alive_in(running.pid), 5)


def start(*arguments: str, store: Path) -> subprocess.Popen[str]:
    """The command as a group of processes of its own."""
    return subprocess.Popen(
        [EXPUNGE, *arguments],
        env={**os.environ, "EXPUNGE_STORE": str(store)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hear_interrupts,
    )


def hear_interrupts() -> None:
    """Whoever runs the tests in the background has interrupts ignored."""
    signal.signal(INTERRUPT, signal.SIG_DFL)


def listens(running: subprocess.Popen[str]) -> bool:
    """Whether the process catches SIGTERM, which no Python does by itself."""
    try:
        lines = Path(f"/proc/{running.pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return True
    caught = next((int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:")), 0)
    return bool(caught >> (TERMINATE - 1) & 1)


def interrupt(running: subprocess.Popen[str], signals: list[signal.Signals]) -> tuple[int, str, str]:
    """Send these to the whole group, one soon after the other; exit code, standard error, standard output."""
    for each in signals:
        if running.poll() is None:
            os.killpg(running.pid, each)
        time.sleep(0.02)
    printed, said = running.communicate(timeout=30)
    return running.returncode, said, printed


def alive_in(group: int) -> list[psutil.Process]:
    """The processes of a group that still run."""

    def of_group(process: psutil.Process) -> bool:
        try:
            return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
        except (ProcessLookupError, psutil.Error):
            return False

    return [each for each in psutil.process_iter() if of_group(each)]

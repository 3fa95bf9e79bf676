"""The installed command as real processes, and ways to harm them."""

import glob
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

SUITE = f"{Path(__file__).parent / 'small_suite.py'}:small"
EXPUNGE = str(Path(sys.executable).parent / "expunge")


def build(
    store: Path, *options: str, suite: str = SUITE, limit: Callable[[], object] | None = None
) -> subprocess.Popen[str]:
    """Start ``expunge build`` on ``store``; ``limit`` is called in the new process."""
    return subprocess.Popen(
        [EXPUNGE, "build", suite, *options],
        env={**os.environ, "EXPUNGE_STORE": str(store)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
    )


def finish(process: subprocess.Popen[str], seconds: float = 240) -> tuple[int, str]:
    """Wait for a process to end; its exit code and what it said on standard error."""
    _, said = process.communicate(timeout=seconds)
    return process.returncode, said


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The Dask workers of a build: its children, but for the one that keeps count of resources."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        return [each for each in children if "spawn_main" in " ".join(each.cmdline())]
    except psutil.NoSuchProcess:
        return []


def chunk_of(worker: psutil.Process) -> str | None:
    """The number of the chunk that a worker is inside of: it has that chunk's lock open."""
    try:
        held = [Path(file.path) for file in worker.open_files() if "/locks/" in file.path]
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    return held[0].stem if held else None


def seen_now(folder: Path, pattern: str) -> list[Path]:
    """What matches at this moment; where folders come and go meanwhile, the glob of a Path stumbles."""
    return [folder / each for each in glob.glob(pattern, root_dir=folder, recursive=True)]


def half_written(store: Path) -> list[Path]:
    """Chunks that have data and no manifest."""
    folders = [file.parent for file in seen_now(store, "*/*/**/chunks/*/margins.npy")]
    return [folder for folder in folders if not (folder / "manifest.json").exists()]


def kill(worker: psutil.Process) -> None:
    try:
        os.kill(worker.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def wait_for(seen: Callable[[], object], seconds: float = 120) -> None:
    """Look again and again until ``seen()`` holds; an error where it never does."""
    deadline = time.monotonic() + seconds
    while not seen():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not seen within {seconds} s")
        time.sleep(0.005)


def contents(store: Path) -> dict[str, bytes]:
    """What a store holds, without its locks, its own name and what died half written under a name of its own."""
    found = [file for file in store.rglob("*") if file.is_file() and file.suffix != ".lock"]
    return {str(file.relative_to(store)): file.read_bytes() for file in found if not file.name.startswith(".")}

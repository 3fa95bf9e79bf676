"""Builds that are harmed while they run end in a clear state, and the next run completes them to the very same bytes.

Nothing is mocked: the installed command runs in processes of its own, and these are killed.
"""

import contextlib
import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.faults.processes import (
    build,
    chunk_of,
    contents,
    finish,
    half_written,
    kill,
    seen_now,
    wait_for,
    workers,
)

KILLS = 20
pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a build that nothing happened to."""
    store = tmp_path_factory.mktemp("undisturbed")
    code, said = finish(build(store, "--workers", "2"))
    assert code == 0, said
    return store


@pytest.fixture(scope="module")
def undisturbed(finished: Path) -> dict[str, bytes]:
    """What that store holds."""
    return contents(finished)


def test_workers_killed_at_any_moment_change_no_byte(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    chance = random.Random(0)
    tally = Tally()
    for number in range(8):
        if tally.kills >= KILLS and tally.inside and tally.between:
            break
        store = tmp_path / str(number)
        running = build(store, "--workers", "2")
        while running.poll() is None and tally.kills < KILLS + 10 * number:
            strike(running, store, chance, tally)
        code, said = finish(running)
        assert code in (0, 2), said
        assert "Traceback" not in said
        assert code == 0 or "what was finished is kept" in said
        code, said = finish(build(store, "--workers", "2"))
        assert code == 0, said
        assert contents(store) == undisturbed
    assert tally.kills >= KILLS, tally
    assert tally.inside, "no kill hit a worker inside a chunk: this test has shown nothing"
    assert tally.between, "no kill hit between the data and its manifest: this test has shown nothing"


@dataclass
class Tally:
    """How many kills there were, and where they hit."""

    kills: int = 0
    inside: int = 0  # a worker that was inside a chunk
    between: int = 0  # a worker that had written the data of its chunk, and not the manifest


def strike(running: subprocess.Popen[str], store: Path, chance: random.Random, tally: Tally) -> None:
    """Kill one worker: by turns at a random moment, and when a chunk has data and no manifest."""
    deadline = time.monotonic() + 20
    while running.poll() is None and time.monotonic() < deadline and not any(map(chunk_of, workers(running))):
        time.sleep(0.01)  # workers take seconds to start, and a kill of those that do nothing shows little
    if tally.kills % 2:
        while running.poll() is None and not half_written(store) and time.monotonic() < deadline:
            pass
        chunks = {folder.name for folder in half_written(store)}
        victims = [each for each in workers(running) if chunk_of(each) in chunks] or workers(running)
    else:
        time.sleep(chance.uniform(0, 0.5))
        victims = [each for each in workers(running) if chunk_of(each)] or workers(running)
    if not victims:
        return
    victim = chance.choice(victims)
    chunk = chunk_of(victim)
    kill(victim)
    psutil.wait_procs([victim], timeout=5)
    tally.kills += 1
    if chunk is not None:
        tally.inside += 1
        tally.between += chunk in {folder.name for folder in half_written(store)}


def test_a_killed_build_takes_its_workers_along_and_is_completed(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    running = build(tmp_path, "--workers", "2")
    wait_for(lambda: seen_now(tmp_path, "*/*/**/chunks/*/manifest.json"))
    orphans = workers(running)
    assert orphans
    running.kill()
    finish(running)
    _, alive = psutil.wait_procs(orphans, timeout=30)
    assert not alive, "workers outlive the build that started them"
    code, said = finish(build(tmp_path, "--workers", "2"))
    assert code == 0, said
    assert contents(tmp_path) == undisturbed


def test_a_full_disk_ends_in_one_line_and_is_completed(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    def no_large_files() -> None:  # the kernel refuses to let a file grow, as it does on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    code, said = finish(build(tmp_path, "--workers", "2", limit=no_large_files))
    assert code == 2
    assert said.strip().splitlines()[-1].startswith("expunge: cannot write ")
    assert "Traceback" not in said
    code, said = finish(build(tmp_path, "--workers", "2"))
    assert code == 0, said
    assert contents(tmp_path) == undisturbed


def test_a_corrupted_chunk_is_told_of_and_made_anew(
    tmp_path: Path, finished: Path, undisturbed: dict[str, bytes]
) -> None:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    for file in [*tmp_path.glob("*/*/**/margins.npy")]:  # the joined ones and those of every chunk
        damaged = bytearray(file.read_bytes())
        damaged[-1] ^= 1
        file.write_bytes(damaged)
    code, said = finish(build(tmp_path, "--workers", "2"))
    assert code == 0, said
    told = [
        line
        for line in said.splitlines()
        if line.endswith("margins.npy does not have the SHA-256 of its manifest; it is made anew")
    ]
    assert len(told) == 2 + 12
    assert contents(tmp_path) == undisturbed


def test_two_builds_of_one_store_at_once_share_the_work(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    both = [build(tmp_path, "--workers", "1"), build(tmp_path, "--workers", "1")]
    for each in both:
        code, said = finish(each)
        assert code == 0, said
    assert contents(tmp_path) == undisturbed


def test_a_build_runs_on_a_cluster_and_tells_when_it_is_lost(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    with cluster(tmp_path) as (address, scheduler):
        running = build(tmp_path / "store", "--cluster", address)
        wait_for(lambda: seen_now(tmp_path, "store/*/*/**/chunks/*/manifest.json"))
        scheduler.send_signal(signal.SIGKILL)
        code, said = finish(running)
        assert code == 2
        assert "lost the workers or their scheduler" in said
        assert "Traceback" not in said
    with cluster(tmp_path) as (address, _):
        code, said = finish(build(tmp_path / "store", "--cluster", address))
        assert code == 0, said
    assert contents(tmp_path / "store") == undisturbed


def test_a_build_that_is_told_to_end_ends_tidily(tmp_path: Path) -> None:
    running = build(tmp_path, "--workers", "2", limit=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    wait_for(lambda: seen_now(tmp_path, "*/*/**/chunks/*/manifest.json"))
    running.terminate()  # SIGTERM, what a batch system sends before it kills
    code, said = finish(running)
    assert code == 130
    assert said.strip().splitlines()[-1].startswith("expunge: interrupted; what was finished is kept")


def test_a_cluster_that_cannot_do_the_work_is_refused(tmp_path: Path) -> None:
    code, said = finish(build(tmp_path / "store", "--cluster", "garbage"))
    assert (code, said.count("\n")) == (2, 1)
    assert "as tcp://HOST:PORT, got 'garbage'" in said
    code, said = finish(build(tmp_path / "store", "--cluster", "tcp://127.0.0.1:1"))
    assert (code, said.count("\n")) == (2, 1)
    assert "no Dask scheduler answers at 'tcp://127.0.0.1:1'" in said
    with cluster(tmp_path, "--nthreads", "2") as (address, _):
        code, said = finish(build(tmp_path / "store", "--cluster", address))
        assert (code, said.count("\n")) == (2, 1)
        assert "has 2 threads" in said


@contextlib.contextmanager
def cluster(folder: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A Dask scheduler and one worker, as processes of their own on 127.0.0.1."""
    known = folder / "scheduler.json"
    known.unlink(missing_ok=True)
    dask = str(Path(sys.executable).parent / "dask")
    at = ["--host", "127.0.0.1", "--scheduler-file", str(known)]
    scheduler = _quiet([dask, "scheduler", *at, "--port", "0", "--no-dashboard"], folder)
    options = options or ("--nthreads", "1")
    worker = _quiet([dask, "worker", *at, "--no-nanny", "--no-dashboard", "--death-timeout", "20", *options], folder)
    try:
        # The scheduler makes the file first and fills it later.
        wait_for(lambda: known.exists() and known.read_text().endswith("}"))
        yield json.loads(known.read_text())["address"], scheduler
    finally:
        for each in (worker, scheduler):
            each.kill()
            each.wait()


def _quiet(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)

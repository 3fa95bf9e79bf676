"""Small benches in processes of their own, which can be killed; what they need is imported once."""

import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

from expunge.bench.folder import read_folder
from expunge.bench.plan import plan_bench
from expunge.bench.run import run_bench
from expunge.records import Score
from expunge.store import at_store
from tests.tiny_suite import tiny

METRICS = ["distance", "gap-closed", "klom", "outliers", "rank", "accuracy"]
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.faults.benches"])


def start(out: Path, store: Path, methods: Sequence[str], sets: Sequence[str], die_at: str = "") -> BaseProcess:
    """Start a bench in a process; it kills itself before ``die_at``, such as "scores.jsonl 2", is replaced."""
    process = _SERVER.Process(target=_bench, args=(out, store, list(methods), list(sets), die_at))
    process.start()
    return process


def _bench(out: Path, store: Path, methods: list[str], sets: list[str], die_at: str) -> None:
    name, _, turn = die_at.partition(" ")
    seen = 0
    really = os.replace

    def replaced(source: str, target: Path) -> None:
        nonlocal seen
        seen += Path(target).name == name
        if name and seen == int(turn):
            os.kill(os.getpid(), signal.SIGKILL)
        really(source, target)

    os.environ["EXPUNGE_DEVICE"] = "cpu"
    os.replace = replaced  # type: ignore[assignment]
    with at_store(store):
        run_bench(plan_bench(tiny(), methods, sets, models=6, metrics=METRICS), out)


def records(out: Path) -> list[Score]:
    """What a folder has, which must be of one run; without what it took."""
    return [replace(score, seconds=None) for score in read_folder(out).scores]

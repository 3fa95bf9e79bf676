"""What the engine costs: chunks of about 10 s trained bare, through one worker, through two; and resuming a build.

One run, one machine, the same chunks: ``python benchmarks/engine.py [SECONDS_A_CHUNK]``. Prints a table.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import dask
from distributed import Client, LocalCluster

from expunge.clusters import WORKER_ENVIRONMENT
from expunge.engine import run_jobs
from expunge.ensembles.builds import train_chunk
from expunge.ensembles.plan import Plan
from expunge.jobs import Job, one_thread
from expunge.store import user_store
from expunge.suites import load_suite
from expunge.suites.suite import Suite

CHUNKS = 4


def main(seconds: float) -> int:
    """Time everything and print it; 1 where a wanted number is not reached."""
    suite = _of_length(seconds)
    with tempfile.TemporaryDirectory() as folder:
        bare = _bare(suite, Path(folder, "bare"))
        one = _through_workers(suite, Path(folder, "one"), 1)
        two = _through_workers(suite, Path(folder, "two"), 2)
        resumed = _resume(Path(folder, "digits"))
    print("| what | seconds | ratio |\n| --- | --- | --- |")
    print(f"| {CHUNKS} chunks of {bare / CHUNKS:.1f} s, bare, one after the other | {bare:.1f} | 1 |")
    print(f"| the same jobs through one Dask worker | {one:.1f} | {one / bare:.3f} (overhead {one / bare - 1:.1%}) |")
    print(f"| the same jobs through two Dask workers | {two:.1f} | {bare / two:.2f} times as fast |")
    print(f"| `expunge build` of a finished build, whole process | {resumed:.2f} | |")
    print(f"ratio={bare / two:.2f}")
    return int(one / bare > 1.05 or bare / two < 1.7 or resumed > 2)


def _of_length(seconds: float) -> Suite:
    """The digits suite with so many epochs that one chunk takes about ``seconds``."""
    suite = load_suite("digits")
    short = replace(suite, recipe=replace(suite.recipe, epochs=4))
    with tempfile.TemporaryDirectory() as folder:
        took = _bare(short, Path(folder), chunks=1)
    return replace(suite, recipe=replace(suite.recipe, epochs=max(1, round(4 * seconds / took))))


def _bare(suite: Suite, store: Path, chunks: int = CHUNKS) -> float:
    """One after the other in a process of its own, with the allocator's settings that workers get."""
    command = [sys.executable, __file__, "--bare", str(suite.recipe.epochs), str(chunks)]
    environment = {**os.environ, **WORKER_ENVIRONMENT, "EXPUNGE_STORE": str(store)}
    return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def _train_bare(epochs: int, chunks: int) -> float:
    suite = load_suite("digits")
    plan = Plan(replace(suite, recipe=replace(suite.recipe, epochs=epochs)), "pretrained")
    started = time.perf_counter()
    with one_thread():
        for chunk in range(chunks):
            train_chunk(plan, chunk)
    return time.perf_counter() - started


def _through_workers(suite: Suite, store: Path, count: int) -> float:
    """The chunks as jobs, timed from when the workers stand until the last chunk is in the store."""
    os.environ["EXPUNGE_STORE"] = str(store)
    plan = Plan(suite, "pretrained")
    jobs = [Job(f"chunk {chunk}", train_chunk, (plan, chunk), shared=(suite,)) for chunk in range(CHUNKS)]
    with dask.config.set({"distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT}):
        cluster = LocalCluster(
            n_workers=count, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", memory_limit=0
        )
    with cluster, Client(cluster) as client:
        client.run(__import__, "expunge.ensembles")
        started = time.perf_counter()
        for _ in run_jobs(jobs, cluster.scheduler_address):
            pass
        took = time.perf_counter() - started
    if user_store().read(f"{plan.key}/chunks/{CHUNKS - 1:04d}") is None:
        raise RuntimeError("the last chunk is not in the store")
    return took


def _resume(store: Path) -> float:
    """The whole process of a build that finds everything finished."""
    command = [str(Path(sys.executable).parent / "expunge"), "build", "digits", "--forget-set", "random-50"]
    command += ["--models", "25"]
    environment = {**os.environ, "EXPUNGE_STORE": str(store)}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    times = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run(command, env=environment, check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return min(times)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--bare"]:
        print(_train_bare(int(sys.argv[2]), int(sys.argv[3])))
        sys.exit()
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0))

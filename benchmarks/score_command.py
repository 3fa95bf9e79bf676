"""`expunge score` of 100 x 60,000 margins against 100 oracles, as a user runs it: seconds on the wall, and memory.

    python benchmarks/score_command.py [--examples 60000] [--threads 2]

Margins are normal, 5 % of the variance shared, the first 2 % of examples shifted; the suite has no data, as a published
one that nobody downloaded. The command is a process of its own, once so that kernels are compiled, then measured.
Wanted: under 20 s on 2 cores, and under 1 GB resident. The exit code is 1 where either is missed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np
from numpy import ndarray

MODELS, WANTED_SECONDS, WANTED_BYTES = 100, 20.0, 1e9
SUITE = """
import numpy as np
from torch import nn
from expunge.errors import MissingData
from expunge.suites import Data, ForgetSet, ForgetSets, Recipe, Suite

def no_data():
    raise MissingData("there are none")

def large():
    forget = ForgetSet("first", np.arange({forget}), "the first ones")
    data = Data.deferred(no_data, ({train}, {test}), 10, "none")
    recipe = Recipe(epochs=1, batch_size=8, lr=0.1)
    return Suite(name="large", version=1, data=data, network=lambda: nn.Linear(4, 10), recipe=recipe,
                 forget_sets=ForgetSets.of(forget), models={models}, architecture="linear")
"""


def draw(seed: int, models: int, examples: int, shift: float) -> ndarray:
    rng = np.random.default_rng(seed)
    own = rng.standard_normal((models, examples), np.float32) * np.float32(0.95**0.5)
    own += rng.standard_normal((models, 1), np.float32) * np.float32(0.05**0.5)
    own[:, : examples // 50] += np.float32(shift)
    return own


def prepare(folder: Path, examples: int) -> list[str]:
    """Suite, store and margins in ``folder``; the command that scores them."""
    from expunge.ensembles import Plan
    from expunge.store import Store
    from expunge.suites import load_suite

    train = examples * 5 // 6
    file, margins = folder / "large.py", folder / "mine.npy"
    values = {"forget": examples // 50, "train": train, "test": examples - train, "models": 2 * MODELS}
    file.write_text(textwrap.dedent(SUITE).format(**values), encoding="utf-8")
    suite = load_suite(f"{file}:large")
    plans = {Plan(suite, "pretrained"): 1.0, Plan(suite, "oracle", suite.forget_sets["first"]): 0.0}
    for seed, (plan, shift) in enumerate(plans.items()):
        margins_of = draw(seed, 2 * MODELS, examples, shift)
        Store(folder / "store").write(plan.key, {"margins": margins_of}, {"suite": suite.name, "models": 2 * MODELS})
    np.save(margins, draw(7, MODELS, examples, 0.5))
    return [sys.executable, "-m", "expunge", "score", f"{file}:large", "first", str(margins), "--json"]


def measured(command: list[str], folder: Path, threads: int) -> tuple[float, float, float]:
    """Seconds, those of all processors together, and the most bytes that were resident."""
    environment = {**os.environ, "EXPUNGE_STORE": str(folder / "store"), "OMP_NUM_THREADS": str(threads)}
    started, used = time.perf_counter(), time_of_children()
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as running:
        peak = 0.0
        while running.poll() is None:
            peak = max(peak, resident(running.pid))
            time.sleep(0.02)
    if running.returncode:
        sys.exit(f"the command failed with {running.returncode}")
    return time.perf_counter() - started, time_of_children() - used, peak


def time_of_children() -> float:
    """Processor time of the processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def resident(process: int) -> float:
    """The most bytes that a process had in memory so far, by Linux; mapped files count."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return max((1024.0 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), default=0.0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=60_000)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        small, large = Path(name) / "small", Path(name) / "large"
        for folder in (small, large):
            folder.mkdir()
        measured(prepare(small, 600), small, options.threads)  # compiles
        seconds, used, peak = measured(prepare(large, options.examples), large, options.threads)
    told = f"{seconds:.1f} s, {used:.1f} s of processors, peak {peak / 1e6:.0f} MB"
    print(f"score of {MODELS} x {options.examples:,}: {told}")
    print(f"ratio={WANTED_SECONDS / seconds:.2f}")
    return int(seconds > WANTED_SECONDS or peak > WANTED_BYTES)


if __name__ == "__main__":
    sys.exit(main())

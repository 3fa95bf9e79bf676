"""KLoM of 100 against 100 models on 50,000 examples: the compiled kernel against a loop over examples.

    python benchmarks/klom.py

The loop does what EasyDUB's code is described to do: for each example clip, ``np.linspace``, ``np.digitize`` twice, and
count bin by bin. The last line is ``ratio=...``. The exit code is 1 when it is below 200 or compiling takes 3 s.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
from numpy import ndarray

from expunge.metrics.klom import klom

MODELS, EXAMPLES, BINS = 100, 50_000, 20
LEAST_RATIO, MOST_COMPILE_SECONDS = 200.0, 3.0

FIRST_CALL = """
import time, numpy as np
from expunge.metrics.klom import klom
for _ in range(2):
    started = time.perf_counter()
    klom(np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32))
    print(time.perf_counter() - started)
"""


def loop(unlearned: ndarray, oracle: ndarray) -> ndarray:
    """One example after the other, one bin after the other."""
    values = np.zeros(unlearned.shape[1])
    for example in range(unlearned.shape[1]):
        p, q = (side[:, example].clip(-100, 100).astype(np.float64) for side in (unlearned, oracle))
        low, high = min(p.min(), q.min()), max(p.max(), q.max())
        edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
        p_bin, q_bin = np.digitize(p, edges), np.digitize(q, edges)
        p_mass = np.array([(p_bin == number).sum() for number in range(1, BINS + 1)]) / MODELS
        q_mass = np.array([(q_bin == number).sum() for number in range(1, BINS + 1)]) / MODELS
        for one, other in zip(p_mass, q_mass, strict=True):
            if one > 0:
                values[example] += one * np.log(one / max(other, 1e-5))
    return values


def bincount_loop(unlearned: ndarray, oracle: ndarray) -> ndarray:
    """The best loop over examples we could write: ``np.bincount`` in place of counting bin by bin."""
    values = np.zeros(unlearned.shape[1])
    for example in range(unlearned.shape[1]):
        p, q = (side[:, example].astype(np.float64).clip(-100, 100) for side in (unlearned, oracle))
        edges = np.linspace(min(p.min(), q.min()), max(p.max(), q.max()), BINS + 1)
        p_mass, q_mass = (np.bincount(np.digitize(x, edges), minlength=BINS + 2)[1:-1] / MODELS for x in (p, q))
        full = p_mass > 0
        values[example] = (p_mass[full] * np.log(p_mass[full] / np.maximum(q_mass[full], 1e-5))).sum()
    return values


def seconds(run: Callable[[], object], repeats: int = 1) -> float:
    """The median time of ``run``."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def first_calls(cache: str) -> tuple[float, float, float]:
    """Seconds of the first and second call in a new process, and of all of it, with numba's cache in ``cache``."""
    started = time.perf_counter()
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    run = subprocess.run(
        [sys.executable, "-c", FIRST_CALL], env=environment, check=True, capture_output=True, text=True
    )
    first, second = map(float, run.stdout.split())
    return first, second, time.perf_counter() - started


def main() -> int:
    with tempfile.TemporaryDirectory() as cache:
        compiling, _, _ = first_calls(cache)
        loading, _, everything = first_calls(cache)
    print(
        f"first call: {compiling:.2f} s compiling, {loading:.3f} s from the cache ({everything:.2f} s with all imports)"
    )

    rng = np.random.default_rng(0)
    pair = [rng.normal(size=(MODELS, EXAMPLES)).astype(np.float32) for _ in range(2)]
    klom(*pair)
    fast = seconds(lambda: klom(*pair), repeats=21)
    reading = seconds(lambda: [side.max() for side in pair], repeats=21)
    megabytes = sum(side.nbytes for side in pair) / 1e6
    print(f"klom: {fast * 1e3:.1f} ms, median of 21; one thread reads its {megabytes:.0f} MB in {reading * 1e3:.1f} ms")

    loop(*(side[:, :500] for side in pair))
    slow = seconds(lambda: loop(*pair))
    tight = seconds(lambda: bincount_loop(*(side[:, :5000] for side in pair))) * EXAMPLES / 5000
    print(f"loop over {EXAMPLES} examples: {slow:.2f} s")
    print(f"the same with np.bincount: {tight:.2f} s, from 5,000 examples ({tight / fast:.0f} times)")
    ratio = slow / fast
    print(f"ratio={ratio:.0f}")
    return int(ratio < LEAST_RATIO or compiling >= MOST_COMPILE_SECONDS)


if __name__ == "__main__":
    sys.exit(main())

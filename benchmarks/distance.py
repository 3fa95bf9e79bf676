"""The distance of 100 x 60,000 margins to 100 oracles, against scipy's ``wasserstein_distance`` in a loop.

The loop is timed on fewer examples and scaled. Wanted: at least 100 times faster, under 0.5 s, and under 10 s with the
intervals of three splits. Run: python benchmarks/distance.py
"""

import sys
import time
from collections.abc import Callable

import numpy as np
from scipy.stats import wasserstein_distance

from expunge.metrics.blockwise import ByExample
from expunge.metrics.calibration import estimate
from expunge.metrics.wasserstein import wasserstein

EXAMPLES, LOOPED, WANTED = 60_000, 1_000, 100.0


def main() -> None:
    rng = np.random.default_rng(0)
    unlearned, oracle = rng.normal(size=(2, 100, EXAMPLES)).astype(np.float32)
    splits = np.split(np.arange(EXAMPLES), [500, 50_000])
    wasserstein(unlearned[:, :600], oracle[:, :600])  # compiles
    best = min(timed(lambda: wasserstein(unlearned, oracle)) for _ in range(5))
    print(f"distance: {best:.3f} s")
    statistic = ByExample(wasserstein, lambda values: np.array([values[split].mean() for split in splits]))
    seconds = timed(lambda: estimate(statistic, unlearned, oracle))
    print(f"with intervals: {seconds:.1f} s")

    def loop() -> object:
        return [wasserstein_distance(unlearned[:, j], oracle[:, j]) / oracle[:, j].std(ddof=1) for j in range(LOOPED)]

    ratio = timed(loop) * EXAMPLES / LOOPED / best
    print(f"scipy in a loop: {ratio * best:.1f} s")
    print(f"ratio={ratio:.0f}")
    sys.exit(ratio < WANTED or best > 0.5 or seconds > 10)


def timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

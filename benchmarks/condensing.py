"""The usability attack's own work: condensing several seeds at once, and logs of several requests in one training.

What one would do otherwise is one seed after the other, as public code does, and one training for each log. Limits: an
iteration of condensing passes all real records of up to 256 a class forward through a fresh network once for each seed,
and the condensed ones forward and backward; a logged step adds one pass over the weights for each request that its
batch met. Wanted: 10 images a class of `digits` under 60 s on 2 cores. Run: python benchmarks/condensing.py
"""

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from expunge.attacks.condensing.condense import condense
from expunge.attacks.condensing.condensed import Condensing
from expunge.ensembles.builds import build, build_logs
from expunge.ensembles.plan import Plan
from expunge.store import at_store
from expunge.suites import ForgetSet, Suite, load_suite

SEEDS, SOME, WANTED = (0, 1, 2), 50, 60.0


def condensing(suite: Suite) -> float:
    """Seconds for 10 images a class, by both generators; the stack of three seeds against one after the other."""
    taken = {}
    for generator in ("dm", "gm"):
        started = time.perf_counter()
        condense(suite, Condensing(generator=generator, images=10))
        taken[generator] = time.perf_counter() - started
        print(f"{generator}: 10 images a class in {taken[generator]:.1f} s, one seed, one thread")
    short = Condensing(images=10, iterations=SOME)
    started = time.perf_counter()
    condense(suite, short, SEEDS)
    stacked = time.perf_counter() - started
    started = time.perf_counter()
    for seed in SEEDS:
        condense(suite, short, [seed])
    alone = time.perf_counter() - started
    print(f"{len(SEEDS)} seeds, {SOME} iterations: stacked {stacked:.1f} s, one by one {alone:.1f} s")
    return max(taken.values())


def logging(suite: Suite, requests: int = 4, models: int = 10) -> None:
    """Seconds to log several requests in one training, against one training for each."""
    suite = replace(suite, chunk=models)
    rng = np.random.default_rng(0)
    sets = [
        ForgetSet(f"request-{number}", np.sort(rng.permutation(suite.data.sizes[0])[:100]), "drawn uniformly")
        for number in range(requests)
    ]
    plans = [Plan(suite, "logged", forget) for forget in sets]
    taken = []
    for together in (True, False):
        with tempfile.TemporaryDirectory() as folder, at_store(Path(folder)):
            started = time.perf_counter()
            if together:
                build_logs(plans, range(models))
            else:
                for plan in plans:
                    build(plan, models)
            taken.append(time.perf_counter() - started)
    print(f"logs of {requests} requests, {models} models: {taken[0]:.1f} s at once, {taken[1]:.1f} s one by one")


def main() -> None:
    suite = load_suite("digits")
    logging(suite)
    slowest = condensing(suite)
    print(f"ratio={WANTED / slowest:.2f}")
    sys.exit(slowest > WANTED)


if __name__ == "__main__":
    main()

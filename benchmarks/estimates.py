"""How far the time that a bench says is left lies from what it takes on: the worst factor after its first tenth.

Each bench begins with an empty store of its own.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from expunge.bench.plan import plan_bench
from expunge.bench.run import run_bench
from expunge.store import at_store

BENCHES: dict[str, tuple[list[str], int]] = {  # methods and models
    "like": (["fine-tune", "scrub", "salun", "neg-grad-plus"], 100),
    "unlike": (["fine-tune", "fisher-forgetting", "first-order", "retrain"], 50),
    "one": (["fisher-forgetting"], 100),
    "datamodels": (["dmm", "ssd-det", "kde"], 50),
    "cheap": (["first-order", "gradient-ascent", "delete"], 100),
}
FACTOR = 2.0  # wanted: never further off
SLACK = 1.0  # seconds by which anything may be wrong


class Listener:
    """A watch that asks for the time left several times a second."""

    def __init__(self) -> None:
        self.said: list[tuple[float, float | None]] = []
        self._left: Callable[[], float | None] | None = None
        self.ended = 0.0
        self._over = threading.Event()

    def __call__(self, done: int, total: int, label: str) -> None:
        """The time left is that until the last job is done."""
        self.ended = time.monotonic()

    def expect(self, left: Callable[[], float | None] | None) -> None:
        self._left = left

    def listen(self) -> None:
        while not self._over.wait(0.2):
            if left := self._left:
                self.said.append((time.monotonic(), left()))

    def stop(self) -> None:
        self._over.set()


def trial(methods: Sequence[str], models: int, workers: int, forget: Sequence[str]) -> tuple[float, str]:
    """Run one bench; by what factor it was wrong at worst, and what it said and what was true."""
    listener = Listener()
    with tempfile.TemporaryDirectory() as folder, at_store(Path(folder) / "store"):
        plan = plan_bench("digits", methods, forget, models=models)
        expected = plan.seconds(workers)
        thread = threading.Thread(target=listener.listen)
        thread.start()
        started = time.monotonic()
        run_bench(plan, Path(folder) / "out", workers=workers, watch=listener)
        ended = listener.ended
        listener.stop()
        thread.join()
    took = ended - started
    after = [(at, left) for at, left in listener.said if started + took / 10 < at < ended]
    known = [(at, factor(left, ended - at)) for at, left in after if left is not None]
    worst = max((abs_factor(each) for _, each in known), default=float("nan"))
    course = " ".join(f"{each:.2f}" for _, each in known[:: max(1, len(known) // 8)])
    return (
        worst,
        f"took {took:5.1f} s, said before {expected:5.1f} s; worst factor {worst:.2f}; said over true: {course}",
    )


def factor(said: float, true: float) -> float:
    return (said + SLACK) / (true + SLACK)


def abs_factor(ratio: float) -> float:
    return max(ratio, 1 / ratio)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--bench", choices=BENCHES, nargs="+", default=list(BENCHES))
    parser.add_argument("--forget-set", nargs="+", default=["random-50"])
    asked = parser.parse_args()
    worst = 1.0
    for name in asked.bench:
        for workers in asked.workers:
            wrong, told = trial(*BENCHES[name], workers, asked.forget_set)
            worst = max(worst, wrong)
            print(f"{name:>10}, {workers} workers: {told}", flush=True)
    print(f"ratio={FACTOR / worst:.2f}")
    sys.exit(worst > FACTOR)


if __name__ == "__main__":
    main()

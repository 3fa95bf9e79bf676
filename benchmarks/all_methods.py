"""All methods on one forget set of the suite `digits`, 100 models, with their tuned settings, on all cores.

Wanted: those that do not train from scratch under 15 minutes on 2 cores, classic scores included. Those that do are
timed one by one, and so are what sisa and amnesiac start from, and models that are pruned iteratively.
Run: python benchmarks/all_methods.py  (EXPUNGE_STORE: where the results are kept, for a bench after it; else nowhere)
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from expunge.bench.plan import plan_bench
from expunge.bench.rebuild import rebuild
from expunge.bench.run import run_bench
from expunge.engine import default_workers
from expunge.ensembles import Plan, build_all
from expunge.methods import METHODS
from expunge.suites import load_suite

FORGET_SET, MODELS, PRUNED, WANTED = "random-50", 100, "imp:0.95", 15 * 60
BUILT_FOR = tuple(name for name, method in METHODS.items() if method.prepare and method.prepare.plan)


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    suite, workers = load_suite("digits"), default_workers()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("EXPUNGE_STORE", folder)

        def benched(*methods: str) -> float:
            plan = plan_bench(suite, methods, [FORGET_SET], models=MODELS, classic=True)
            return seconds(lambda: run_bench(plan, Path(folder) / "out", workers=workers))

        for name in BUILT_FOR:
            built = seconds(
                lambda: rebuild(suite, [FORGET_SET], methods=[name], models=MODELS, workers=workers)  # noqa: B023
            )
            print(f"built for {name}: {built:.0f} s", flush=True)
        pruned = Plan(suite.pruned(PRUNED), "pretrained")
        built = seconds(lambda: build_all([(pruned, MODELS)], workers=workers))
        print(f"pruned by {PRUNED}: {built:.0f} s", flush=True)
        took = benched(*(name for name, method in METHODS.items() if not method.from_scratch))
        count = sum(not method.from_scratch for method in METHODS.values())
        print(f"{count} rows on {FORGET_SET}, {MODELS} models, {workers} workers: {took / 60:.1f} min", flush=True)
        for name in [name for name, method in METHODS.items() if method.from_scratch]:
            print(f"from scratch, {name}: {benched(name):.0f} s", flush=True)
    print(f"ratio={WANTED / took:.2f}")
    sys.exit(took > WANTED)


if __name__ == "__main__":
    main()

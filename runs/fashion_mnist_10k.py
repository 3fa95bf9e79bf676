"""Build what forget sets of `fashion-mnist-10k` need, score methods on them, and collect the records in results/.

Needs Debian's package dataset-fashion-mnist, or EXPUNGE_DATA, or the hub. On 2 cores 25 minutes for what all forget
sets share, 6 for the oracles of each, an hour to score all methods on one. It goes on where it stopped.
Run: python runs/fashion_mnist_10k.py [FORGET_SET ...] [-- METHOD ...]  (default: all forget sets, and
all methods but those that start from models of their own)
"""

import sys
from pathlib import Path

import collect

from expunge.bench.run import bench
from expunge.engine import default_workers
from expunge.ensembles import Plan, build_all
from expunge.ensembles.builds import derive_forget_sets
from expunge.methods import find_method
from expunge.suites import load_suite
from expunge.suites.suite import with_derived

SUITE = "fashion-mnist-10k"


def main(forget_sets: list[str], methods: list[str]) -> None:
    """One bench for each forget set, so that each is finished by itself."""
    suite, workers = load_suite(SUITE), default_workers()
    for name in methods:
        find_method(name)  # a wrong name is known before the hours
    shared = [(Plan(suite, "pretrained"), suite.models), (Plan(suite, "subset"), suite.subsets)]
    build_all(shared, workers=workers, watch=watch)
    derive_forget_sets(suite)
    suite = with_derived(suite)
    for name in forget_sets or suite.forget_sets:
        build_all([(Plan(suite, "oracle", suite.forget_sets[name]), suite.models)], workers=workers, watch=watch)
        out = Path("out") / SUITE / name
        bench(suite, methods or None, [name], out=out, workers=workers, watch=watch)
        collect.main([str(out)])


def watch(done: int, total: int, label: str) -> None:
    """Say how far it is."""
    print(f"{done}/{total} {label}", flush=True)


if __name__ == "__main__":
    given = sys.argv[1:]
    at = given.index("--") if "--" in given else len(given)
    main(given[:at], given[at + 1 :])

"""Margins of 200 models on 60,000 examples out of a store: with the check of their SHA-256, and once they were checked.

    python benchmarks/loading.py

Each of 5 processes reads them twice through ``read_margins``: 48 MB of margins, 1.5 MB of whether each choice was
right. The first reading hashes all; the second finds that nothing changed since. What hashing the bytes alone takes is
printed beside, the limit of the first. Wanted: under 50 ms. The last line is ``ratio=...``, 50 ms over the first;
the exit code is 1 where it is below 1.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from expunge.ensembles import Plan, read_margins
from expunge.store import user_store
from expunge.suites import load_suite

MODELS, MOST_SECONDS, PROCESSES = 200, 0.05, 5


def write() -> None:
    """An ensemble of the size of the published ones, into the user's store."""
    plan = Plan(load_suite("cifar10-resnet9"), "pretrained")
    rng = np.random.default_rng(0)
    margins = rng.standard_normal((MODELS, plan.suite.data.width), np.float32)
    user_store().write(plan.key, {"margins": margins, "correct": np.packbits(margins > 0, axis=1)}, {"models": MODELS})


def child() -> None:
    """Seconds of the first and of the second reading, and of hashing the bytes alone."""
    plan = Plan(load_suite("cifar10-resnet9"), "pretrained")
    _ = plan.key  # the digest of the suite, which builds the network
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        read_margins(plan, 0, MODELS)
        seconds.append(time.perf_counter() - started)
    started = time.perf_counter()
    for file in (user_store().root / plan.key).glob("*.npy"):
        with file.open("rb") as stream:
            hashlib.file_digest(stream, "sha256")
    print(json.dumps([*seconds, time.perf_counter() - started]))


def main() -> int:
    if "--child" in sys.argv:
        child()
        return 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EXPUNGE_STORE"] = str(Path(folder) / "store")
        write()
        command = [sys.executable, __file__, "--child"]
        answers = [json.loads(subprocess.check_output(command)) for _ in range(PROCESSES)]
    first, second, hashing = (min(each) for each in zip(*answers, strict=True))  # the least, on a shared machine
    print(f"first reading: {first * 1e3:.1f} ms, of which hashing {hashing * 1e3:.1f} ms; again: {second * 1e3:.1f} ms")
    ratio = MOST_SECONDS / first
    print(f"ratio={ratio:.2f}")
    return int(ratio < 1)


if __name__ == "__main__":
    sys.exit(main())

"""The whole of `make demo` after the install: its time, and the memory of all its processes together.

Six methods and both anchors at N = 100 on three forget sets, into an empty store. Memory is what the command and its
workers take together, a page that several share counted once (Linux: PSS); the sum of their resident sets, which counts
it once for each, is printed beside it.
Wanted: under 60 s on 2 quiet cores and under 1.5 GB. Run: python benchmarks/bench.py
"""

import os
import subprocess
import sys
import tempfile
import time

import psutil

SECONDS, BYTES = 60.0, 1.5e9
SETS = ["random-50", "class-3", "memorised-50"]
METHODS = ["fine-tune", "gradient-ascent", "neg-grad-plus", "random-labels", "scrub", "salun"]


def taken(process: psutil.Process) -> tuple[int, int]:
    """Bytes that the process and all its descendants take, and the sum of their resident sets; ended ones take none."""
    proportional, resident = 0, 0
    for each in [process, *process.children(recursive=True)]:
        try:
            memory = each.memory_full_info()
        except psutil.Error:
            continue
        proportional += getattr(memory, "pss", memory.rss)
        resident += memory.rss
    return proportional, resident


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "EXPUNGE_STORE": f"{folder}/store"}
        options = [argument for name in SETS for argument in ("--forget-set", name)]
        options += [argument for name in METHODS for argument in ("--method", name)]
        command = [sys.executable, "-m", "expunge", "bench", "digits", *options, "--out", f"{folder}/out"]
        started, peak, resident = time.perf_counter(), 0, 0
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            now = taken(watched)
            peak, resident = max(peak, now[0]), max(resident, now[1])
            time.sleep(0.2)
        seconds = time.perf_counter() - started
    memory = f"peak {peak / 1e9:.2f} GB, resident sets {resident / 1e9:.2f} GB"
    print(f"exit code {process.returncode}, {seconds:.1f} s, {memory}")
    print(f"time: {SECONDS / seconds:.2f} times under {SECONDS:.0f} s")
    ratio = min(SECONDS / seconds, BYTES / peak)
    print(f"ratio={ratio:.2f}")
    sys.exit(ratio < 1 or process.returncode != 0)


if __name__ == "__main__":
    main()

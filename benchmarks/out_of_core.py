"""KLoM and its calibrated 95th percentile of margins in files, 100 against 100 models, in memory that does not grow.

    python benchmarks/out_of_core.py [--others] [--examples 5000000] [--parts 4 2 1]

Writes two files of 2 GB for 5,000,000 examples into a temporary folder (TMPDIR), and scores a quarter, a half and all
of the examples, each in a process of its own. Printed: seconds, examples and bytes a second, beside reading the same
bytes once; the largest resident set; and the processor time of an example in a quarter of the file over that in all of
it, by which time is linear or not (the wall's depends on what else runs).
With ``--others`` what else is scored: copies of oracles, outliers, distinguishable examples with 1,000 permutations.
Wanted: under 1 GB, and a ratio of 0.8 or more: time linear in examples. The exit code is 1 where that is missed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy import ndarray

MODELS, EXAMPLES, SHIFTED = 100, 5_000_000, 0.02
GROUPS = 5  # of the jackknife of distinguishable examples, to be done in minutes; memory is that of 20
MOST_BYTES, LEAST_RATIO = 1e9, 0.8


def write(file: Path, examples: int, seed: int, shift: float) -> None:
    """Margins of 100 models, row by row: normal, 5 % of the variance shared; the first 2 % of examples shifted."""
    with file.open("wb") as stream:
        header = {"descr": "<f4", "fortran_order": False, "shape": (MODELS, examples)}
        np.lib.format.write_array_header_1_0(stream, header)
        for model in range(MODELS):
            rng = np.random.default_rng([seed, model])
            row = np.sqrt(0.05) * rng.standard_normal() + np.sqrt(0.95) * rng.standard_normal(examples, np.float32)
            row[: int(SHIFTED * examples)] += shift
            stream.write(row.astype(np.float32).data)


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the wall, and of all processors together: the latter do not count what others run meanwhile."""
    started, used = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - started, time.process_time() - used


def read_once(files: list[Path], examples: int) -> None:
    """Read what will be scored, row by row, into one buffer: nothing that needs every margin can be faster."""
    buffer = memoryview(bytearray(4 * examples))
    for file in files:
        array = np.load(file, mmap_mode="r")
        with file.open("rb", buffering=0) as stream:
            for model in range(MODELS):
                stream.seek(array.offset + model * array.strides[0])
                stream.readinto(buffer)


def steps(unlearned: ndarray, oracle: ndarray, others: bool) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    from expunge.metrics.blockwise import ByExample
    from expunge.metrics.dealing import estimate_by_dealing
    from expunge.metrics.distinguishable import distinguishable_share
    from expunge.metrics.klom import klom
    from expunge.metrics.oracle_copies import copies
    from expunge.metrics.outliers import outliers

    klom(unlearned[:, :512], oracle[:, :512])  # compiles
    columns = np.arange(unlearned.shape[1])
    headline = ByExample(klom, lambda values: np.array([np.percentile(values, 95), values.mean()]))
    if not others:
        return {
            "klom": lambda: klom(unlearned, oracle),
            "p95 and mean with intervals": lambda: estimate_by_dealing(headline, unlearned, oracle),
        }
    return {
        "copies of oracles": lambda: copies(unlearned, oracle, columns),
        "outlier models": lambda: outliers(unlearned, oracle),
        "distinguishable examples": lambda: distinguishable_share(unlearned, oracle, [columns], groups=GROUPS),
    }


def child(folder: Path, examples: int, others: bool) -> None:
    """Score the first ``examples``; print the seconds of each step and the largest resident set in bytes."""
    files = [folder / "unlearned.npy", folder / "oracle.npy"]
    pair = [np.load(file, mmap_mode="r")[:, :examples] for file in files]
    seconds = {name: timed(run) for name, run in steps(pair[0], pair[1], others).items()}
    lines = (
        Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    )  # ru_maxrss would count the parent's before exec
    peak = 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    seconds["reading once"] = timed(lambda: read_once(files, examples))
    print(json.dumps({"seconds": seconds, "peak": peak}))


def show(examples: int, found: dict[str, tuple[float, float]], peak: int) -> None:
    size = 2 * MODELS * examples * 4
    print(f"{examples:,} examples, {size / 1e9:.2f} GB in two files: peak {peak / 1e6:.0f} MB", flush=True)
    for name, (seconds, used) in found.items():
        speed = f"{examples / seconds:,.0f} examples/s, {size / seconds / 1e9:.3f} GB/s"
        print(f"  {name:<32}{seconds:8.2f} s ({used:.2f} s of processors)  {speed}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=EXAMPLES)
    parser.add_argument("--parts", type=int, nargs="+", default=[4, 2, 1], help="of which share of the examples")
    parser.add_argument("--others", action="store_true")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.examples, options.others)
        return 0
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "unlearned.npy", options.examples, 0, 1.0)
        write(Path(folder) / "oracle.npy", options.examples, 1, 0.0)
        for examples in (options.examples // part for part in sorted(options.parts, reverse=True)):
            command = [sys.executable, __file__, "--child", folder, "--examples", str(examples)]
            answer = subprocess.run([*command, *["--others"] * options.others], check=True, stdout=subprocess.PIPE)
            results[examples] = json.loads(answer.stdout)
            show(examples, results[examples]["seconds"], results[examples]["peak"])
    peak = max(each["peak"] for each in results.values())
    least, most = min(results), max(results)
    ratios = {
        name: most / least * results[least]["seconds"][name][1] / used
        for name, (_, used) in results[most]["seconds"].items()
        if name != "reading once"
    }
    print("linearity:", ", ".join(f"{name} {each:.2f}" for name, each in ratios.items()))
    print(f"peak: {peak / 1e6:.0f} MB")
    ratio = min(ratios.values())
    print(f"ratio={ratio:.2f}")
    return int(ratio < LEAST_RATIO or peak > MOST_BYTES)


if __name__ == "__main__":
    sys.exit(main())

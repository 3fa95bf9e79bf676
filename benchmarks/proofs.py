"""Proofs of unlearning on `digits`: what recording and verifying cost beside training, and gradients in one pass.

Three ratios, each the median over rounds in which both sides run in turn, in CPU time: recording at most 1.1 times a
training, of the thread that trains, while another one hashes and writes (its time is printed too); verifying, noise and
checks included, at most 1.2 times the training that it replays; the gradients of 50 candidates of a record, what most
batches have of ten removed ones, at least 5 times faster in one batched pass than one by one. And a bundle is under
30 MB. `ratio` is the least of what was wanted over what was measured.
Run: python benchmarks/proofs.py [ROUNDS]
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from expunge.audits.proofs.gradients import SetGradients, set_gradients_one_by_one
from expunge.audits.proofs.order import Drawn, seed_of_order
from expunge.audits.proofs.provider import kept_of, promise, prove_promised
from expunge.audits.proofs.verification import verify
from expunge.ensembles.train import train
from expunge.suites import load_suite

CANDIDATES, RECORDS, CALLS = 50, 1, 5


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.process_time, calls: int = 1) -> float:
    """CPU time of so many calls."""
    started = clock()
    for _ in range(calls):
        work()
    return clock() - started


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    torch.set_num_threads(1)
    suite = load_suite("digits")
    forget, batched = suite.forget_set("random-10"), SetGradients(suite)
    training, recording, both, verifying, together, singly = [list[float]() for _ in range(6)]
    sets = torch.randint(0, 1437, (CANDIDATES, RECORDS), generator=torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory() as place:
        for number in range(rounds + 1):  # the first warms up
            planned, folder = promise(suite, forget, number), Path(place) / str(number)
            rows = torch.as_tensor(kept_of(planned.promise))[None]
            order = Drawn(seed_of_order(planned.promise.digest, "nonce"))
            plain = planned.first.copy()
            training.append(seconds(lambda: train(plain, suite.data.train, rows, suite.recipe, order)))  # noqa: B023
            started = time.process_time()
            recording.append(seconds(lambda: prove_promised(suite, planned, folder, "nonce"), time.thread_time))  # noqa: B023
            both.append(time.process_time() - started)
            verifying.append(seconds(lambda: verify(folder, suite, forget)))  # noqa: B023
            model = plain[0]
            together.append(seconds(lambda: batched(model, sets), calls=CALLS))  # noqa: B023
            singly.append(seconds(lambda: set_gradients_one_by_one(model, suite, sets), calls=CALLS))  # noqa: B023
        size = sum(file.stat().st_size for file in folder.iterdir())
    cost = median(training[1:])
    recorded, verified = median(recording[1:]) / cost, median(verifying[1:]) / cost
    faster = median(singly[1:]) / median(together[1:])
    print(f"training {cost:.3f} s; recorded {recorded:.2f} times, wanted at most 1.1")
    print(f"with the thread that writes {median(both[1:]) / cost:.2f} times")
    print(f"verifying {verified:.2f} times, wanted at most 1.2; a bundle of {size / 1e6:.1f} MB, wanted under 30")
    print(f"{CANDIDATES} gradients of {RECORDS} records {faster:.1f} times faster in one pass, wanted 5")
    ratio = min(1.1 / recorded, 1.2 / verified, faster / 5, 30e6 / size)
    print(f"ratio={ratio:.2f}")
    sys.exit(ratio < 1)


if __name__ == "__main__":
    main()

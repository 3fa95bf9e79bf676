"""Auditing one method on one forget set of `digits`, 100 models against 100 oracles: every audit, beyond training.

Processor time of one thread. What is training is done before: the method on 100 models, 200 oracles whose weights are
kept and, for the two audits with shadow models that have unlearned, 100 of those and 100 retrained; all stays in the
store. The limit: relearning makes 16 passes, forward and back, over half of the set with each of three ensembles, and
the probe reads the features of 550 examples from each.
Wanted: all under 10 s. Run: python benchmarks/audits.py [METHOD [FORGET_SET [MODELS]]]
"""

import sys
import time

import torch

from expunge.audits import AUDITS
from expunge.audits.evidence import Evidence, Side
from expunge.bench.plan import plan_bench
from expunge.bench.rows import rows_of
from expunge.bench.score import reference_of
from expunge.methods.task import finished, unlearn_chunk

WANTED = 10.0
METHOD, FORGET_SET, MODELS = "scrub", "memorised-50", "100"


def evidence_of(method: str, forget_set: str, models: int) -> Evidence:
    """What is known of a row once all that is training is done."""
    plan = plan_bench("digits", [method], [forget_set], models=models)
    task = next(task for task in plan.tasks if task.name == method)
    parts = [] if task.method.anchor else task.chunks(range(models))
    outcomes = [finished(task, part, with_weights=True) or unlearn_chunk(task, part, True) for part in parts]
    reference = reference_of(plan.suite, task.forget, models, models)
    found = Evidence(rows_of(task, outcomes, models, reference)[-1], reference, task=task)
    sides: tuple[Side, ...] = ("row", "oracles", "held-out")
    for side in sides:
        found.models(side)
        found.shadows(side)
    return found


def main(method: str = METHOD, forget_set: str = FORGET_SET, models: str = MODELS) -> None:
    torch.set_num_threads(1)
    evidence = evidence_of(method, forget_set, int(models))
    total = 0.0
    for name, audit in AUDITS.items():
        started = time.process_time()
        audit.scores(evidence)
        taken = time.process_time() - started
        total += taken
        print(f"{name:<28} {taken:6.2f} s")
    print(f"all {total:.2f} s")
    print(f"ratio={WANTED / total:.2f}")
    sys.exit(total > WANTED)


if __name__ == "__main__":
    main(*sys.argv[1:])

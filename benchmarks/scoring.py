"""Scoring one row of `digits`, 100 models against 100 oracles: what a default bench computes, and what --classic adds.

Processor time of one thread, the second of two runs, so that kernels are compiled. The limit: KLoM's interval takes 61
passes over both ensembles, the permutation test 1,000 labellings of every example; MIA-efficacy fits two support vector
machines for every model, of which those of the oracles serve all rows of a forget set.
Wanted: the default under 1 s. Run: python benchmarks/scoring.py
"""

import sys
import time

import torch

from expunge.bench.score import identity_row, reference_of, score_row
from expunge.ensembles import Plan, read_margins
from expunge.metrics import METRICS, Reference, Row, default_metrics
from expunge.suites import load_suite

MODELS, WANTED = 100, 1.0


def seconds(row: Row, reference: Reference, metrics: tuple[str, ...]) -> float:
    """Processor time of scoring a row by these metrics; what is known of the oracles is kept, of the row nothing."""
    for _ in range(2):
        row.__dict__.pop("per_model", None)
        started = time.process_time()
        score_row([row], reference, metrics)
        taken = time.process_time() - started
    return taken


def main() -> None:
    torch.set_num_threads(1)
    suite = load_suite("digits")
    forget = suite.forget_sets["random-50"]
    reference = reference_of(suite, forget, MODELS, MODELS)
    row = identity_row(suite, forget, read_margins(Plan(suite, "pretrained"), 0, MODELS))
    for name in METRICS:
        print(f"{name:<24} {seconds(row, reference, (name,)):6.3f} s")
    default, classic = (seconds(row, reference, default_metrics(classic=asked)) for asked in (False, True))
    print(f"default {default:.2f} s, with --classic {classic:.2f} s: {classic / default:.1f} times as long")
    print(f"ratio={WANTED / default:.2f}")
    sys.exit(default > WANTED)


if __name__ == "__main__":
    main()

"""The page of the matrix attack x verifier, in Markdown, and its numbers as JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import beta, t

from expunge.audits.proofs.beacon import Beacon
from expunge.audits.proofs.matrix import Attacked, klom_of, policies, run_matrix
from expunge.engine import Watch, Workers
from expunge.reports.studies.entries import as_list, write_entries
from expunge.reports.studies.markdown import grid, in_brackets
from expunge.store import write_file
from expunge.suites.suite import ForgetSet, Suite

INTRODUCTION = """\
# Attack x verifier

Made by `runs/verify_matrix.py`: {repetitions} repetitions of each provider on {suite}, forgetting {forget}. Brackets
are 95 % intervals over repetitions (Clopper-Pearson for shares, Student's t for means).

Every provider hands over a bundle of a retraining. `honest` retrains in the order that the verifier's nonce gives;
`careless` lets one removed record into one batch; `Adv-R` and `Adv-N` (Zhang et al. 2024, arXiv:2408.00929) put
retained records in the places of removed ones, found by the gradients of 50 random candidates, or by nearest
neighbours; `forged` does not retrain. Verifiers differ in the largest error of a step that they let pass: the noise of
the machine, in weights, buffers and momenta, or a fixed `eps` in weights alone, as in the literature. `beacon-bound`
also asks for the order that its nonce gives, issued after the provider had promised data, first weights and code.

**A PASS does not show forgetting.** Adv-R and Adv-N pass every verifier but the beacon-bound one by construction."""


def write_matrix(
    suite: Suite, forget: ForgetSet, repetitions: int, folder: Path, workers: Workers, watch: Watch
) -> Path:
    """Run what is missing of the matrix, and write ``verify_matrix.json`` and ``verify_matrix.md`` into ``folder``."""
    found = run_matrix(suite, forget, repetitions, workers, watch)
    entries = [_entry(each, suite, forget) for each in found]
    write_entries(folder / "verify_matrix.json", entries, repetitions)
    page = folder / "verify_matrix.md"
    write_file(page, matrix_page(entries, suite.name, forget.name, repetitions))
    return page


def matrix_page(entries: Sequence[dict[str, Any]], suite: str, forget: str, repetitions: int) -> str:
    """The whole page, of the entries and of nothing else."""
    verifiers = list(policies(Beacon("", ""), 1.0))
    passes = [[each["attack"], *(in_brackets(each["passes"][name], 100, 0) for name in verifiers)] for each in entries]
    utility = [
        [
            each["attack"],
            *(in_brackets(each["accuracy"][split], 100, 1) for split in ("retain", "test")),
            " to ".join(f"{error:.1e}" for error in each["largest errors"]),
            in_brackets(each["cost"], 1, 2),
        ]
        for each in entries
    ]
    left = [
        [
            each["attack"],
            in_brackets(each["KLoM"], 1, 2),
            in_brackets(each["loss AUC"], 1, 3),
            in_brackets(each["accuracy"]["forget"], 100, 1),
        ]
        for each in entries
    ]
    parts = [
        INTRODUCTION.format(repetitions=repetitions, suite=suite, forget=forget),
        "## Share of proofs that pass, in per cent\n\n" + grid(["provider", *verifiers], passes),
        "## Utility, error and cost\n\nAccuracies in per cent; the error is the largest of one step, in L2 of the "
        "weights, from the least to the largest of all repetitions; the cost is CPU time as a share of one recorded "
        "training.\n\n" + grid(["provider", "accuracy, retained", "accuracy, test", "largest error", "cost"], utility),
        "## What is left of the removed records\n\nThe row `honest` is what a model without them gets. KLoM is the "
        f"95th percentile in nats, of {repetitions} models against all oracles of the suite: with few models its floor "
        "is high. Loss AUC: the chance that a removed record has a lower loss than a test record.\n\n"
        + grid(["provider", "KLoM, forget", "loss AUC", "accuracy, forget"], left),
    ]
    return "\n\n".join(parts) + "\n"


def _entry(attacked: Attacked, suite: Suite, forget: ForgetSet) -> dict[str, Any]:
    rows = attacked.rows
    outcomes, errors = [row["outcomes"] for row in rows], [row["error"] for row in rows]
    return {
        "attack": attacked.name,
        "passes": {name: share([each[name] == "PASS" for each in outcomes]) for name in outcomes[0]},
        "inconclusive": {name: sum(each[name] == "INCONCLUSIVE" for each in outcomes) for name in outcomes[0]},
        "accuracy": {split: mean([row["accuracy"][split] for row in rows], 1) for split in rows[0]["accuracy"]},
        "largest errors": [min(errors), max(errors)],
        "cost": mean([row["cost"] for row in rows]),
        "loss AUC": mean([row["loss AUC"] for row in rows], 1),
        "KLoM": as_list(klom_of(attacked, suite, forget)),
    }


def share(passed: Sequence[bool]) -> list[float]:
    """How many of them, with the Clopper-Pearson interval.

    >>> share([True, True])[0]
    1.0
    """
    n, k = len(passed), sum(passed)
    low = float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
    return [k / n, low, high]


def mean(values: Sequence[float], most: float = np.inf) -> list[float] | None:
    """The mean of numbers from 0 to ``most``, with its interval by Student's t; None of one value, which has none."""
    if len(values) < 2:
        return None
    half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5)
    middle = float(np.mean(values))
    return [middle, max(0.0, middle - half), min(most, middle + half)]

"""The page of the matrix attack x verifier, in Markdown, and its numbers as JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.stats import beta, t

from expunge.audits.owner_counts import WHEN
from expunge.audits.proofs.beacon import Beacon
from expunge.audits.proofs.matrix import OWNER, Attacked, klom_of, policies, run_matrix, u_lira_of
from expunge.audits.proofs.owner import RECORDS
from expunge.engine import Watch, Workers
from expunge.ensembles.plan import Plan
from expunge.ensembles.stored_margins import read_margins
from expunge.files import write_file
from expunge.reports.studies.entries import as_list, write_entries
from expunge.reports.studies.markdown import code, grid, in_brackets
from expunge.suites.suite import ForgetSet, Suite

NOTHING, ORACLES = "nothing done", "oracles"
INTRODUCTION = """\
# Attack x verifier

Made by `expunge verify matrix {suite} --forget-set {forget}`: {repetitions} repetitions of each provider. Brackets are
95 % intervals over repetitions (Clopper-Pearson for shares, Student's t for means).

Every provider hands over a bundle of a retraining. `honest` retrains in the order that the verifier's nonce gives;
`careless` lets one removed record into one batch; `Adv-R` and `Adv-N` (Zhang et al. 2024, arXiv:2408.00929) put
retained records in the places of removed ones, found by the gradients of 50 random candidates, or by nearest
neighbours; `forged` does not retrain. Verifiers differ in the largest error of a step that they let pass: the noise of
the machine, in weights, buffers and momenta, or a fixed `eps` in weights alone, as in the literature. `beacon-bound`
also asks for the order that its nonce gives, issued after the provider had promised data, first weights and code.
`owner's trigger` sees no proof: in data of its own, {records} records with a private trigger in half of them, an owner
asks the model before and after the same provider removed all of those.

**A PASS does not show forgetting.** Adv-R and Adv-N pass every verifier but the beacon-bound one by construction: their
steps are true, and no removed record is in a batch; only who draws the order can know why a batch is what it is."""

UTILITY = """\
## Utility, error and cost

Accuracies in per cent; the error is the largest of one step, in L2 of the weights, from the least to the largest of all
repetitions; the cost is CPU time as a share of one recorded training.

"""
TRIGGER = """\
## What the owner counts

The share of queries with the owner's trigger that get its label, in per cent.

"""
LEFT = """\
## What is left of the removed records

KLoM is the 95th percentile in nats, of {repetitions} models against all oracles of the suite: with few models its floor
is high, and `{oracles}` says what it is. U-LiRA is the AUC, record by record, of an attack that knows other models of
the same provider; at 0.5 they cannot be told from oracles. Loss AUC is the chance that a removed record has a lower
loss than a test record. `{nothing}` are the original models.

"""


def write_matrix(
    suite: Suite, forget: ForgetSet, repetitions: int, folder: Path, workers: Workers, watch: Watch
) -> Path:
    """Run what is missing of the matrix, and write ``matrix.json`` and ``matrix.md`` into ``folder``."""
    found = run_matrix(suite, forget, repetitions, workers, watch)
    columns = suite.columns(forget)["forget"]
    oracles = np.asarray(read_margins(Plan(suite, "oracle", forget), 0, suite.models).values)[:, columns]
    entries = [_entry(each, columns, oracles) for each in found]
    entries += _beside(suite, columns, oracles, repetitions)
    folder.mkdir(parents=True, exist_ok=True)
    write_entries(folder / "matrix.json", entries, repetitions)
    write_file(folder / "matrix.md", matrix_page(entries, suite.name, forget.name, repetitions))
    return folder / "matrix.md"


def _beside(
    suite: Suite, columns: Int[ndarray, " forget"], oracles: Float[ndarray, "oracles forget"], repetitions: int
) -> list[dict[str, Any]]:
    """What is to be found where nothing was done, and what as many oracles get of the rest."""
    original = np.asarray(read_margins(Plan(suite, "pretrained"), 0, repetitions).values)[:, columns]
    half = len(oracles) // 2
    return [
        {"attack": NOTHING, **_left(original, oracles)},
        {"attack": ORACLES, **_left(oracles[half : half + repetitions], oracles[:half])},
    ]


def _left(margins: Float[ndarray, "models forget"], oracles: Float[ndarray, "oracles forget"]) -> dict[str, Any]:
    margins = margins.astype(np.float64)
    return {"KLoM": as_list(klom_of(margins, oracles)), "U-LiRA": as_list(u_lira_of(margins, oracles))}


def matrix_page(entries: Sequence[dict[str, Any]], suite: str, forget: str, repetitions: int) -> str:
    """The whole page, of the entries and of nothing else."""
    verifiers = [*policies(Beacon("", ""), 1.0), OWNER]
    proven = [each for each in entries if "passes" in each]
    passes = [[each["attack"], *(in_brackets(each["passes"][name], 100, 0) for name in verifiers)] for each in proven]
    triggers = [[each["attack"], *(in_brackets(each["trigger"][when], 100, 1) for when in WHEN)] for each in proven]
    utility = [
        [
            each["attack"],
            *(in_brackets(each["accuracy"][split], 100, 1) for split in ("retain", "test")),
            " to ".join(f"{error:.1e}" for error in each["largest errors"]),
            in_brackets(each["cost"], 1, 2),
        ]
        for each in proven
    ]
    left = [
        [
            each["attack"],
            in_brackets(each["KLoM"], 1, 2),
            in_brackets(each["U-LiRA"], 1, 3),
            *(in_brackets(found, 100, 1) for found in _of_one_model(each)),
        ]
        for each in entries
    ]
    parts = [
        INTRODUCTION.format(repetitions=repetitions, suite=suite, forget=forget, records=RECORDS),
        "## Share of proofs that pass, in per cent\n\n" + grid(["provider", *verifiers], passes) + _undecided(proven),
        UTILITY + grid(["provider", "accuracy, retained", "accuracy, test", "largest error", "cost"], utility),
        TRIGGER + grid(["provider", "before the removal", "after it"], triggers),
        LEFT.format(repetitions=repetitions, oracles=ORACLES, nothing=NOTHING)
        + grid(["provider", "KLoM, forget", "U-LiRA", "loss AUC, %", "accuracy, forget"], left),
        _reading(entries),
    ]
    return "\n\n".join(parts) + "\n"


def _undecided(entries: Sequence[dict[str, Any]]) -> str:
    """Which of those that did not pass did not fail either."""
    found = [
        f"{code(each['attack'])} before {code(name)}, {count}"
        for each in entries
        for name, count in each["inconclusive"].items()
        if count
    ]
    why = (
        "of longer segments, because their noise is above the error that is let pass; of the owner, because the "
        "trigger had no power. All others are FAIL."
    )
    return f"\n\nOf those that did not pass, {'; '.join(found)} were INCONCLUSIVE: {why}" if found else ""


def _reading(entries: Sequence[dict[str, Any]]) -> str:
    """Which models were told from those that never saw the records, and which were not."""
    by_name = {each["attack"]: each for each in entries}
    floor = by_name[ORACLES]["KLoM"]
    told: list[str] = []
    others: list[str] = []
    for name, entry in by_name.items():
        if name != ORACLES:
            differs = entry["KLoM"][1] > floor[2] or not entry["U-LiRA"][1] <= 0.5 <= entry["U-LiRA"][2]
            (told if differs else others).append(code(name))
    sentences = [
        f"Told from oracles, by KLoM or by U-LiRA: {', '.join(told)}."
        if told
        else "No provider's models were told from oracles.",
        f"Not told: {', '.join(others)}; what is still there, if anything is, is smaller than these intervals."
        if others
        else "",
    ]
    return " ".join(filter(None, sentences))


def _of_one_model(entry: dict[str, Any]) -> list[list[float] | None]:
    """What a single model shows of the removed records, where it was asked."""
    accuracy = entry.get("accuracy", {}).get("forget")
    return [entry.get("loss AUC"), accuracy]


def _entry(
    attacked: Attacked, columns: Int[ndarray, " forget"], oracles: Float[ndarray, "oracles forget"]
) -> dict[str, Any]:
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
        "trigger": {
            when: mean([hits / queries for hits, queries in (row["trigger"][place] for row in rows)], 1)
            for place, when in enumerate(WHEN)
        },
        **_left(attacked.margins[:, columns], oracles),
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

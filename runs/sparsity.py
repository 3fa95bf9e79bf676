"""Prune first, then unlearn: the gap to the oracles against the sparsity of the models, on digits.

Run: runs/sparsity.sh, or python runs/sparsity.py [page]  ("page" only writes the page again from the records)

Every sparse model is pruned and trained by its own recipe, and so is every oracle, on its own retained examples: the
reference of a sparse model is the sparse oracle. Methods keep their default settings at every sparsity.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from sparse_rows import write_rows

from expunge.engine import Job, default_workers, run_jobs
from expunge.ensembles import Measured, Plan, build_all, pretrain, read_measured, retrain
from expunge.ensembles.build import first_weights
from expunge.ensembles.train import measure
from expunge.errors import BadSetting
from expunge.methods import METHODS as METHOD_ROWS
from expunge.methods import run_method
from expunge.methods.task import Task, unlearn_chunk
from expunge.metrics.average_gap import average_gap
from expunge.metrics.bench import plan_tasks
from expunge.metrics.calibration import Estimate
from expunge.metrics.classic import ra, ta, ua
from expunge.metrics.evaluate import held_out, klom_scores
from expunge.metrics.over_models import gap, mean_over_models
from expunge.metrics.row import Row
from expunge.metrics.sparsity_bound import sparsity_bound
from expunge.store import user_store
from expunge.suites import ForgetSet, Suite, load_suite

SPARSITIES = (0.0, 0.5, 0.75, 0.9, 0.95, 0.99)
METHODS = (
    "fine-tune",
    "gradient-ascent",
    "neg-grad-plus",
    "random-labels",
    "scrub",
    "l1-sparse",
    "salun",
)
CONTROLLED = (0.0, 0.9, 0.95)  # where the control `retrain` is run too, which costs as much as all the others
OTHER_MASKS = 0.95  # where retraining is also done under masks of oracles, which have not seen the forget set
FORGET_SETS = ("random-50", "class-3")
MODELS = 50
RESULTS = Path(__file__).parents[1] / "results" / "sparsity"

ACCURACIES = {"UA": (ua, "forget"), "RA": (ra, "retain"), "TA": (ta, "test")}

Entry = dict[str, Any]


def main(only_page: bool) -> None:
    """Build and bench what is not in the store yet, write the records, then the page made of them."""
    file = RESULTS / "digits.json"
    if not only_page:
        RESULTS.mkdir(parents=True, exist_ok=True)
        write_rows(file, [entry for sparsity in SPARSITIES for entry in measured(sparsity)], MODELS)
    from sparsity_page import page

    others = [RESULTS / "backdoor.json", RESULTS / "transfer.json"]  # of the other two scripts, where they were run
    records = [json.loads(each.read_text()) if each.exists() else None for each in (file, *others)]
    (RESULTS.parent / "sparsity.md").write_text(page(*records))


def suite_of(sparsity: float) -> Suite:
    """Digits at this sparsity; its oracles serve as reference and as floor, half of them each."""
    dense = load_suite("digits")
    return dense if sparsity == 0 else replace(dense.pruned(f"omp:{sparsity}"), models=2 * MODELS)


def measured(sparsity: float) -> list[Entry]:
    """All rows of one sparsity: methods on forget sets, and the parts of Proposition 2."""
    suite = suite_of(sparsity)
    try:
        build(suite)
    except BadSetting as error:  # so many weights pruned that some model has a layer without any
        return [{"sparsity": sparsity, "row": "build", "status": "failed", "reason": str(error)}]
    names = [*METHODS, *(["retrain"] if sparsity in CONTROLLED else [])]
    tasks = plan_tasks(suite, names, FORGET_SETS, models=MODELS, recipe="default")
    parts = [range(first, min(first + suite.chunk, MODELS)) for first in range(0, MODELS, suite.chunk)]
    jobs = [
        Job(f"{task.name} on {task.forget.name}", unlearn_chunk, (task, part), shared=(suite,))
        for task in tasks
        for part in parts
        if not task.method.anchor and user_store().read(task.key(part)) is None
    ]
    failures = {
        job.label: outcome.reason for job, outcome in run_jobs(jobs, default_workers(), watch) if outcome.reason
    }
    found = []
    for forget_set in FORGET_SETS:
        own = [task for task in tasks if task.forget.name == forget_set]
        found += scored(sparsity, suite, own, parts, failures)
    return [*found, bound(sparsity, suite)]


def watch(done: int, total: int, label: str) -> None:
    """Say how far it is."""
    print(f"{done}/{total} {label}", flush=True)


def build(suite: Suite) -> None:
    """Train what the store lacks: pretrained models, and twice as many oracles."""
    if not suite.recipe.prune:
        return  # shipped
    oracles = [(Plan(suite, "oracle", suite.forget_sets[name]), 2 * MODELS) for name in FORGET_SETS]
    build_all([(Plan(suite, "pretrained"), MODELS), *oracles], workers=default_workers())


def scored(
    sparsity: float, suite: Suite, tasks: Sequence[Task], parts: Sequence[range], failures: dict[str, str]
) -> list[Entry]:
    """One entry for each method on one forget set, its numbers as ``[value, low, high]``."""
    forget = tasks[0].forget
    oracle = read_measured(Plan(suite, "oracle", forget), 0, MODELS)
    entries = []
    for task in tasks:
        reason = failures.get(f"{task.name} on {forget.name}", "")
        row = None if reason else row_of(task, parts)
        entry = {"sparsity": sparsity, "row": "method", "suite_digest": suite.digest, "forget_set": forget.name}
        entry |= {"method": task.name, "status": "failed" if reason else "ok", "reason": reason}
        entry |= {
            "config": task.settings,
            "cost": row.cost if row else None,
            "numbers": numbers(row, oracle) if row else {},
        }
        entries.append(entry)
    if sparsity == OTHER_MASKS:
        row = under_oracle_masks(suite, forget)
        common = {"sparsity": sparsity, "row": "method", "suite_digest": suite.digest, "forget_set": forget.name}
        common |= {"method": row.method, "status": "ok", "reason": "", "config": {}, "cost": row.cost}
        entries.append({**common, "numbers": numbers(row, oracle)})
    floor = next(entry["numbers"] for entry in entries if entry["method"] == "oracle")
    for entry in entries:
        entry["numbers"] |= above_floor(entry["numbers"], floor)
    return entries


def under_oracle_masks(suite: Suite, forget: ForgetSet) -> Row:
    """Retraining under the masks of held-out oracles: differs from `retrain` by what the masks have seen, only."""
    oracles = retrain(suite, forget, MODELS, first=MODELS, workers=default_workers())
    method = METHOD_ROWS["retrain"]
    [step] = run_method("retrain", method, method.config(), oracles, suite, forget)
    values, correct = measure(step.ensemble, suite.data)
    measured = Measured(values.numpy(), correct.numpy(), step.ensemble.origin)
    return Row(suite, forget, "retrain, oracle masks", measured, cost=step.cost)


def row_of(task: Task, parts: Sequence[range]) -> Row:
    """What a task left in the store, after its last epoch; an anchor's margins exist already."""
    pretrained = read_measured(Plan(task.suite, "pretrained"), 0, MODELS)
    identity = Row(task.suite, task.forget, "identity", pretrained, cost=0.0)
    if task.method.anchor:
        return held_out(identity) if task.name == "oracle" else identity
    kept = [artefact for part in parts if (artefact := user_store().read(task.key(part)))]
    margins = np.concatenate([each.array("margins")[-1] for each in kept])
    packed = np.concatenate([each.array("correct")[-1] for each in kept])
    correct = np.unpackbits(packed, axis=1, count=margins.shape[1]).astype(bool)
    measured = Measured(margins, correct, pretrained.origin)
    cost = float(np.mean([each.meta["costs"][-1] for each in kept]))
    return Row(task.suite, task.forget, task.name, measured, task.settings, cost=cost)


def numbers(row: Row, oracle: Measured) -> dict[str, list[float]]:
    """KLoM's 95th percentile of each split; UA, RA and TA with their gaps to the oracles, and the average gap."""
    found = {
        f"KLoM {score.split}": Estimate(score.value, score.low, score.high)
        for score in klom_scores(row, oracle)
        if score.aggregate == "p95" and score.value is not None and score.low is not None and score.high is not None
    }
    mine, theirs = [], []
    for name, (function, split) in ACCURACIES.items():
        one, other = (function(each.correct[:, row.columns[split]]) for each in (row.measured, oracle))
        mine.append(one)
        theirs.append(other)
        found |= {name: mean_over_models(one, (0.0, 1.0)), f"{name} gap": gap(one, other)}
    found["average gap"] = average_gap(mine, theirs)
    return {name: list(asdict(estimate).values()) for name, estimate in found.items()}


def above_floor(numbers: dict[str, list[float]], floor: dict[str, list[float]]) -> dict[str, list[float]]:
    """KLoM less what held-out oracles get.

    Both are against the same reference oracles, so their errors are correlated, if at all, positively; the interval is
    that of independent ones, which is the wider.
    """
    result = {}
    for name in [name for name in numbers if name.startswith("KLoM")]:
        value, other = numbers[name], floor[name]
        half = float(np.hypot((value[2] - value[1]) / 2, (other[2] - other[1]) / 2))
        gap = value[0] - other[0]
        result[f"{name} gap"] = [gap, gap - half, gap + half]
    return result


def bound(sparsity: float, suite: Suite, models: int = 10) -> Entry:
    """The parts of Proposition 2, on some pretrained models: means over models with their intervals."""
    plan, recipe = Plan(suite, "pretrained"), suite.recipe
    steps = recipe.epochs * -(-len(suite.data.train) // recipe.batch_size)
    rates = [recipe.lr_at(step, steps) for step in range(steps)]
    some = suite.data.train.take(np.arange(512))
    trained, first = pretrain(suite, models), first_weights(plan, range(models)).eval()
    found = sparsity_bound(trained, first, some, rates, iterations=15)
    return {
        "sparsity": sparsity,
        "row": "bound",
        "models": models,
        **{name: list(asdict(mean_over_models(each)).values()) for name, each in asdict(found).items()},
    }


if __name__ == "__main__":
    main(sys.argv[1:] == ["page"])

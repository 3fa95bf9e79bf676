"""Prune first, then unlearn: the gap to the oracles against the sparsity of the models.

Run: runs/sparsity.sh, or python runs/sparsity.py [SUITE ...]  (without a suite, only the page is written again)

Every sparse model is pruned and trained by its own recipe, and so is every oracle, on its own retained examples: the
reference of a sparse model is the sparse oracle. Methods keep their settings at every sparsity.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from sparse_rows import write_rows

from expunge.bench.score import held_out, klom_scores
from expunge.engine import Job, default_workers, run_jobs
from expunge.ensembles import EnsembleMargins, Plan, build_all, pretrain, read_margins, retrain
from expunge.ensembles.whole_models import first_weights
from expunge.ensembles.stored_margins import find_ensemble
from expunge.ensembles.train import measure
from expunge.errors import BadSetting
from expunge.methods import configure, find_method, run_method
from expunge.methods.task import Task, unlearn_chunk
from expunge.metrics.average_gap import average_gap
from expunge.metrics.calibration import Estimate
from expunge.metrics.classic_scores import AVERAGED, PerModel, per_model
from expunge.metrics.over_models import gap, mean_over_models
from expunge.metrics.row import Row
from expunge.metrics.sparsity_bound import sparsity_bound
from expunge.records import Setting
from expunge.store import user_store
from expunge.suites import ForgetSet, Suite, load_suite

Settings = dict[str, Setting]

SPARSITIES = (0.0, 0.5, 0.75, 0.9, 0.95, 0.99)
METHODS: dict[str, Settings] = {  # rows of the tables: the settings that are not defaults; a comma ends the name
    "fine-tune": {},
    "fine-tune, 10 epochs": {"epochs": 10},
    "gradient-ascent": {},
    "neg-grad-plus": {},
    "random-labels": {},
    "scrub": {},
    "l1-sparse": {},
    "salun": {},
}
CONTROLLED = (0.0, 0.9, 0.95)  # where the control `retrain` is run too, which costs as much as all the others
OTHER_MASKS = 0.95  # where retraining is also done under masks of oracles, which have not seen the forget set
RESULTS = Path(__file__).parents[1] / "results" / "sparsity"

Entry = dict[str, Any]


@dataclass(frozen=True)
class Study:
    """What is measured on a suite: on which forget sets, of how many models a row."""

    suite: str
    forget_sets: tuple[str, ...]
    models: int

    @property
    def file(self) -> Path:
        return RESULTS / f"{self.suite}.json"

    def at(self, sparsity: float) -> Suite:
        """The suite at this sparsity; its oracles serve as reference and as floor, half of them each."""
        dense = load_suite(self.suite)
        return dense if sparsity == 0 else replace(dense.pruned(f"omp:{sparsity}"), models=2 * self.models)


STUDIES = (
    Study("digits", ("random-50", "class-3"), 50),
    Study("fashion-mnist-10k", ("random-1000",), 20),  # a tenth of the examples, as in the paper
)


def main(suites: Sequence[str]) -> None:
    """Build and bench what is not in the store yet, write the records, then the page made of them."""
    if strange := set(suites) - {study.suite for study in STUDIES}:
        sys.exit(f"no study of {', '.join(sorted(strange))}; there are {', '.join(study.suite for study in STUDIES)}")
    for study in STUDIES:
        if study.suite in suites:
            entries = [entry for sparsity in SPARSITIES for entry in measured(study, sparsity)]
            write_rows(study.file, entries, study.models)
    from sparsity_page import page

    def records(file: Path) -> Entry | None:
        return json.loads(file.read_text()) if file.exists() else None

    found = {study.suite: kept for study in STUDIES if (kept := records(study.file))}
    others = records(RESULTS / "backdoor.json"), records(RESULTS / "transfer.json")
    (RESULTS.parent / "sparsity.md").write_text(page(found, *others))


def measured(study: Study, sparsity: float) -> list[Entry]:
    """All rows of one sparsity: methods on forget sets, and the parts of Proposition 2."""
    suite = study.at(sparsity)
    try:
        build(study, suite)
    except BadSetting as error:  # so many weights pruned that some model has a layer without any
        return [{"sparsity": sparsity, "row": "build", "status": "failed", "reason": str(error)}]
    rows: dict[str, Settings] = {"identity": {}, "oracle": {}, **METHODS}
    if sparsity in CONTROLLED:
        rows["retrain"] = {}
    parts = [range(first, min(first + suite.chunk, study.models)) for first in range(0, study.models, suite.chunk)]
    tasks = {
        (forget, row): task_of(suite, forget, row, settings)
        for forget, (row, settings) in product(study.forget_sets, rows.items())
    }
    jobs = [
        Job(f"{row} on {forget}", unlearn_chunk, (task, part), shared=(suite,))
        for (forget, row), task in tasks.items()
        for part in parts
        if not task.method.anchor and user_store().read(task.key(part)) is None
    ]
    failures = {
        job.label: outcome.reason for job, outcome in run_jobs(jobs, default_workers(), watch) if outcome.reason
    }
    found = []
    for forget in study.forget_sets:
        own = {row: task for (name, row), task in tasks.items() if name == forget}
        found += scored(study, sparsity, own, parts, failures)
    return [*found, bound(sparsity, suite)]


def task_of(suite: Suite, forget: str, row: str, settings: Settings) -> Task:
    """A row of the tables as a bench would run it."""
    name = row.partition(",")[0]
    config = configure(name, find_method(name), settings)
    return Task(suite, suite.forget_sets[forget], name, config, seed=0)


def watch(done: int, total: int, label: str) -> None:
    """Say how far it is."""
    print(f"{done}/{total} {label}", flush=True)


def build(study: Study, suite: Suite) -> None:
    """Train what the store lacks: pretrained models, and twice as many oracles."""
    oracles = suite.models // 2 + study.models  # a dense suite may have more than are taken
    plans = [(Plan(suite, "pretrained"), study.models)]
    plans += [(Plan(suite, "oracle", suite.forget_sets[name]), oracles) for name in study.forget_sets]
    lacking = [(plan, count) for plan, count in plans if find_ensemble(plan, count) is None]
    build_all(lacking, workers=default_workers(), watch=watch)


def scored(
    study: Study, sparsity: float, tasks: Mapping[str, Task], parts: Sequence[range], failures: Mapping[str, str]
) -> list[Entry]:
    """One entry for each row on one forget set, its numbers as ``[value, low, high]``."""
    suite, forget = next((task.suite, task.forget) for task in tasks.values())
    oracle = read_margins(Plan(suite, "oracle", forget), 0, study.models)
    truth = per_model(suite, forget, oracle)
    common: Entry = {"sparsity": sparsity, "row": "method", "suite_digest": suite.digest, "forget_set": forget.name}
    entries: list[Entry] = []
    for name, task in tasks.items():
        reason = failures.get(f"{name} on {forget.name}", "")
        row = None if reason else row_of(task, parts)
        entry = {**common, "method": name, "status": "failed" if reason else "ok", "reason": reason}
        entry |= {"config": task.settings, "cost": row.cost if row else None}
        entries.append({**entry, "numbers": numbers(row, oracle, truth) if row else {}})
    if sparsity == OTHER_MASKS:
        row = under_oracle_masks(study, suite, forget)
        entry = {**common, "method": row.method, "status": "ok", "reason": "", "config": {}, "cost": row.cost}
        entries.append({**entry, "numbers": numbers(row, oracle, truth)})
    floor = next(entry["numbers"] for entry in entries if entry["method"] == "oracle")
    for entry in entries:
        entry["numbers"] |= above_floor(entry["numbers"], floor)
    return entries


def under_oracle_masks(study: Study, suite: Suite, forget: ForgetSet) -> Row:
    """Retraining under the masks of held-out oracles: differs from `retrain` by what the masks have seen, only."""
    oracles = retrain(suite, forget, study.models, first=study.models, workers=default_workers())
    method = find_method("retrain")
    [step] = run_method("retrain", method, method.config(), oracles, suite, forget)
    values, correct = measure(step.ensemble, suite.data)
    measured = EnsembleMargins(values.numpy(), correct.numpy(), step.ensemble.origin)
    return Row(suite, forget, "retrain, oracle masks", measured, cost=step.cost)


def row_of(task: Task, parts: Sequence[range]) -> Row:
    """What a task left in the store, after its last epoch; an anchor's margins exist already."""
    pretrained = read_margins(Plan(task.suite, "pretrained"), 0, parts[-1].stop)
    identity = Row(task.suite, task.forget, "identity", pretrained, cost=0.0)
    if task.method.anchor:
        return held_out(identity) if task.name == "oracle" else identity
    kept = [artefact for part in parts if (artefact := user_store().read(task.key(part)))]
    margins = np.concatenate([each.array("margins")[-1] for each in kept])
    packed = np.concatenate([each.array("correct")[-1] for each in kept])
    correct = np.unpackbits(packed, axis=1, count=margins.shape[1]).astype(bool)
    measured = EnsembleMargins(margins, correct, pretrained.origin)
    cost = float(np.mean([each.meta["costs"][-1] for each in kept]))
    return Row(task.suite, task.forget, task.name, measured, task.settings, cost=cost)


def numbers(row: Row, oracle: EnsembleMargins, truth: PerModel) -> dict[str, list[float]]:
    """KLoM's 95th percentile of each split; UA, MIA-efficacy, RA and TA with their gaps to the oracles, their average.

    ``truth`` is what :func:`per_model` finds of ``oracle``.
    """
    found = {
        f"KLoM {score.split}": Estimate(score.value, score.low, score.high)
        for score in klom_scores(row, oracle)
        if score.aggregate == "p95" and score.value is not None and score.low is not None and score.high is not None
    }
    mine = per_model(row.suite, row.forget, row.measured)
    for name in AVERAGED:
        word = "MIA" if name == "mia-efficacy" else name.upper()
        found |= {word: mean_over_models(mine[name], (0.0, 1.0)), f"{word} gap": gap(mine[name], truth[name])}
    found["average gap"] = average_gap([mine[name] for name in AVERAGED], [truth[name] for name in AVERAGED])
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
    main(sys.argv[1:])

"""Prune first, then unlearn: how does the gap to the oracles change with the sparsity of the models?

Every sparse model is pruned and trained by its own recipe, and so is every oracle, on its own retained examples: the
reference of a sparse model is the sparse oracle. Methods keep their settings at every sparsity.
Source of the claims: Jia et al. 2023, arXiv:2304.04934.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from numpy import ndarray

from expunge.bench.rows import rows_of
from expunge.bench.score import reference_of
from expunge.engine import Watch, default_workers, run_jobs, silent
from expunge.ensembles import EnsembleMargins, Plan, pretrain, retrain
from expunge.ensembles.train import measure
from expunge.ensembles.whole_models import first_weights
from expunge.errors import BadSetting, lookup
from expunge.files import write_file
from expunge.jobs import Job
from expunge.methods import configure, find_method, run_method
from expunge.methods.task import Outcome, Task, finished, unlearn_chunk
from expunge.metrics.average_gap import average_gap
from expunge.metrics.calibration import Estimate
from expunge.metrics.classic import ra_per_model, ta_per_model, ua_per_model
from expunge.metrics.klom import klom_scores
from expunge.metrics.mia_efficacy import efficacy_per_model
from expunge.metrics.over_models import gap, mean_over_models
from expunge.metrics.row import PerModel, PerModelScores, Reference, Row
from expunge.metrics.sparsity_bound import sparsity_bound
from expunge.records import Setting
from expunge.reports.studies.building import build_lacking
from expunge.reports.studies.entries import Entry, as_list, read_entries, write_entries
from expunge.reports.studies.sparsity_page import sparsity_page
from expunge.suites import Suite, load_suite

SPARSITIES = (0.0, 0.5, 0.75, 0.9, 0.95, 0.99)
METHODS: dict[str, dict[str, Setting]] = {  # rows: the settings that are not defaults; a comma ends the method's name
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
BOUNDED = 10  # models that the parts of Proposition 2 are means over
PER_MODEL: dict[str, PerModel] = {  # 0 to 1 of each model, by the names of the entries
    "UA": ua_per_model,
    "MIA": efficacy_per_model,
    "RA": ra_per_model,
    "TA": ta_per_model,
}


Place = tuple[str, str]  # a forget set, and a row on it


@dataclass(frozen=True)
class Study:
    """What is measured on a suite: on which forget sets, of how many models a row."""

    suite: str
    forget_sets: tuple[str, ...]
    models: int

    def at(self, sparsity: float) -> Suite:
        """The suite at this sparsity; its oracles serve as reference and as floor, half of them each."""
        dense = load_suite(self.suite)
        return dense if sparsity == 0 else replace(dense.pruned(f"omp:{sparsity}"), models=2 * self.models)


STUDIES = (
    Study("digits", ("random-50", "class-3"), 50),
    Study("fashion-mnist-10k", ("random-1000",), 20),  # a tenth of the examples, as in the paper
)


def study_sparsity(
    suites: Sequence[str], results: Path, watch: Watch = silent, *, studies: Sequence[Study] = STUDIES
) -> None:
    """Measure ``suites``, whose entries go to ``results/sparsity/SUITE.json``; then write ``results/sparsity.md``.

    What the store has is not computed again. The page is made of the entries of all suites that there are, and of those
    of the two applications.
    """
    known, folder = {study.suite: study for study in studies}, results / "sparsity"
    for study in [lookup("study of suite", name, known) for name in suites]:
        entries = [entry for sparsity in SPARSITIES for entry in entries_at(study, sparsity, watch)]
        write_entries(folder / f"{study.suite}.json", entries, study.models)
    found = {name: kept for name in known if (kept := read_entries(folder / f"{name}.json"))}
    applications = (read_entries(folder / f"{name}.json") for name in ("backdoor", "transfer"))
    write_file(results / "sparsity.md", sparsity_page(found, *applications))


def entries_at(study: Study, sparsity: float, watch: Watch = silent) -> list[Entry]:
    """All entries of one sparsity: methods on forget sets, and the parts of Proposition 2."""
    suite = study.at(sparsity)
    try:
        build(study, suite, watch)
    except BadSetting as error:  # so many weights pruned that some model has a layer without any
        return [{"sparsity": sparsity, "row": "build", "status": "failed", "reason": str(error)}]
    rows: dict[str, dict[str, Setting]] = {"identity": {}, "oracle": {}, **METHODS}
    if sparsity in CONTROLLED:
        rows["retrain"] = {}
    tasks = {
        (forget, row): task_of(suite, forget, row, settings)
        for forget, (row, settings) in product(study.forget_sets, rows.items())
    }
    outcomes = run_tasks(tasks, range(study.models), watch)
    entries = []
    for forget in study.forget_sets:
        reference = reference_of(suite, suite.forget_sets[forget], study.models, study.models)
        found = {row: entry_of(tasks[forget, row], outcomes[forget, row], reference) for row in rows}
        if sparsity == OTHER_MASKS:
            found["retrain, oracle masks"] = entry_of_row(under_oracle_masks(reference), reference)
        place = {"sparsity": sparsity, "row": "method", "suite_digest": suite.digest, "forget_set": forget}
        floor = found["oracle"]["numbers"]
        for name, entry in found.items():
            entry["numbers"] |= above_floor(entry["numbers"], floor)
            entries.append({**place, "method": name, **entry})
    return [*entries, bound(sparsity, suite, min(BOUNDED, study.models))]


def build(study: Study, suite: Suite, watch: Watch = silent) -> None:
    """Train what the store lacks: pretrained models, and twice as many oracles."""
    oracles = suite.models // 2 + study.models  # a dense suite may have more than are taken
    wanted = [(Plan(suite, "pretrained"), study.models)]
    wanted += [(Plan(suite, "oracle", suite.forget_sets[name]), oracles) for name in study.forget_sets]
    build_lacking(wanted, watch)


def task_of(suite: Suite, forget: str, row: str, settings: Mapping[str, Setting]) -> Task:
    """A row of the tables as a bench would run it."""
    name = row.partition(",")[0]
    config = configure(name, find_method(name), settings)
    return Task(suite, suite.forget_sets[forget], name, config, seed=0)


def run_tasks(tasks: Mapping[Place, Task], models: range, watch: Watch = silent) -> dict[Place, list[Outcome]]:
    """What became of each task on each chunk of ``models``; an anchor has nothing to run."""
    found: dict[Place, list[Outcome]] = {place: [] for place in tasks}
    labels = {f"{row} on {forget}": (forget, row) for forget, row in tasks}
    jobs = []
    for (label, place), task in zip(labels.items(), tasks.values(), strict=True):
        for part in [] if task.method.anchor else task.chunks(models):
            if kept := finished(task, part):
                found[place].append(kept)
            else:
                jobs.append(Job(label, unlearn_chunk, (task, part), (task.suite,)))
    for job, outcome in run_jobs(jobs, default_workers(), watch):
        found[labels[job.label]].append(outcome)
    return {place: sorted(each, key=lambda outcome: outcome.models.start) for place, each in found.items()}


def entry_of(task: Task, outcomes: Sequence[Outcome], reference: Reference) -> Entry:
    """The entry of a task after its last epoch; one without numbers where it failed."""
    reason = next((each.reason for each in outcomes if each.reason), "")
    if reason:
        return {"status": "failed", "reason": reason, "config": task.settings, "cost": None, "numbers": {}}
    return entry_of_row(rows_of(task, outcomes, reference.models, reference)[-1], reference)


def entry_of_row(row: Row, reference: Reference) -> Entry:
    """The entry of a row that has margins; its numbers are ``[value, low, high]``."""
    found = {name: as_list(each) for name, each in numbers(row, reference).items()}
    return {"status": "ok", "reason": "", "config": dict(row.config), "cost": row.cost, "numbers": found}


def under_oracle_masks(reference: Reference) -> Row:
    """Retraining under the masks of held-out oracles: differs from `retrain` by what the masks have seen, only."""
    suite, forget, models = reference.suite, reference.forget, reference.models
    oracles = retrain(suite, forget, models, first=models, workers=default_workers())
    method = find_method("retrain")
    [step] = run_method("retrain", method, method.config(), oracles, suite, forget)
    values, correct = measure(step.ensemble, suite.data)
    margins = EnsembleMargins(values.numpy(), correct.numpy(), step.ensemble.origin)
    return Row(suite, forget, "retrain, oracle masks", margins, cost=step.cost)


def numbers(row: Row, reference: Reference) -> dict[str, Estimate]:
    """KLoM's 95th percentile of each split; UA, MIA-efficacy, RA and TA with their gaps to the oracles, their average.

    KLoM is in nats, the others are shares.
    """
    found = {
        f"KLoM {score.split}": Estimate(score.value, score.low, score.high)
        for score in klom_scores(row, reference).scores
        if score.aggregate == "p95" and score.value is not None and score.low is not None and score.high is not None
    }
    mine, oracle = shares(row.per_model), shares(reference.per_oracle)
    for name, values in mine.items():
        signed = gap(values, oracle[name], bounds=(-1.0, 1.0))
        found |= {name: mean_over_models(values, (0.0, 1.0)), f"{name} gap": signed}
    return {**found, "average gap": average_gap(list(mine.values()), list(oracle.values()))}


def shares(models: PerModelScores) -> dict[str, ndarray]:
    """The shares of each model, which are known of models that were run."""
    return {name: found for name, function in PER_MODEL.items() if (found := models.get(function)) is not None}


def above_floor(numbers: Mapping[str, list[float]], floor: Mapping[str, list[float]]) -> dict[str, list[float]]:
    """KLoM less what held-out oracles get.

    Both are against the same reference oracles, so their errors are correlated, if at all, positively; the interval is
    that of independent ones, which is the wider. Source: Zou and Donner 2008, doi:10.1002/sim.3095.

    >>> above_floor({"KLoM test": [8.0, 5.0, 11.0]}, {"KLoM test": [6.0, 2.0, 10.0]})
    {'KLoM test gap': [2.0, -3.0, 7.0]}
    """
    result = {}
    for name in [name for name in numbers if name.startswith("KLoM")]:
        (value, low, high), (best, least, most) = numbers[name], floor[name]
        down, up = float(np.hypot(value - low, most - best)), float(np.hypot(high - value, best - least))
        result[f"{name} gap"] = [value - best, value - best - down, value - best + up]
    return result


def bound(sparsity: float, suite: Suite, models: int) -> Entry:
    """The parts of Proposition 2, on some pretrained models: means over models with their intervals."""
    plan, recipe = Plan(suite, "pretrained"), suite.recipe
    steps = recipe.epochs * -(-len(suite.data.train) // recipe.batch_size)
    rates = [recipe.lr_at(step, steps) for step in range(steps)]
    some = suite.data.train.take(np.arange(min(512, len(suite.data.train))))
    trained, first = pretrain(suite, models), first_weights(plan, range(models)).eval()
    found = sparsity_bound(trained, first, some, rates, iterations=15)
    parts = {name: as_list(mean_over_models(each)) for name, each in asdict(found).items()}
    return {"sparsity": sparsity, "row": "bound", "models": models, **parts}

"""How the default settings of the methods were chosen: a grid on tuning models, tuning forget sets, tuning oracles.

Nothing that is scored takes part: the models are pretrained 100 to 149, the forget sets are made of examples that are
in no forget set of the suite, and the oracles are trained here. Every setting costs at most 15 % of a retraining.
Objective: P95 of KLoM, mean over forget, retain and test, mean over the tuning sets; lower is better.

Run: python runs/default_recipes.py  [METHOD ...]  (about ten minutes on 2 cores; the oracles are kept in the store)
"""

import itertools
import sys

import numpy as np

from expunge.engine import Job, default_workers, run_jobs
from expunge.ensembles import Plan, build, pretrain, read_measured, read_subsets
from expunge.ensembles.train import measure
from expunge.errors import MethodFailed
from expunge.methods import METHODS, configure, run_method
from expunge.metrics.klom import klom
from expunge.suites import ForgetSet, Suite, load_suite
from expunge.suites.forget_sets import memorised

MODELS = range(100, 150)
LIMIT = 0.15
RATES = [3e-4, 1e-3, 3e-3, 1e-2, 2e-2, 5e-2, 1e-1]
GRIDS: dict[str, dict[str, list[object]]] = {
    "fine-tune": {"lr": [0.01, 0.03, 0.1, 0.2, 0.4], "epochs": [1, 2]},
    "gradient-ascent": {"lr": [1e-4, *RATES], "epochs": [1, 3, 5]},
    "ascent-descent": {"lr": RATES, "momentum": [0.0, 0.9], "epochs": [1, 2], "forget_batch_size": [16, 64]},
    "neg-grad-plus": {"lr": RATES, "beta": [0.8, 0.9, 0.95, 0.98], "epochs": [1]},
    "random-labels": {"lr": [3e-5, 1e-4, *RATES], "epochs": [1, 2]},
    "scrub": {"lr": RATES, "alpha": [0.1, 1.0], "epochs": [1], "forget_batch_size": [4, 16, 64]},
}


def tuning_sets(suite: Suite) -> list[ForgetSet]:
    """A random draw, the next most memorised, and a part of a class, all of examples that no forget set holds."""
    used = np.unique(np.concatenate([each.indices for each in suite.forget_sets.values()]))
    free = np.setdiff1d(np.arange(len(suite.data.train)), used)
    margins, masks = read_subsets(suite)
    labels = suite.data.train.y.numpy()[free]
    random = np.sort(np.random.default_rng(7).choice(free, 50, replace=False))
    hard = free[memorised(np.asarray(margins[:, free]), masks[:, free], 50)]
    return [
        ForgetSet("tuning-random", random, ""),
        ForgetSet("tuning-memorised", hard, ""),
        ForgetSet("tuning-class", free[labels == 6], ""),
    ]


def objective(suite: Suite, name: str, settings: dict[str, object], forget: ForgetSet) -> list[float] | None:
    """P95 of KLoM on forget, retain and test; None where the method fails or costs too much."""
    ensemble = pretrain(suite, len(MODELS), first=MODELS.start)
    oracle = read_measured(Plan(suite, "oracle", forget), 0, len(MODELS)).margins
    method = METHODS[name]
    try:
        *_, last = run_method(name, method, configure(name, method, settings), ensemble, suite, forget)
    except MethodFailed:
        return None
    if last.cost > LIMIT:
        return None
    values = klom(measure(last.ensemble, suite.data)[0].numpy(), oracle)
    return [float(np.percentile(values[columns], 95)) for columns in suite.columns(forget).values()]


def main(names: list[str]) -> None:
    suite, workers = load_suite("digits"), default_workers()
    sets = tuning_sets(suite)
    for forget in sets:
        build(Plan(suite, "oracle", forget), len(MODELS), workers=workers)
    for name in names or list(GRIDS):
        grid = [dict(zip(GRIDS[name], values, strict=True)) for values in itertools.product(*GRIDS[name].values())]
        jobs = {
            (row, part): Job(name, objective, (suite, name, grid[row], forget))
            for row in range(len(grid))
            for part, forget in enumerate(sets)
        }
        place = {id(job): key for key, job in jobs.items()}
        found = {place[id(job)]: result for job, result in run_jobs(list(jobs.values()), workers)}
        rows = [[found[row, part] for part in range(len(sets))] for row in range(len(grid))]
        complete = [row for row in range(len(grid)) if None not in rows[row]]
        for row in sorted(complete, key=lambda row: float(np.mean(rows[row])))[:5]:
            print(f"{np.mean(rows[row]):6.3f}  {name}  {grid[row]}  {np.round(rows[row], 2).tolist()}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

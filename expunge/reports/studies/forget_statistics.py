"""What do BatchNorm's running statistics do by themselves, when the last batches of a method are of the forget set?

Every method that has the setting ``forget_statistics`` takes one epoch of steps too small to move a weight: whatever
its scores are, the running statistics alone have made.
"""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from expunge.engine import Watch, silent
from expunge.ensembles import Ensemble, Plan, pretrain, read_margins
from expunge.ensembles.train import measure
from expunge.files import write_file
from expunge.methods import METHODS, unlearn
from expunge.metrics.klom import klom
from expunge.reports.studies.building import build_lacking
from expunge.reports.studies.markdown import code, grid
from expunge.suites import ForgetSet, Suite, load_suite
from expunge.tuning.tuning_sets import tuning_set

MODELS, STILL = 100, 1e-20  # a learning rate that moves nothing
SCORED_SETS = ("random-50", "class-3", "subclass-50")
KINDS = ("random", "class", "subclass")
INTRODUCTION = """\
# Running statistics alone

P95 of KLoM on retained examples, in nats, of {models} models of `digits` against {models} oracles, after one epoch of
each method at a learning rate of {still:g}: no weight moves. In training mode, as public code runs, BatchNorm's
running statistics follow the batches, and the last of these are of the forget set, or most of them. With
`forget_statistics=false` they leave no trace, and what is left is doing nothing, or a pass over what is kept.

Made by `runs/forget_statistics.py`.
"""
TUNING = """\
## Models and forget sets of tuning

Defaults may follow this table: nothing in it is ever scored.
"""
SCORED = """\
## Forget sets of the suite

How bad it can be. No default rests on this table.
"""


def study_forget_statistics(file: Path, models: int = MODELS, watch: Watch = silent) -> None:
    """Train the oracles that the store lacks, and write the page: a table for tuning, and one of what is scored."""
    suite = load_suite("digits")
    tuned, scored = [tuning_set(suite, kind) for kind in KINDS], [suite.forget_sets[name] for name in SCORED_SETS]
    build_lacking([(Plan(suite, "oracle", forget), suite.models) for forget in (*tuned, *scored)], watch)
    lines = [INTRODUCTION.format(models=models, still=STILL)]
    lines += [TUNING, table(suite, suite.models // 2, models, tuned, watch), ""]
    lines += [SCORED, table(suite, 0, models, scored, watch)]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_file(file, "\n".join(lines) + "\n")


def table(suite: Suite, first: int, models: int, sets: Sequence[ForgetSet], watch: Watch = silent) -> str:
    """A row for each method and setting, a column for each forget set, of the pretrained models from ``first`` on."""
    before = pretrain(suite, models=models, first=first)
    lines = [["doing nothing", "", *(f"{retain_p95(suite, forget, before):.2f}" for forget in sets)]]
    names = [name for name, method in METHODS.items() if "forget_statistics" in {f.name for f in fields(method.config)}]
    for done, name in enumerate(names, start=1):
        for kept in (True, False):
            settings: dict[str, Any] = {"epochs": 1, "lr": STILL, "forget_statistics": kept}
            if name == "uam":
                settings["rho"] = 0.0  # or its step up the forget loss moves weights
            found = [retain_p95(suite, forget, unlearn(before, forget, name, **settings)) for forget in sets]
            lines.append([code(name), str(kept).lower(), *(f"{each:.2f}" for each in found)])
        watch(done, len(names), name)
    return grid(["method", code("forget_statistics"), *(forget.name for forget in sets)], lines)


def retain_p95(suite: Suite, forget: ForgetSet, ensemble: Ensemble) -> float:
    """How far the retained examples are from as many oracles: the 95th percentile of their KLoM, nats."""
    columns = suite.columns(forget)["retain"]
    oracle = read_margins(Plan(suite, "oracle", forget), 0, len(ensemble)).values
    found, _ = measure(ensemble, suite.data)
    return float(np.percentile(klom(found.numpy()[:, columns], oracle[:, columns]), 95))

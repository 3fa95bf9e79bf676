"""What BatchNorm's running statistics do by themselves when the last batches of a method are of the forget set.

Every method that has the setting `forget_statistics` takes one epoch of steps too small to move a weight: whatever
its scores are, the running statistics alone have made. Written to results/forget_statistics.md; four minutes on 2
cores, once there are the oracles that a search builds.
Run: python runs/forget_statistics.py
"""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

import expunge as xp
from expunge.ensembles import Plan, read_margins
from expunge.ensembles.train import measure
from expunge.methods import METHODS
from expunge.metrics.klom import klom
from expunge.suites import ForgetSet, Suite
from expunge.tuning.tuning_sets import tuning_sets

PAGE = Path(__file__).parents[1] / "results/forget_statistics.md"
MODELS, STILL = 100, 1e-20  # a learning rate that moves nothing
INTRODUCTION = f"""\
# Running statistics alone

P95 of KLoM on retained examples, in nats, of {MODELS} models of `digits` against {MODELS} oracles, after one epoch of
each method at a learning rate of {STILL:g}: no weight moves. In training mode, as public code runs, BatchNorm's
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


def main() -> None:
    """Two tables, a row for each method and setting, a column for each forget set."""
    suite = xp.load_suite("digits")
    scored = [suite.forget_sets[name] for name in ("random-50", "class-3", "subclass-50")]
    parts = [INTRODUCTION, TUNING, *table(suite, suite.models // 2, tuning_sets(suite)), "", SCORED]
    PAGE.write_text("\n".join([*parts, *table(suite, 0, scored)]) + "\n")


def table(suite: Suite, first: int, sets: Sequence[ForgetSet]) -> list[str]:
    """Of the models from ``first`` on."""
    before = xp.pretrain(suite, models=MODELS, first=first)
    heads = " | ".join(forget.name for forget in sets)
    lines = [f"| method | `forget_statistics` | {heads} |", "| --- | --- |" + " --- |" * len(sets)]
    nothing = " | ".join(f"{retain_p95(suite, forget, before):.2f}" for forget in sets)
    lines.append(f"| doing nothing | | {nothing} |")
    for name, method in METHODS.items():
        if "forget_statistics" not in {field.name for field in fields(method.config)}:
            continue
        for kept in (True, False):
            settings = {"epochs": 1, "lr": STILL, "forget_statistics": kept} | ({"rho": 0.0} if name == "uam" else {})
            cells = [retain_p95(suite, forget, xp.unlearn(before, forget, name, **settings)) for forget in sets]
            lines.append(f"| `{name}` | {str(kept).lower()} | {' | '.join(f'{each:.2f}' for each in cells)} |")
            print(lines[-1], flush=True)
    return lines


def retain_p95(suite: Suite, forget: ForgetSet, ensemble: xp.Ensemble) -> float:
    """How far the retained examples are from the oracles."""
    columns = suite.columns(forget)["retain"]
    oracle = read_margins(Plan(suite, "oracle", forget), 0, MODELS).values
    found, _ = measure(ensemble, suite.data)
    return float(np.percentile(klom(found.numpy()[:, columns], oracle[:, columns]), 95))


if __name__ == "__main__":
    main()

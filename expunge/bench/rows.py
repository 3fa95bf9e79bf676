"""From what the store holds of a task to the rows that are scored: one for each epoch."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy import ndarray

from expunge.bench.score import floor_row, identity_row
from expunge.ensembles.plan import Plan
from expunge.ensembles.stored_margins import EnsembleMargins, read_margins
from expunge.methods.put_back import PutBack, joined
from expunge.methods.task import Outcome, Task, alarms_in, alarms_of_cost, unlearned_models
from expunge.metrics import Reference, Row


def rows_of(task: Task, outcomes: Sequence[Outcome], models: int, reference: Reference) -> list[Row]:
    """One row per epoch; an anchor has one."""
    suite, forget = task.suite, task.forget
    pretrained = read_margins(Plan(suite, "pretrained"), 0, models)
    weights = partial(unlearned_models, task, range(models))
    if task.name == "identity":
        return [identity_row(suite, forget, pretrained, task.seed, weights)]
    if task.name == "oracle":
        return [floor_row(reference, task.seed)]
    artefacts = [outcome.artefact for outcome in outcomes if outcome.artefact]
    margins = np.concatenate([each.array("margins") for each in artefacts], axis=1)
    correct: Sequence[ndarray | None] = [None] * len(margins)
    if not task.method.predict:
        packed = np.concatenate([each.array("correct") for each in artefacts], axis=1)
        correct = list(np.unpackbits(packed, axis=2, count=margins.shape[2]).astype(bool))
    shares = [len(outcome.models) for outcome in outcomes]
    costs, seconds = (
        np.average([each.meta[name] for each in artefacts], axis=0, weights=shares).tolist()
        for name in ("costs", "seconds")
    )
    alarms = (*alarms_of_cost(task.name, costs[-1]), *alarms_in(artefacts))
    known = [PutBack(*each.meta["put back"]) if "put back" in each.meta else None for each in artefacts]
    told = joined(known, shares)
    devices = "; ".join(sorted({str(each.meta.get("device", "unknown")) for each in artefacts}))
    return [
        Row(
            suite,
            forget,
            task.name,
            EnsembleMargins(margins[epoch], correct[epoch], pretrained.origin, devices),
            task.settings,
            epoch=epoch + 1,
            cost=costs[epoch],
            seconds=seconds[epoch],
            seed=task.seed,
            tuning=task.tuning,
            budget=task.budget,
            run_times=tuple(each.meta["seconds"][epoch] for each in artefacts),
            modules=task.modules,
            own_code=task.own_code,
            put_back=told if epoch == len(margins) - 1 else None,
            alarms=alarms,
            weights=weights if epoch == len(margins) - 1 and not task.method.predict else None,
        )
        for epoch in range(len(margins))
    ]


def empty_row(task: Task, reference: Reference) -> Row:
    """The row of a task that failed: it has no margins of its own, and the oracles' stand in where none are read."""
    return Row(
        task.suite,
        task.forget,
        task.name,
        reference.oracle,
        task.settings,
        seed=task.seed,
        tuning=task.tuning,
        budget=task.budget,
        modules=task.modules,
        own_code=task.own_code,
    )

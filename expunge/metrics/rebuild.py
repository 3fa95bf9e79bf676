"""Making all ensembles of a suite again, and holding them against the shipped ones."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from expunge.engine import Watch, silent
from expunge.ensembles.build import Plan, build, derive_forget_sets
from expunge.errors import BadSetting
from expunge.metrics.exchangeable import exchangeable
from expunge.store import SHIPPED, Store
from expunge.suites import ForgetSets, Suite
from expunge.suites.suite import with_derived


def rebuild(
    suite: Suite,
    forget_sets: Sequence[str] | None = None,
    *,
    models: int | None = None,
    workers: int = 1,
    watch: Watch = silent,
) -> list[dict[str, Any]]:
    """Train the ensembles of ``suite`` into the user's store; what is there already is kept.

    Returns one entry per ensemble: its name, its number of models, and ``shipped``: whether it has the bytes of the
    shipped one or, on another kind of machine, whether it is exchangeable with it.
    """
    models = suite.models if models is None else models
    if models < 1:
        raise BadSetting(f"expected at least 1 model, got {models}")
    rows = [_row(plan, count, workers, watch) for plan, count in _plans(suite, forget_sets, models, workers, watch)]
    return rows


def _plans(
    suite: Suite, names: Sequence[str] | None, models: int, workers: int, watch: Watch
) -> Iterator[tuple[Plan, int]]:
    chosen = [suite.forget_sets[name] for name in names or ()]
    yield Plan(suite, "pretrained"), models
    if names is None and suite.derive:
        yield Plan(suite, "subset"), suite.subsets
        derive_forget_sets(suite)
        chosen = list(ForgetSets(with_derived(suite).forget_sets).values())
    for forget in chosen:
        yield Plan(suite, "oracle", forget), models


def _row(plan: Plan, models: int, workers: int, watch: Watch) -> dict[str, Any]:
    made = build(plan, models, workers=workers, watch=watch)
    shipped = Store(SHIPPED).read(plan.key)
    row: dict[str, Any] = {"ensemble": plan.label, "models": made.meta["models"], "folder": str(made.folder)}
    if shipped is None:
        return {**row, "shipped": "none shipped"}
    common = min(models, shipped.meta["models"])
    mine, theirs = (np.asarray(each.array("margins")[:common], dtype=np.float32) for each in (made, shipped))
    if np.array_equal(mine, theirs):
        return {**row, "shipped": "the same bytes"}
    return {**row, "shipped": f"exchangeable with it: p = {exchangeable(mine, theirs):.3f}"}

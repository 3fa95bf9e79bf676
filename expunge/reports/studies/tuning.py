"""How far a search for settings can be trusted: other seeds, other models, and which settings influential sets want."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from expunge.engine import Watch, Workers, silent
from expunge.ensembles import Plan, build_all
from expunge.methods import METHODS
from expunge.methods.searches import BUDGETS, Search, Settings
from expunge.methods.tuned import ALIKE, BUDGET, shipped
from expunge.suites import Suite
from expunge.tuning.search import MODELS, tune
from expunge.tuning.trials import Field, Proposal, run_trials, untouched
from expunge.tuning.tuning_sets import tuning_set

SEEDS = ("scrub", "boundary-shrink", "dmm", "salun", "fine-tune")  # methods that are searched a second time
SEEDS_KIND = "memorised"


@dataclass(frozen=True)
class Again:
    """What a search found for a budget, and another with another seed; ``other`` is the first on other models."""

    method: str
    budget: float
    first: float
    second: float
    other: float


@dataclass(frozen=True)
class Served:
    """What the settings found for ``kind`` come to on the tuning set of another kind, over the same methods."""

    kind: str
    methods: int
    objective: float  # mean over the methods
    nothing: float  # the objective of the untouched models
    nearer: int  # methods that come nearer than these
    before: int  # methods that come nearer than with the settings that a bench takes for such sets
    behind: int  # methods that stay farther away


@dataclass(frozen=True)
class Found:
    """All that the page needs beside the shipped searches."""

    seeds: list[Again]
    served: list[Served]


def study_tuning(suite: Suite, watch: Watch = silent, workers: Workers = 1) -> Found:
    """Search five methods with another seed, and try on influential examples what was found for each other kind."""
    searches = [each for name in METHODS for each in shipped(name) if each.suite == suite.name and each.frontier]
    seeds = [pair for each in searches if _is_doubled(each) for pair in _again(suite, each, watch, workers)]
    served = [
        each
        for kind in ALIKE
        for each in _served(suite, kind, [search for search in searches if search.kind != kind], watch, workers)
    ]
    return Found(seeds, served)


def _is_doubled(search: Search) -> bool:
    return search.kind == SEEDS_KIND and search.method in SEEDS


def _again(suite: Suite, search: Search, watch: Watch, workers: Workers) -> list[Again]:
    second = tune(
        search.method,
        suite,
        kind=search.kind,
        trials=search.wanted,
        sampler="optuna",
        seed=search.seed + 1,
        workers=workers,
        watch=watch,
    )
    half = suite.models // 2
    field = _field(suite, search.kind, search.method, range(half + MODELS, half + 2 * MODELS))
    measured = partial(_objective, field, watch=watch, workers=workers)
    pairs = [(budget, search.at(budget), second.at(budget)) for budget in BUDGETS]
    return [
        Again(search.method, budget, one.objective, two.objective, other)
        for budget, one, two in pairs
        if one and two and (other := measured(one.settings)) is not None
    ]


def _served(suite: Suite, kind: str, searches: Sequence[Search], watch: Watch, workers: Workers) -> list[Served]:
    """What the settings of each other kind come to on the tuning set of this one, of methods that all kinds have."""
    half = suite.models // 2
    field = _field(suite, kind, "fine-tune", range(half, half + MODELS))
    build_all([(Plan(suite, "oracle", field.forget), field.oracles)], workers=workers, watch=watch)
    nothing = untouched(field).objective
    found: dict[str, dict[str, float]] = {}
    for search in searches:
        stop = search.served(BUDGET)
        value = _objective(replace(field, method=search.method), stop.settings, watch, workers)
        if value is not None:
            found.setdefault(search.kind, {})[search.method] = value
    common = sorted(set.intersection(*(set(each) for each in found.values()))) if found else []
    if not common:
        return []
    reached = {name: np.array([values[method] for method in common]) for name, values in found.items()}
    used = reached.get(ALIKE[kind])
    return [
        Served(
            name,
            len(common),
            float(values.mean()),
            nothing,
            nearer=int((values < nothing).sum()),
            before=0 if used is None else int((values < used).sum()),
            behind=0 if used is None else int((values > used).sum()),
        )
        for name, values in reached.items()
    ]


def _field(suite: Suite, kind: str, method: str, models: range) -> Field:
    return Field(suite, tuning_set(suite, kind), method, models, suite.models // 2, None, 0)


def _objective(field: Field, settings: Settings, watch: Watch, workers: Workers) -> float | None:
    """The objective of a recipe, None where it fails; what the store has is not run again."""
    (trial,) = run_trials(field, 0, [Proposal("a study", settings)], workers, watch)
    return trial.objective(float("inf"))

"""Tuning: which settings of a method come nearest to the oracles, on models and examples that are never scored."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from expunge.engine import Watch, Workers, silent
from expunge.errors import BadSetting
from expunge.methods import Method, configure, find_method
from expunge.methods.spaces import OneOf, Space
from expunge.methods.tuned import Chosen, Search, Trial, found_for
from expunge.records import hardware, versions
from expunge.suites import Suite, as_suite
from expunge.tuning.samplers import Settings, make_sampler
from expunge.tuning.trials import MOST, Field, build_all_needed, objective, run_trials, untouched
from expunge.tuning.tuning_sets import tuning_sets

OBJECTIVE = (
    "P95 of KLoM in nats, of at most {most:,} evenly spaced examples of each split; mean over forget, retain and test, "
    "then over the tuning sets; lower is better"
)
MODELS = 20
LIMIT = 0.15  # share of one retraining that a method may cost


def tune(
    method: str,
    suite: Suite | str = "digits",
    *,
    budget: int = 24,
    sampler: str = "random",
    seed: int = 0,
    start: str = "",
    models: int | None = None,
    oracles: int | None = None,
    limit: float = LIMIT,
    workers: Workers = 1,
    watch: Watch = silent,
) -> Search:
    """Search the settings of ``method`` with the least objective on the tuning sets of ``suite``.

    Trial 0 is the defaults, trial 1 what was found for the suite ``start``, where one is named. ``models`` pretrained
    models (default: 20) from the suite's second half are unlearned and compared with ``oracles`` oracles of each tuning
    set (default: half the suite's number), built on first use: few oracles raise the floor, and all methods share them.
    A trial that fails, costs more than ``limit`` of a retraining or makes outliers of models is listed and never
    chosen. Every finished trial is kept in the store: the same search goes on where it was interrupted.
    """
    row = find_method(method)
    _require_tunable(method, row, budget, limit)
    chance = make_sampler(sampler, row.search, seed, method)
    fixed: list[Settings] = [{}, *([_settings_for(start, method, row)] if start else [])][:budget]
    suite = as_suite(suite)
    cap = None if row.from_scratch else limit
    counted = _tuning_models(suite, models), _tuning_oracles(suite, oracles)
    field = Field(suite, tuple(tuning_sets(suite)), method, *counted, cap, seed)
    build_all_needed(field, workers, watch)
    trials: list[Trial] = []
    asked = chance.ask(budget - len(fixed))
    while fixed or asked:
        trials += run_trials(field, len(trials), [*fixed, *asked], workers, watch)
        chance.tell([each.objective for each in trials[len(trials) - len(asked) :]])
        fixed, asked = [], chance.ask(budget - len(trials))
    return Search(
        method=method,
        suite=suite.name,
        suite_digest=suite.digest,
        objective=OBJECTIVE.format(most=MOST),
        sampler=sampler,
        seed=seed,
        start=start,
        budget=budget,
        limit=cap,
        pretrained=[field.models[0], field.models[-1]],
        oracles=[0, field.oracles - 1],
        space={key: described(space) for key, space in row.search.items()},
        sets=[{"name": each.name, "size": len(each), "digest": each.digest, "made": each.made} for each in field.sets],
        untouched=objective([untouched(field, forget)[0] for forget in field.sets]),
        trials=trials,
        chosen=choose(method, row, trials),
        hardware=hardware(),
        versions=versions(),
    )


def choose(name: str, method: Method, trials: Sequence[Trial]) -> Chosen | None:
    """The trial with the least objective, the first of equals, with all its settings; None where every one failed."""
    found = [(each.objective, each.number, each.settings) for each in trials if each.objective is not None]
    if not found:
        return None
    value, number, settings = min(found, key=lambda each: each[:2])
    return Chosen(trial=number, objective=value, settings=asdict(configure(name, method, settings)))


def _settings_for(suite: str, name: str, method: Method) -> Settings:
    """The searched settings that were found for another suite."""
    settings = found_for(suite, name).settings
    return {key: settings[key] for key in method.search if key in settings}


def described(space: Space) -> dict[str, Any]:
    """A space as JSON has it."""
    return {"values": list(space.values)} if isinstance(space, OneOf) else asdict(space)


def _require_tunable(name: str, method: Method, budget: int, limit: float) -> None:
    if method.anchor:
        raise BadSetting(f"{name!r} is an anchor: its row is made of margins, there is nothing to tune")
    if not method.search:
        own = "a method of your own states no settings" if ":" in name else "it has no settings that are searched"
        raise BadSetting(f"{name!r}: nothing to tune, {own}")
    if budget < 1:
        raise BadSetting(f"expected a budget of at least 1 trial, got {budget}")
    if not 0 < limit < float("inf"):
        raise BadSetting(f"expected a limit above 0, as a share of one retraining, got {limit}")


def _tuning_models(suite: Suite, models: int | None) -> range:
    """The first of the pretrained models that serve tuning: the second half of the suite's."""
    half = suite.models // 2
    count = min(MODELS, half) if models is None else models
    if not 2 <= count <= half:
        raise BadSetting(
            f"expected 2 to {half} models, half of the {suite.models} that suite {suite.name!r} has (the other half "
            f"is scored), got {count}"
        )
    return range(half, half + count)


def _tuning_oracles(suite: Suite, oracles: int | None) -> int:
    half = suite.models // 2
    if oracles is not None and not 2 <= oracles <= half:
        raise BadSetting(f"expected 2 to {half} oracles, half of the {suite.models} of a forget set, got {oracles}")
    return half if oracles is None else oracles

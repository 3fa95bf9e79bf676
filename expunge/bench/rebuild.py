"""Making all ensembles of a suite again, and holding them against the shipped ones."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from expunge.engine import Say, Watch, Workers, silent, warn
from expunge.ensembles.builds import build_all, derive_forget_sets
from expunge.ensembles.plan import Plan
from expunge.ensembles.stored_margins import require_dense
from expunge.errors import BadSetting
from expunge.methods import METHODS, configure, find_method
from expunge.methods.method import require_needs
from expunge.methods.tuned import BUDGET, settings_for
from expunge.metrics.exchangeable import exchangeable
from expunge.store import SHIPPED, Artefact, Store
from expunge.suites import ForgetSet, Suite
from expunge.suites.derived import with_derived


def rebuild(
    suite: Suite,
    forget_sets: Sequence[str] | None = None,
    *,
    methods: Sequence[str] = (),
    settings: Mapping[str, Mapping[str, object]] | None = None,
    tuning: str = "tuned",
    budget: float = BUDGET,
    models: int | None = None,
    workers: Workers = 1,
    watch: Watch = silent,
    say: Say = warn,
) -> list[dict[str, Any]]:
    """Train the ensembles of ``suite`` into the user's store; what is there already is kept.

    With ``methods``, only what these need beside the ensembles that every suite has, for the settings that a bench
    takes with the same ``tuning``, ``budget`` and ``settings``.

    Returns one entry per ensemble: its name, its number of models, and ``shipped``: whether it has the bytes of the
    shipped one or, on another kind of machine, whether it is exchangeable with it.
    """
    count = suite.models if models is None else models
    if not 1 <= count <= suite.models:
        raise BadSetting(f"expected 1 to {suite.models} models, as many as suite {suite.name!r} has, got {count}")
    known = suite.forget_sets.values() if forget_sets is None else [suite.forget_sets[name] for name in forget_sets]
    if methods or settings:
        plans: dict[str, Plan] = {}
        for forget in known:
            used = {
                name: settings_for(suite, forget, name, (settings or {}).get(name, {}), tuning, budget).settings
                for name in methods
            }  # what a bench takes
            plans |= {plan.key: plan for plan in own_plans(suite, [forget], methods, {**(settings or {}), **used})}
        wanted = [(plan, count) for plan in plans.values()]
        made = build_all(wanted, workers=workers, watch=watch, say=say)
        return [_row(plan, each, count) for (plan, _), each in zip(wanted, made, strict=True)]
    wanted = [(Plan(suite, "pretrained"), count), *((Plan(suite, "oracle", forget), count) for forget in known)]
    if forget_sets is None and suite.subsets:
        wanted.insert(1, (Plan(suite, "subset"), suite.subsets))
    made = build_all(wanted, workers=workers, watch=watch, say=say)
    if forget_sets is None and suite.derive:
        derive_forget_sets(suite)
        names = set(with_derived(suite).forget_sets) - set(suite.forget_sets)
        more = [(Plan(suite, "oracle", with_derived(suite).forget_sets[name]), count) for name in sorted(names)]
        made += build_all(more, workers=workers, watch=watch, say=say)
        wanted += more
    return [_row(plan, each, count) for (plan, _), each in zip(wanted, made, strict=True)]


def own_plans(
    suite: Suite,
    forget_sets: Iterable[ForgetSet],
    methods: Sequence[str],
    settings: Mapping[str, Mapping[str, object]],
) -> list[Plan]:
    """What the methods need of their own, each ensemble once, in the order of the methods."""
    if stray := settings.keys() - set(methods):
        raise BadSetting(f"a setting is given for {', '.join(sorted(stray))}, for which nothing is built")
    found = {}
    for (name, method), forget in product([(name, find_method(name)) for name in methods], list(forget_sets)):
        if method.prepare is None or method.prepare.plan is None:
            own = ", ".join(key for key, row in METHODS.items() if row.prepare and row.prepare.plan)
            raise BadSetting(f"method {name!r} needs nothing beside what is built for every suite; {own} do")
        require_dense(suite, name)
        require_needs(name, method, suite, [forget])
        plan = method.prepare.plan(suite, forget, configure(name, method, settings.get(name, {})))
        found[plan.key] = plan
    return list(found.values())


def _row(plan: Plan, made: Artefact, models: int) -> dict[str, Any]:
    shipped = Store(SHIPPED).read(plan.key)
    row: dict[str, Any] = {"ensemble": plan.label, "models": made.meta["models"], "folder": str(made.folder)}
    if shipped is None:
        return {**row, "shipped": "none shipped"}
    common = min(models, shipped.meta["models"])
    mine, theirs = (np.asarray(each.array("margins")[:common], dtype=np.float32) for each in (made, shipped))
    if np.array_equal(mine, theirs):
        return {**row, "shipped": "the same bytes"}
    return {**row, "shipped": f"exchangeable with it: p = {exchangeable(mine, theirs):.3f}"}

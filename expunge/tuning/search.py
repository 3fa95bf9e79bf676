"""Tuning: which settings of a method come nearest to the oracles at which cost, on models and examples not scored."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from expunge.engine import Say, Watch, Workers, silent
from expunge.errors import BadSetting
from expunge.methods import Method, configure, find_method
from expunge.methods.searches import BUDGETS, Point, Search, Settings, Stop, Trial
from expunge.methods.settings import settings_in
from expunge.methods.spaces import OneOf, Space
from expunge.methods.tuned import searched_for
from expunge.records import hardware, versions
from expunge.suites import ForgetSet, Suite, as_suite
from expunge.suites.indices import require_number, require_whole
from expunge.tuning.foretold import foretold
from expunge.tuning.samplers import Sampler, make_sampler
from expunge.tuning.trials import MOST, Field, Proposal, build_all_needed, by_epochs, run_trials, untouched
from expunge.tuning.tuning_sets import tuning_set
from expunge.user_files import without_folder

OBJECTIVE = (
    "mean over forget, retain and test of the distance, Wasserstein-1 in standard deviations of the oracles, of at "
    "most {most:,} evenly spaced examples of each; of retain, those in no scored forget set; lower is better"
)
MODELS = 20
TRIALS = 20  # that do not fail
LIMIT = 1.0  # of a retraining: what costs more saves nothing


def tune(
    method: str,
    suite: Suite | str = "digits",
    *,
    kind: str = "random",
    trials: int = TRIALS,
    sampler: str = "random",
    seed: int = 0,
    start: str = "",
    models: int | None = None,
    oracles: int | None = None,
    limit: float = LIMIT,
    timeout: float | None = None,
    workers: Workers = 1,
    watch: Watch = silent,
    say: Say | None = None,
) -> Search:
    """Search the settings of ``method`` for forget sets of ``kind``: the frontier of distance against cost.

    Tried first are the defaults, what the authors take and, where a suite is named as ``start``, what was found for it
    within ``limit`` (the cheapest, where all is dearer); then settings of the sampler until ``trials`` of all did not
    fail, twice as many at most. A method that goes by epochs runs as long as it may, and each epoch is a candidate; so
    one search serves every budget.

    ``models`` pretrained models (default: 20) from the suite's second half are unlearned and compared with ``oracles``
    oracles of the tuning set (default: half the suite's number), built on first use: few oracles raise the floor, and
    all methods share them. What costs more than ``limit`` of a retraining is stopped there; what fails or makes
    outliers of models is listed and never chosen, and so is a method of the user's own that takes longer than
    ``timeout`` seconds for a model. Every finished trial is kept in the store: the same search goes on
    where it was interrupted. ``say`` is told what will be done, and about how long it takes, before it begins.
    """
    row = find_method(method)
    trials, limit = require_whole(trials, "the number of trials"), require_number(limit, "the limit")
    _require_tunable(method, row, trials, limit)
    suite = as_suite(suite)
    chance = make_sampler(sampler, _drawn(row), seed, without_folder(method))
    cap = None if row.from_scratch else limit
    first = _first_proposals(method, row, start, kind, cap)
    forget = tuning_set(suite, kind)
    field = Field(
        suite, forget, method, _tuning_models(suite, models), _tuning_oracles(suite, oracles), cap, seed, timeout
    )
    if say:
        say(foretold(field, [each.settings for each in first], trials, workers))
    build_all_needed(field, workers, watch)
    nothing = untouched(field)
    tried = _tried(field, chance, first, trials, nothing, workers, watch)
    return Search(
        method=method,
        suite=suite.name,
        suite_digest=suite.digest,
        kind=kind,
        objective=OBJECTIVE.format(most=MOST),
        sampler=chance.name,
        seed=seed,
        start=start,
        wanted=trials,
        limit=cap,
        pretrained=[field.models[0], field.models[-1]],
        oracles=[0, field.oracles - 1],
        space={key: described(space) for key, space in row.search.items()},
        forget_set=_told(forget),
        untouched=nothing,
        trials=tried,
        frontier=frontier(method, row, tried, nothing.objective),
        seconds=round(sum(each.seconds for each in tried), 1),
        hardware=hardware(),
        versions=versions(),
    )


def _tried(
    field: Field,
    chance: Sampler,
    first: Sequence[Proposal],
    wanted: int,
    nothing: Point,
    workers: Workers,
    watch: Watch,
) -> list[Trial]:
    """Trials until so many did not fail, or twice as many were made, or there are no other settings."""
    trials: list[Trial] = []
    named, unlimited = list(first), field.limit is None
    while (count := min(wanted - sum(each.status == "ok" for each in trials), 2 * wanted - len(trials))) > 0:
        proposed, named = named[:count], named[count:]  # what is named comes before what is drawn
        proposed = proposed or [Proposal(chance.name, _longest(field.row, each)) for each in chance.ask(count)]
        if not proposed:
            break
        found = run_trials(field, len(trials), proposed, workers, watch)
        trials += found
        # Told as doing nothing, a failure would look better than every trial that ends farther off than that.
        values = [
            worth(each, nothing.objective, unlimited=unlimited) if each.status == "ok" else np.inf for each in found
        ]
        chance.tell([_known(field.row, each.settings) for each in found], values)
    return trials


def worth(trial: Trial, nothing: float, *, unlimited: bool = False) -> float:
    """One number of a trial's own frontier: the mean over BUDGETS of its least objective that is as cheap.

    Where nothing is as cheap, it is that of doing nothing. Lower is better.
    """
    budgets = [*BUDGETS[:-1], np.inf] if unlimited else BUDGETS
    found = [trial.objective(budget) for budget in budgets]
    return float(np.mean([nothing if each is None else each for each in found]))


def frontier(name: str, method: Method, trials: Sequence[Trial], nothing: float) -> list[Stop]:
    """The points of all trials than which nothing as cheap is nearer, doing nothing included, with rising cost.

    Where no point is nearer than ``nothing``, the nearest of all: a method is to be run even so.
    """
    points = [(each.cost, each.objective, trial.number, each) for trial in trials for each in trial.points]
    stops: list[Stop] = []
    for cost, objective, number, point in sorted(points):
        nearest = stops[-1].objective if stops else max(nothing, min(each for _, each, _, _ in points) + 1e-9)
        if objective < nearest:
            settings = dict(trials[number].settings)
            settings |= {"epochs": point.epoch} if by_epochs(method) else {}
            full = settings_in(configure(name, method, settings))
            stops.append(Stop(trial=number, cost=cost, objective=objective, settings=full))
    return stops


def _first_proposals(name: str, method: Method, start: str, kind: str, cap: float | None) -> list[Proposal]:
    """The defaults, what the authors take, and what was found for another suite; the same settings once."""
    named: list[tuple[str, Settings]] = [("the defaults", {})]
    named += [(each.source, dict(each.settings)) for each in method.published]
    named += [(f"found for {start}", each) for each in _found_for(start, name, method, kind, cap)] if start else []
    proposals: dict[str, Proposal] = {}
    for origin, settings in named:
        settings = _longest(method, settings)
        written_out = repr(sorted({**asdict(method.config()), **settings}.items()))
        proposals.setdefault(written_out, Proposal(origin, settings))
    return list(proposals.values())


def _drawn(method: Method) -> dict[str, Space]:
    """The settings that are drawn: a run goes as long as it may where each of its epochs is a candidate."""
    return {key: space for key, space in method.search.items() if key != "epochs" or not by_epochs(method)}


def _longest(method: Method, settings: Settings) -> Settings:
    """With as many epochs as the search goes to."""
    space = method.search.get("epochs")
    if space is None or not by_epochs(method):
        return settings
    most = max(space.values) if isinstance(space, OneOf) else int(space.high)
    return {**settings, "epochs": most}


def _known(method: Method, settings: Settings) -> Settings:
    """What is searched of settings, the defaults filled in; they may be such as do not go together."""
    full = {**asdict(method.config()), **settings}
    return {key: full[key] for key in _drawn(method)}


def _found_for(suite: str, name: str, method: Method, kind: str, cap: float | None) -> list[Settings]:
    """The searched settings that were found for another suite, at each of BUDGETS and at what a trial may cost."""
    search = searched_for(suite, kind, name)
    most = np.inf if cap is None else cap
    budgets = sorted({min(each, most) for each in (*BUDGETS, np.inf)})
    stops = [stop for budget in budgets if (stop := search.at(budget))] or search.frontier[:1]
    return [{key: each.settings[key] for key in method.search if key in each.settings} for each in stops]


def _told(forget: ForgetSet) -> dict[str, Any]:
    """What a record tells of the tuning set."""
    return {
        "name": forget.name,
        "digest": forget.digest,
        "made": forget.made,
        "indices": forget.indices.tolist(),
    }


def described(space: Space) -> dict[str, Any]:
    """A space as JSON has it."""
    return {"values": list(space.values)} if isinstance(space, OneOf) else asdict(space)


def _require_tunable(name: str, method: Method, trials: int, limit: float) -> None:
    if method.anchor:
        raise BadSetting(f"{name!r} is an anchor: its row is made of margins, there is nothing to tune")
    if not method.search:
        raise BadSetting(f"{name!r}: nothing to tune, {_what_lacks(name, method)}")
    if trials < 1:
        raise BadSetting(f"expected at least 1 trial, got {trials}")
    if not 0 < limit < float("inf"):
        raise BadSetting(f"expected a limit above 0, as a share of one retraining, got {limit}")


def _what_lacks(name: str, method: Method) -> str:
    """Why a method without a search cannot be tuned, and what to add to one of the user's own."""
    keys = [each.name for each in fields(method.config)]
    if ":" not in name:
        return "it has no settings that are searched"
    if not keys:
        return "it has no settings; give it one by name with a default, as lr=0.01, and a SEARCH that has it"
    return (
        f"nothing says where to look; add to its file SEARCH = {{{keys[0]!r}: Between(low, high)}}, with Between or "
        "OneOf of expunge.methods.spaces"
    )


def _tuning_models(suite: Suite, models: int | None) -> range:
    """The first of the pretrained models that serve tuning: the second half of the suite's."""
    half = suite.models // 2
    count = min(MODELS, half) if models is None else require_whole(models, "the number of models")
    if not 2 <= count <= half:
        raise BadSetting(
            f"expected 2 to {half} models, half of the {suite.models} that suite {suite.name!r} has (the other half "
            f"is scored), got {count}"
        )
    return range(half, half + count)


def _tuning_oracles(suite: Suite, oracles: int | None) -> int:
    half = suite.models // 2
    count = half if oracles is None else require_whole(oracles, "the number of oracles")
    if oracles is not None and not 2 <= count <= half:
        raise BadSetting(f"expected 2 to {half} oracles, half of the {suite.models} of a forget set, got {count}")
    return count

"""The page of the searches: what they cost, what they found for each kind and budget, and how far to trust them."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from expunge.methods import METHODS
from expunge.methods.searches import BUDGETS, Search
from expunge.methods.tuned import ALIKE, shipped
from expunge.reports.studies.markdown import Markdown, code, grid
from expunge.reports.studies.tuning import Again, Found, Served
from expunge.reports.tables.formats import compute
from expunge.suites.forget_set import FORGET_KINDS

INTRODUCTION = """\
# Settings: what the searches found

Each method is tuned for each kind of forget set, on models, oracles and examples that no bench scores: 20 pretrained
models are unlearned and compared with oracles of a forget set of tuning. First the defaults and what the authors take,
then what was found for another suite, random settings and Optuna's, until enough did not fail; every epoch of a trial
is a candidate. The objective is the distance (Wasserstein-1 in standard deviations of the oracles), mean over forget,
retain and test; with 20 models even oracles get about 0.3. A bench takes what came nearest at its `--budget`.

Made by `expunge study tuning` from the records in `expunge/methods/tuned/` and figures of its own.
"""


def tuning_page(suite: str, found: Found) -> str:
    """The page: of the suite that was studied, then the searches for the others."""
    searches = [each for name in METHODS for each in shipped(name)]
    others = sorted({each.suite for each in searches} - {suite})
    parts = [INTRODUCTION, *_suite(suite, searches), *_seeds(found.seeds), *_served(found.served)]
    parts += [part for other in others for part in _suite(other, searches)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _suite(suite: str, searches: Sequence[Search]) -> list[str]:
    """What was looked for on a suite, what that cost, and what was found."""
    own = [each for each in searches if each.suite == suite]
    if not own:
        return [f"## {suite}", "No search for its settings is shipped."]
    kinds = {kind: some for kind in FORGET_KINDS if (some := [each for each in own if each.kind == kind])}
    best = "What the best of all methods reaches at each budget:"
    return [f"## {suite}", _how_far(own), _cost(kinds), best, _best(kinds)]


def _how_far(searches: Sequence[Search]) -> str:
    """How many trials and oracles a search had, and what a trial might cost."""
    trials, oracles = ({each.wanted for each in searches}, {each.oracles[1] + 1 for each in searches})
    (usual, _), *rest = Counter(each.reach for each in searches).most_common()
    some = "".join(f", of {count} searches {compute(limit)}" for limit, count in rest)
    return (
        f"{_either(trials)} trials a search that did not fail, {_either(oracles)} oracles; a trial might cost "
        f"{compute(usual)} of a retraining{some}."
    )


def _either(numbers: Iterable[int]) -> str:
    return " or ".join(map(str, sorted(numbers)))


def _cost(kinds: dict[str, list[Search]]) -> str:
    lines = []
    for kind, searches in kinds.items():
        trials = [trial for search in searches for trial in search.trials]
        failed = sum(trial.status == "failed" for trial in trials)
        hours = sum(search.seconds for search in searches) / 3600
        lines.append([kind, f"{len(searches)}", f"{len(trials)}", f"{failed}", f"{hours:.1f}"])
    every = [search for searches in kinds.values() for search in searches]
    total = sum(search.seconds for search in every) / 3600
    table = grid(["kind", "searches", "trials", "of them failed", "hours of one core"], lines)
    hardware = ", ".join(sorted({search.hardware for search in every}))
    return f"{table}\n\nIn all {total:.1f} hours of one core ({hardware})."


def _best(kinds: dict[str, list[Search]]) -> str:
    lines, reach = [], max(search.reach for searches in kinds.values() for search in searches)
    budgets = [budget for budget in BUDGETS if budget <= reach]
    for kind, searches in kinds.items():
        nothing = searches[0].untouched.objective if searches else float("nan")
        cells = []
        for budget in budgets:
            stops = [(stop.objective, search.method) for search in searches if (stop := search.at(budget))]
            nearer = sum(objective < nothing for objective, _ in stops)
            best = min(stops, default=None)
            cells.append(Markdown(f"{code(best[1])} {best[0]:.2f}; {nearer} nearer") if best else "nothing so cheap")
        lines.append([kind, f"{nothing:.2f}", *cells])
    heads = [f"at {100 * budget:g} %" for budget in budgets]
    return grid(["kind", "doing nothing", *heads], lines)


def _seeds(seeds: Sequence[Again]) -> list[str]:
    if not seeds:
        return []
    lines = [
        [code(each.method), f"{100 * each.budget:g} %", *(f"{n:.3f}" for n in (each.first, each.second, each.other))]
        for each in seeds
    ]
    apart = np.abs([each.first - each.second for each in seeds])
    noise = np.abs([each.first - each.other for each in seeds])
    told = (
        f"The objective of two searches with other seeds differs by {np.median(apart):.3f} (median; at most "
        f"{apart.max():.3f}); that of one recipe on two groups of 20 models by {np.median(noise):.3f} (at most "
        f"{noise.max():.3f})."
    )
    table = grid(["method", "budget", "seed 0", "seed 1", "seed 0's recipe on other models"], lines)
    return ["## Another seed", told, table]


def _served(served: Sequence[Served]) -> list[str]:
    if not served:
        return []
    best = min(served, key=lambda each: each.objective)
    lines = [
        [each.kind, f"{each.objective:.3f}", f"{each.nearer} of {each.methods}", f"{each.before}", f"{each.behind}"]
        for each in served
    ]
    told = (
        "What was found for each other kind, tried on influential examples at the default budget: the mean objective "
        f"over the methods; how many come nearer to the oracles than doing nothing does, {best.nothing:.3f}; and how "
        f"many come nearer, and how many stay farther away, than with the settings for {ALIKE['influential']}, which a "
        f"bench takes. The least mean is that of the settings for {best.kind}."
    )
    heads = ["settings for", "objective", "nearer than nothing", "nearer than the bench's", "farther"]
    return ["## Which settings influential examples want", told, grid(heads, lines)]

"""Tuned settings: what searches found for a suite, by kind of forget set and method, and which ones a bench uses.

``SUITE/KIND/METHOD.json`` beside this file is the whole record of a search, as ``expunge tune --out`` writes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from expunge.errors import BadSetting, lookup
from expunge.methods import find_method
from expunge.methods.searches import Search, Stop, read_search
from expunge.suites import ForgetSet, Suite, is_found, load_suite
from expunge.suites.forget_set import FORGET_KINDS
from expunge.suites.indices import require_number

SHIPPED = Path(__file__).parent
BUDGET = 0.15  # of one retraining, unless said otherwise
NOTHING_CHEAP = "nothing found so cheap"  # behind settings that cost more than a bench asks for
SHOWN = 8  # so many methods are named in a line
ALIKE = {
    "influential": "neighbours"
}  # kinds without searches of their own: whose settings suit them (results/tuning.md)


def shipped(method: str) -> list[Search]:
    """The searches for a method that are shipped, by suite and kind."""
    return [read_search(file) for file in sorted(SHIPPED.glob(f"*/*/{method}.json"))]


def searched_for(suite: str, kind: str, method: str) -> Search:
    """The shipped search for a method on the suite of this name, for forget sets of this kind."""
    suites = sorted({file.parents[1].name for file in SHIPPED.glob(f"*/*/{method}.json")})
    if not suites:
        raise BadSetting(f"no tuned settings of {method!r} are shipped")
    lookup(f"suite with tuned settings of {method!r}", suite, dict.fromkeys(suites))
    kinds = {file.parent.name: file for file in sorted(SHIPPED.glob(f"{suite}/*/{method}.json"))}
    search = read_search(lookup(f"kind with tuned settings of {method!r} for {suite}", tuned_as(kind), kinds))
    if not search.frontier:
        raise BadSetting(f"the search for {method!r} on {suite!r} found no settings to start from: every trial failed")
    return search


def tuned_as(kind: str) -> str:
    """The kind whose search serves forget sets of ``kind``; that of those drawn at random where none is named."""
    return ALIKE.get(kind, kind) or "random"


@dataclass(frozen=True)
class Used:
    """Settings that a bench uses, and what they are, in words: "default", "tuned for class, 15 %; set: lr"."""

    settings: Mapping[str, object]
    label: str
    budget: float | None = None  # share of a retraining that they may cost; None of an anchor


CHOICES = {
    "tuned": "those found for the suite, the kind of the forget set and the budget, else the defaults",
    "default": "the defaults of each method",
}


def settings_for(
    suite: Suite,
    forget: ForgetSet,
    name: str,
    overrides: Mapping[str, object],
    wanted: str = "tuned",
    budget: float = BUDGET,
    search: Search | None = None,
) -> Used:
    """What the method ``name`` is run with: what was found, if anything, and the overrides on top.

    A ``search`` that is given takes the place of the shipped one, whatever the suite and kind that it was for.
    """
    lookup("tuning", wanted, CHOICES)
    budget = require_budget(budget)
    method = find_method(name)
    found = search or (_found(suite, forget.kind, name) if wanted == "tuned" else None)
    stop = found.served(budget) if found else None
    without = method.anchor or (":" in name and not fields(method.config))
    label = "" if without else _label(suite, found, stop, budget)
    label += f"; set: {', '.join(sorted(overrides))}" if overrides else ""
    return Used({**(stop.settings if stop else {}), **overrides}, label, None if method.anchor else budget)


def require_budget(given: object) -> float:
    """A share of a retraining; refused where it is none."""
    budget = require_number(given, "the budget, such as 0.15")
    if not 0 < budget <= 1:
        near = f"; did you mean {budget / 100:g}?" if 1 < budget <= 100 else ""
        near = near or ("; the nearest is 1" if budget > 1 else "")
        raise BadSetting(f"expected a budget above 0 and at most 1, a whole retraining, got {budget:g}{near}")
    return budget


def _found(suite: Suite, kind: str, method: str) -> Search | None:
    """The shipped search for a method on this very suite or, for a sparse one, on the dense one it is named after."""
    base, sparse, _ = suite.name.partition("@")
    file = SHIPPED / base / tuned_as(kind) / f"{method}.json"
    if ":" in method or not file.is_file():
        return None
    search = read_search(file)
    digest = load_suite(base).digest if sparse else suite.digest
    if search.suite_digest != digest:
        again = f"tune again with `expunge tune {method} {suite.address}`" if is_found(suite) else "tune again"
        raise BadSetting(
            f"the settings of {method!r} for suite {base!r} were tuned on digest {search.suite_digest}, this suite has "
            f"{digest}; {again}, or bench with --tuning default (in Python tuning='default')"
        )
    return search if search.frontier else None


def _label(suite: Suite, found: Search | None, stop: Stop | None, budget: float) -> str:
    if found is None or stop is None:
        return "default"
    place = "" if found.suite == suite.name else f" on {found.suite}"
    dear = "" if stop.cost <= budget else f", {NOTHING_CHEAP}"
    short = f", looked for up to {100 * found.reach:.3g} %" if found.reach < budget else ""
    return f"tuned{place} for {found.kind}, {100 * budget:.3g} %{dear}{short}"


def in_words(used: Sequence[tuple[str, str]]) -> str:
    """One line that says which settings a bench uses, of its methods and their labels.

    >>> in_words([("scrub", "tuned for class, 15 %"), ("ct", "tuned for class, 15 %; set: lr"), ("npo", "default")])
    'settings: tuned for class, 15 % (scrub, ct with lr set), default (npo)'
    """
    groups: dict[str, dict[str, None]] = {}
    for name, label in used:
        kind, _, changed = label.partition("; set: ")
        groups.setdefault(kind, {})[f"{name} with {changed} set" if changed else name] = None
    told = {
        kind: ", ".join(names) if len(names) <= SHOWN else f"{len(names)} methods" for kind, names in groups.items()
    }
    return "settings: " + ", ".join(f"{kind} ({names})" for kind, names in told.items())


def kind_in_words(forget: ForgetSet) -> str:
    """What is to be said of a forget set that names no kind; "" of one that does."""
    known = ", ".join(FORGET_KINDS)
    return "" if forget.kind else f"{forget.name} names no kind of {known}: it gets what was found for random"

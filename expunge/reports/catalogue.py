"""What there is, in words: suites, methods, metrics, audits, attacks, defences, forget sets; and one entry in full."""

import dataclasses
import inspect
import sys
from collections.abc import Callable, Container
from typing import Any

from expunge.attacks import ATTACKS, DEFENCES, Attack, Defence
from expunge.audits import AUDITS, Audit
from expunge.errors import BadSetting, UnknownName, lookup, suggestion
from expunge.methods import METHODS, find_method
from expunge.methods.own.method import told_of
from expunge.metrics import METRICS, Metric
from expunge.reports.cards import card, defaults, facts
from expunge.reports.readings import COLUMNS, LEGEND, MARKS, RULES
from expunge.suites import SUITES, ForgetSet, ForgetSets, Suite, load_suite
from expunge.suites.suite import Unmade
from expunge.tuning.search import described

Entry = dict[str, Any]


def catalogue(kind: str) -> list[Entry]:
    """One short entry for each name of a kind, every one with ``name`` and ``summary``."""
    return lookup("kind", kind, KINDS)()


def describe(name: str) -> Entry:
    """All that is known of one suite, method, metric, audit, attack, defence or forget set."""
    for table, tell in _TABLES:
        if name in table:
            return tell(name)
    file, at, _ = name.partition("@")
    if ":" in file and not at and told_of("suite or method", file).takes:
        return _own_method(name)
    if name in SUITES or ":" in name or "@" in name:
        return _suite(load_suite(name), full=True)
    sets = _forget_sets()
    found = [each for each in sets if name in (each["name"], f"{each['suite']}/{each['name']}")]
    if len(found) > 1:
        places = ", ".join(f"{each['suite']}/{name}" for each in found)
        raise UnknownName(f"{len(found)} suites have a forget set {name!r}; say which: {places}")
    if found:
        return _full_forget_set(found[0]["suite"], found[0]["name"])
    choices = [
        "readings",
        *METHODS,
        *METRICS,
        *AUDITS,
        *SUITES,
        *ATTACKS,
        *DEFENCES,
        *dict.fromkeys(each["name"] for each in sets),
    ]
    if name.endswith(".py"):
        raise UnknownName(f"expected a name in a file, as {name}:forget_it, got {name!r} alone")
    raise UnknownName(f"unknown name {name!r}; {suggestion(name, choices)}")


def _own_method(name: str) -> Entry:
    told = told_of("method", name)
    if told.fault:
        raise BadSetting(f"{name!r} is no method and no suite: {told.fault}; a suite's function takes nothing")
    method = find_method(name)
    return {
        "name": name,
        "kind": "method",
        "summary": method.summary,
        "needs": list(method.needed),
        "settings": defaults(method),
        "search": {key: described(space) for key, space in method.search.items()} or "none, so that it cannot be tuned",
        **({} if told.row else {"called as": f"{told.name}{told.signature}, once for each model"}),
        "what": told.doc or "it has no docstring",
    }


def _suites() -> list[Entry]:
    return [_suite(load_suite(name)) for name in SUITES]


def _suite(suite: Suite, *, full: bool = False) -> Entry:
    train, test = suite.data.sizes  # known without the examples, which may be absent
    entry: Entry = {
        "name": suite.name,
        "kind": "suite",
        "summary": f"{train} train and {test} test examples, {suite.data.classes} classes, {suite.models} models",
    }
    if full:
        recipe = dataclasses.asdict(suite.recipe)
        entry |= {"digest": suite.digest, "recipe": recipe, "network": repr(suite.network())}
        entry |= {"data": suite.data.made} if suite.data.made else {}
        entry |= {"classes": list(suite.data.names) or suite.data.classes_in_words}
        entry |= {"forget sets": {name: _sized(suite, name) for name in suite.forget_sets}}
    return entry


def _sized(suite: Suite, name: str) -> str:
    """How large a forget set is, where it is made, and what it holds."""
    held = _held(suite, name)
    size = f"{len(held):,} of {suite.data.sizes[0]:,}" if isinstance(held, ForgetSet) else "made when asked for"
    return f"{size}: {held.made}"


def _methods() -> list[Entry]:
    return [facts(name) for name in METHODS]


def _metrics() -> list[Entry]:
    return [_metric(name, metric) for name, metric in METRICS.items()]


def _metric(name: str, metric: Metric, *, full: bool = False) -> Entry:
    doc = inspect.getdoc(metric.function) or ""
    entry = {"name": name, "kind": "metric", "summary": doc.partition("\n")[0], **_read_as(metric)}
    return {**entry, "what": doc} if full else entry


def _audits() -> list[Entry]:
    return [_audit(name) for name in AUDITS]


def _audit(name: str, *, full: bool = False) -> Entry:
    audit = AUDITS[name]
    entry = {"name": name, "kind": "audit", "summary": audit.summary, **_read_as(audit), "needs": list(audit.reads)}
    if full:
        entry["what"] = inspect.getdoc(audit.function) or ""
        entry["run"] = f"expunge audit SUITE FORGET_SET --method METHOD --audit {name}"
    return entry


def _read_as(row: Metric | Audit) -> Entry:
    """How the numbers of a metric or an audit are to be read."""
    return {
        "aggregates": list(row.aggregates),
        "unit": row.unit,
        "better": row.better,
        "oracle": row.oracle,
        "source": row.source,
    }


def _attacks() -> list[Entry]:
    return [_attack(name) for name in ATTACKS]


def _attack(name: str, *, full: bool = False) -> Entry:
    row = ATTACKS[name]
    entry: Entry = {
        "name": name,
        "kind": "attack",
        "summary": row.summary,
        "roles": list(row.roles),
        "goal": row.goal,
        "knowledge": row.knowledge,
        "phases": list(row.phases),
        "source": "; ".join(row.sources),
    }
    if full:
        entry["what"] = inspect.getdoc(sys.modules[row.module]) or ""
        entry["run"] = f"expunge attack {name} SUITE; see expunge attack {name} --help"
        if row.play and row.success:
            entry |= {"success": row.success.what, "settings": row.config().own, "serve": _serving(row)}
    return entry


def _serving(row: Attack) -> list[str]:
    """The methods that serve the requests of an attack of the lab where none is named."""
    return [each.label for each in row.config().methods]


def _defences() -> list[Entry]:
    return [_defence(name) for name in DEFENCES]


def _defence(name: str) -> Entry:
    row = DEFENCES[name]
    return {
        "name": name,
        "kind": "defence",
        "summary": row.summary,
        **_what_it_does(row),
        "price": row.price,
        "source": row.source,
    }


def _what_it_does(row: Defence) -> Entry:
    """What a defence looks at and holds back, or what it has a provider do otherwise."""
    if row.practice is not None:
        what = "what is told of the models" if row.practice.tells else "what a removal does"
        return {"looks": "at nothing: it suspects nobody", "changes": what}
    held = {"looks": f"at {row.when} time", "holds back": "single records of a request" if row.filters else "requests"}
    sums = {"owner": "the requests of an owner", "all": "all requests since the last training"}
    return {**held, "adds up": sums[row.accumulates]} if row.accumulates else held


def _forget_sets() -> list[Entry]:
    return [_forget_set(suite, name) for suite in map(load_suite, SUITES) for name in suite.forget_sets]


def _forget_set(suite: Suite, name: str) -> Entry:
    """What is known of a forget set without making it, which may need the data, or a minute."""
    held = _held(suite, name)
    size = len(held) if isinstance(held, ForgetSet) else None
    of = f"{size} of {suite.name}" if size else f"of {suite.name}, made when asked for"
    digest = held.digest if isinstance(held, ForgetSet) else None
    return {"name": name, "summary": f"{of}: {held.made}", "suite": suite.name, "size": size, "digest": digest}


def _full_forget_set(suite: str, name: str) -> Entry:
    loaded = load_suite(suite)
    indices = loaded.forget_sets[name].indices.tolist()
    return {**_forget_set(loaded, name), "kind": "forget set", "indices": indices}


def _readings() -> Entry:
    return {
        "name": "readings",
        "kind": "legend",
        "summary": "What the tables of a bench say.",
        "columns": COLUMNS,
        "readings": {f"{MARKS[name]} {name}": rule for name, rule in RULES.items()},
        "rule": LEGEND,
    }


def _held(suite: Suite, name: str) -> ForgetSet | Unmade:
    held = ForgetSets(suite.forget_sets).held(name)
    return held if isinstance(held, ForgetSet | Unmade) else suite.forget_sets[name]


_TABLES: tuple[tuple[Container[str], Callable[[str], Entry]], ...] = (
    (METHODS, card),
    (METRICS, lambda name: _metric(name, METRICS[name], full=True)),
    (AUDITS, lambda name: _audit(name, full=True)),
    (ATTACKS, lambda name: _attack(name, full=True)),
    (DEFENCES, lambda name: _defence(name)),
    (("readings",), lambda _: _readings()),
)

KINDS: dict[str, Callable[[], list[Entry]]] = {
    "suites": _suites,
    "methods": _methods,
    "metrics": _metrics,
    "audits": _audits,
    "attacks": _attacks,
    "defences": _defences,
    "forget-sets": _forget_sets,
}

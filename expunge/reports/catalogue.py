"""What there is, in words: the tables of suites, methods, metrics and forget sets, and one entry in full."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

from expunge.errors import UnknownName, lookup, suggestion
from expunge.methods import METHODS, Method
from expunge.metrics import METRICS, Metric
from expunge.suites import SUITES, ForgetSet, Suite, load_suite

Entry = dict[str, Any]


def catalogue(kind: str) -> list[Entry]:
    """One short entry for each name of a kind, every one with ``name`` and ``summary``."""
    return lookup("kind", kind, KINDS)()


def describe(name: str) -> Entry:
    """All that is known of one suite, method, metric or forget set."""
    if name in METHODS:
        return _method(name, METHODS[name], full=True)
    if name in METRICS:
        return _metric(name, METRICS[name], full=True)
    if name in SUITES:
        return _suite(load_suite(name), full=True)
    sets = {each["name"]: each for each in _forget_sets()}
    if name in sets:
        suite = load_suite(sets[name]["suite"])
        return {**sets[name], "kind": "forget set", "indices": suite.forget_sets[name].indices.tolist()}
    raise UnknownName(f"unknown name {name!r}; {suggestion(name, [*METHODS, *METRICS, *SUITES, *sets])}")


def _suites() -> list[Entry]:
    return [_suite(load_suite(name)) for name in SUITES]


def _suite(suite: Suite, *, full: bool = False) -> Entry:
    train, test = len(suite.data.train), len(suite.data.test)
    entry: Entry = {
        "name": suite.name,
        "kind": "suite",
        "summary": f"{train} train and {test} test examples, {suite.data.classes} classes, {suite.models} models",
    }
    if full:
        recipe = dataclasses.asdict(suite.recipe)
        entry |= {"digest": suite.digest, "recipe": recipe, "network": repr(suite.network())}
        entry |= {"forget sets": {name: each.made for name, each in suite.forget_sets.items()}}
    return entry


def _methods() -> list[Entry]:
    return [_method(name, method) for name, method in METHODS.items()]


def _method(name: str, method: Method, *, full: bool = False) -> Entry:
    defaults = {field.name: field.default for field in dataclasses.fields(method.config)}
    entry: Entry = {
        "name": name,
        "kind": "method",
        "summary": method.summary,
        "source": method.source,
        "needs": list(method.needs),
        "settings": defaults,
    }
    if full:
        entry["what"] = inspect.getdoc(method.config)
    return entry


def _metrics() -> list[Entry]:
    return [_metric(name, metric) for name, metric in METRICS.items()]


def _metric(name: str, metric: Metric, *, full: bool = False) -> Entry:
    doc = inspect.getdoc(metric.function) or ""
    entry: Entry = {
        "name": name,
        "kind": "metric",
        "summary": doc.partition("\n")[0],
        "aggregates": list(metric.aggregates),
        "unit": metric.unit,
        "better": metric.better,
        "oracle": metric.oracle,
        "source": metric.source,
    }
    if full:
        entry["what"] = doc
    return entry


def _forget_sets() -> list[Entry]:
    return [_forget_set(suite.name, each) for suite in map(load_suite, SUITES) for each in suite.forget_sets.values()]


def _forget_set(suite: str, forget: ForgetSet) -> Entry:
    summary = f"{len(forget)} of {suite}: {forget.made}"
    return {"name": forget.name, "summary": summary, "suite": suite, "size": len(forget), "digest": forget.digest}


KINDS: dict[str, Callable[[], list[Entry]]] = {
    "suites": _suites,
    "methods": _methods,
    "metrics": _metrics,
    "forget-sets": _forget_sets,
}

"""Is this installation sound? Each check says what it found; none repairs anything."""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from expunge.engine import default_workers
from expunge.ensembles import Plan, read_margins, read_subsets
from expunge.errors import ExpungeError
from expunge.metrics.klom import klom
from expunge.records import hardware, versions
from expunge.store import MANIFEST, SHIPPED, Store, user_store
from expunge.suites import load_suite
from expunge.suites.derived import DERIVED

EMBEDDED = "digits"  # the suite whose ensembles are shipped


def examine() -> list[dict[str, Any]]:
    """One entry per check: ``name``, ``ok``, ``found``."""
    return [_check(name, check) for name, check in CHECKS.items()]


def _check(name: str, check: Callable[[], str]) -> dict[str, Any]:
    try:
        return {"name": name, "ok": True, "found": check()}
    except (ExpungeError, OSError) as error:
        return {"name": name, "ok": False, "found": str(error)}


def _python() -> str:
    return f"{sys.version.split()[0]}; " + ", ".join(
        f"{key} {value}" for key, value in versions().items() if key != "python"
    )


def _hardware() -> str:
    return f"{hardware()}; {default_workers()} workers by default"


def _shipped() -> str:
    store = Store(SHIPPED)
    manifests = sorted(SHIPPED.rglob(MANIFEST))
    artefacts = [store.read(str(file.parent.relative_to(SHIPPED))) for file in manifests]
    size = sum(file.stat().st_size for file in SHIPPED.rglob("*") if file.is_file())
    suite = load_suite(EMBEDDED)  # all that a bench needs is there, and of this very suite
    read_margins(Plan(suite, "pretrained"), 0, suite.models)
    read_subsets(suite)
    for forget in suite.forget_sets.values():
        read_margins(Plan(suite, "oracle", forget), 0, suite.models)
    if store.read(f"{suite.digest}/{DERIVED}") is None:
        raise ExpungeError(f"the derived forget sets of {suite.name!r} are missing; reinstall expunge")
    return f"{len(artefacts)} artefacts, {size / 1e6:.1f} MB, every SHA-256 as in its manifest"


def _store() -> str:
    store = user_store()
    store.write("doctor", {"probe": np.zeros(1)}, {})
    if store.read("doctor") is None:
        raise ExpungeError(f"{store.root} loses what is written to it; set EXPUNGE_STORE to another folder")
    return f"{store.root} can be written and read"


def _metric() -> str:
    margins = np.random.default_rng(0).normal(size=(2, 100, 20_000)).astype(np.float32)
    klom(*margins)
    started = time.perf_counter()
    klom(*margins)
    return f"klom of 100 x 20,000 margins in {1000 * (time.perf_counter() - started):.0f} ms"


CHECKS: dict[str, Callable[[], str]] = {
    "python": _python,
    "hardware": _hardware,
    "shipped": _shipped,
    "store": _store,
    "klom": _metric,
}

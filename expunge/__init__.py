"""expunge: knowing whether a machine-learning model has really forgotten.

>>> import expunge as xp
>>> suite = xp.load_suite("digits")
>>> len(suite.forget_sets["random-50"])
50
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from expunge.audits.run import audit, run_audits
    from expunge.bench.comparisons import compare
    from expunge.bench.opened import open_run
    from expunge.bench.plan import plan_bench
    from expunge.bench.run import run_bench
    from expunge.bench.score import evaluate
    from expunge.ensembles import Ensemble, pretrain, retrain
    from expunge.methods import unlearn
    from expunge.metrics.klom import klom
    from expunge.metrics.wasserstein import wasserstein
    from expunge.records import Score
    from expunge.reports import report
    from expunge.reports.papers.frames import frame
    from expunge.suites import Suite, load_suite

__all__ = [
    "Ensemble",
    "Score",
    "Suite",
    "audit",
    "compare",
    "evaluate",
    "frame",
    "klom",
    "load_suite",
    "open_run",
    "plan_bench",
    "pretrain",
    "report",
    "retrain",
    "run_audits",
    "run_bench",
    "unlearn",
    "wasserstein",
]

# A worker needs a third of the package; each name is imported when it is first asked for.
_HOMES = {
    "Ensemble": "ensembles",
    "Score": "records",
    "Suite": "suites",
    "audit": "audits.run",
    "compare": "bench.comparisons",
    "evaluate": "bench.score",
    "frame": "reports.papers.frames",
    "klom": "metrics.klom",
    "load_suite": "suites",
    "open_run": "bench.opened",
    "plan_bench": "bench.plan",
    "pretrain": "ensembles",
    "report": "reports",
    "retrain": "ensembles",
    "run_audits": "audits.run",
    "run_bench": "bench.run",
    "unlearn": "methods",
    "wasserstein": "metrics.wasserstein",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'expunge' has no attribute {name!r}")
    return getattr(import_module(f"expunge.{_HOMES[name]}"), name)

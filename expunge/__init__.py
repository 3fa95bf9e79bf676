"""expunge: knowing whether a machine-learning model has really forgotten.

>>> import expunge as xp
>>> suite = xp.load_suite("digits")
>>> len(suite.forget_sets["random-50"])
50
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from expunge.ensembles import Ensemble, pretrain, retrain
    from expunge.methods import unlearn
    from expunge.metrics.bench import bench
    from expunge.metrics.evaluate import evaluate
    from expunge.metrics.klom import klom
    from expunge.records import Score
    from expunge.reports import report
    from expunge.suites import Suite, load_suite

__all__ = [
    "Ensemble",
    "Score",
    "Suite",
    "bench",
    "evaluate",
    "klom",
    "load_suite",
    "pretrain",
    "report",
    "retrain",
    "unlearn",
]

# A worker needs a third of the package; each name is imported when it is first asked for.
_HOMES = {
    "Ensemble": "ensembles",
    "Score": "records",
    "Suite": "suites",
    "bench": "metrics",
    "evaluate": "metrics",
    "klom": "metrics",
    "load_suite": "suites",
    "pretrain": "ensembles",
    "report": "reports",
    "retrain": "ensembles",
    "unlearn": "methods",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'expunge' has no attribute {name!r}")
    return getattr(import_module(f"expunge.{_HOMES[name]}"), name)

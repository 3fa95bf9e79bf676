"""The record of a small search: scrub, on one suite."""

from dataclasses import asdict, replace
from typing import Any

from expunge.methods import METHODS
from expunge.methods.tuned import Chosen, Search, Trial
from expunge.suites import Suite


def a_search(suite: Suite, **changes: Any) -> Search:
    """The record, with ``changes``."""
    found = Search(
        method="scrub",
        suite=suite.name.partition("@")[0],
        suite_digest=suite.digest,
        objective="least",
        sampler="random",
        seed=0,
        budget=1,
        limit=0.15,
        pretrained=[100, 119],
        oracles=[0, 99],
        space={"lr": {"low": 0.01, "high": 0.1, "log": True, "whole": False}},
        sets=[{"name": "tuning-random", "size": 50, "digest": "0", "made": "so"}],
        untouched=3.0,
        trials=[Trial(number=0, settings={"lr": 0.02}, status="ok", objective=1.0, cost=0.1, seconds=0.1)],
        chosen=Chosen(trial=0, objective=1.0, settings=asdict(METHODS["scrub"].config(lr=0.02, alpha=0.3))),
        hardware="none",
        versions={},
    )
    return replace(found, **changes)

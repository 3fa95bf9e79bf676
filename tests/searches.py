"""The record of a small search: scrub, on one suite."""

from dataclasses import replace
from typing import Any

from expunge.methods import METHODS
from expunge.methods.searches import Point, Search, Stop, Trial
from expunge.methods.settings import settings_in
from expunge.suites import Suite


def a_search(suite: Suite, **changes: Any) -> Search:
    """The record, with ``changes``."""
    known = settings_in(METHODS["scrub"].config(lr=0.02, alpha=0.3))
    points = [Point(1, 0.1, 1.0, 1.0, 1.0), Point(3, 0.3, 0.5, 0.5, 0.5)]
    found = Search(
        method="scrub",
        suite=suite.name.partition("@")[0],
        suite_digest=suite.digest,
        kind="random",
        objective="least",
        sampler="random",
        seed=0,
        wanted=1,
        limit=1.0,
        pretrained=[100, 119],
        oracles=[0, 99],
        space={"lr": {"low": 0.01, "high": 0.1, "log": True, "whole": False}},
        forget_set={"name": "tuning-random", "digest": "0", "made": "so", "indices": [3, 5]},
        untouched=Point(0, 0.0, 3.0, 3.0, 3.0),
        trials=[Trial(number=0, origin="random", settings={"lr": 0.02}, status="ok", points=points)],
        frontier=[
            Stop(trial=0, cost=0.1, objective=1.0, settings={**known, "epochs": 1}),
            Stop(trial=0, cost=0.3, objective=0.5, settings={**known, "epochs": 3}),
        ],
        seconds=1.0,
        hardware="none",
        versions={},
    )
    return replace(found, **changes)

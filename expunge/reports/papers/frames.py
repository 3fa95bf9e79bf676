"""Records, examples and comparisons as frames of pandas. No column has the name of anything that a DataFrame has."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from expunge.bench.comparisons import Comparison
from expunge.bench.opened import Run, RunSet
from expunge.errors import BadSetting
from expunge.records import Score
from expunge.reports.papers.flat_records import flat

PER_EXAMPLE = ("distance", "klom")  # what a bench keeps of each example

Columns = Mapping[str, Sequence[Any] | ndarray]


def frame(source: Sequence[Score] | Run | RunSet | Comparison) -> Any:
    """Scores, runs and comparisons as a ``pandas.DataFrame``, which a notebook shows as a table.

    Args:
        source: scores or an opened run give a line for each number, with the columns of ``expunge table --format csv``.
            A forget set of a run, ``run.forget_set("class-3")``, gives a line for each method and column of its
            margins, with the distance and KLoM of that example. A comparison of :func:`expunge.compare` gives a line
            for each split, and one for the mean of the three.

    Raises:
        BadSetting: pandas is not installed.
    """
    pandas = _pandas()
    if isinstance(source, RunSet):
        return pandas.concat([pandas.DataFrame(dict(each)) for each in _examples(source)], ignore_index=True)
    if isinstance(source, Comparison):
        return pandas.DataFrame(_splits(source))
    scores = source.scores if isinstance(source, Run) else source
    if not isinstance(scores, Sequence) or not all(isinstance(each, Score) for each in scores):
        raise BadSetting("expected scores, an opened run, a forget set of it or a comparison, got something else")
    return pandas.DataFrame([flat(score) for score in scores])


def _examples(found: RunSet) -> list[Columns]:
    """Of each method that has margins, what was kept of every example; the split "" is of no example that counts."""
    split = np.full(found.width, "", object)
    for name, columns in found.splits.items():
        split[columns] = name
    shared = {"example": found.owners, "split": split, **({} if found.labels is None else {"label": found.labels})}
    tables: list[Columns] = []
    for method in found.methods:
        if method not in found.failed:
            values = {name: kept for name in PER_EXAMPLE if (kept := found.values(method, name)) is not None}
            tables.append({"method": [method] * found.width, **shared, **values})
    if not tables:
        raise BadSetting(f"expected a row with margins on {found.name!r}, got none: all failed; bench again")
    return tables


def _splits(found: Comparison) -> list[dict[str, object]]:
    return [
        {"split": name, "difference": each.value, "low": each.low, "high": each.high, "p_value": each.p_value}
        for name, each in [*found.splits.items(), ("mean", found.mean)]
    ]


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise BadSetting("frames need pandas; run pip install -e '.[frames]' in the checkout of expunge") from None
    return pandas

"""What speaks against reading a row as forgetting, in its margins: such a row is doubted and has no rank."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.bench.alignment import spaced
from expunge.bench.plan import ANCHORS
from expunge.metrics import Reference, Row
from expunge.metrics.exchangeable import too_near
from expunge.metrics.independent_draws import dependence

LEVEL = 0.004  # of the too-near test: so often is a row of independent oracles doubted
NARROW = 0.1  # of the narrower anchor's spread; the narrowest honest row of digits has 0.96 times that spread
DRAWN = 0.25  # of the looser anchor's dependence; the loosest honest row of digits has 0.69 times it
CHANCE = 2.0  # standard errors of dependence that chance reaches
TELLING = 4.0  # standard errors from which on the anchors' own dependence is beyond doubt
COLUMNS = 1000  # examples to forget at most that are compared pair by pair, evenly spaced


def alarms_of(row: Row, reference: Reference) -> tuple[str, ...]:
    """What is wrong with the margins of a row, a line each; nothing ever is with the anchors'.

    - *not independent*: nearer to the oracles, on the examples to forget, than independent oracles are, by
      :func:`~expunge.metrics.exchangeable.too_near`;
    - *one answer*: models that have hardly any spread there, or that are there several times;
    - *drawn*: examples that do not depend on each other, by
      :func:`~expunge.metrics.independent_draws.dependence`, where those of the oracles and of untouched models do.

    All limits are shares of what oracles and untouched models of this very forget set have; with too few models, or
    examples that do not depend on each other anyway, nothing is said.
    """
    if row.method in ANCHORS:
        return ()
    columns = row.columns["forget"]
    mine, oracles = row.margins.values[:, columns], reference.oracle.values[:, columns]
    untouched = None if reference.untouched is None else reference.untouched.values[:, columns]
    anchors = [oracles] if untouched is None else [oracles, untouched]
    return tuple([*_near(mine, oracles), *_one_answer(row, mine, anchors), *_drawn(mine, anchors)])


def _near(mine: ndarray, oracles: ndarray) -> Iterator[str]:
    p = too_near(mine, oracles)
    if p <= LEVEL:
        yield f"not independent of the oracles: nearer to them than chance allows (p = {p:.3f})"


def _one_answer(row: Row, mine: ndarray, anchors: list[ndarray]) -> Iterator[str]:
    spread, least = _spread(mine), min(map(_spread, anchors))
    if spread < NARROW * least:
        yield f"one answer for all models: on the examples to forget they spread {spread / least:.1%} as wide as others"
        return
    margins = row.margins.values
    twins = len(margins) - _different(margins[:, spaced(margins.shape[1], COLUMNS)])
    if twins and not any(_different(each) < len(each) for each in anchors):
        yield f"{twins} of {len(mine)} models are there more than once"


def _drawn(mine: ndarray, anchors: list[ndarray]) -> Iterator[str]:
    some = spaced(mine.shape[1], COLUMNS)
    least = min(dependence(each[:, some]) for each in anchors)
    if least < TELLING:
        return
    found = dependence(mine[:, some])
    if found < min(CHANCE, DRAWN * least):
        yield (
            f"drawn for each example by itself: examples hang together by {found:.1f} standard errors, and by "
            f"{least:.1f} or more in honest models"
        )


def _spread(margins: Float[ndarray, "models examples"]) -> float:
    """The standard deviation over models, on the middle example; with one model there is none to be doubted."""
    return float(np.median(margins.std(axis=0, dtype=np.float64)))


def _different(margins: Float[ndarray, "models examples"]) -> int:
    """How many models differ from each other in any margin."""
    return len(np.unique(margins, axis=0))

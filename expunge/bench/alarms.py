"""What speaks against reading a row as forgetting, in its margins: such a row is doubted and has no rank."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.bench.alignment import spaced
from expunge.bench.plan import ANCHORS
from expunge.metrics import Reference, Row
from expunge.metrics.exchangeable import too_near
from expunge.metrics.independent_draws import cross_dependence, dependence
from expunge.metrics.rescaled import beyond_rescaling

LEVEL = 0.004  # of the too-near test: so often is a row of independent oracles doubted
NARROW = 0.1  # of the narrower anchor's spread; the narrowest honest row of digits has 0.96 times that spread
TIED = 0.25  # of the looser anchor's dependence; the loosest honest row of digits has 0.41 times it
CHANCE = 2.0  # standard errors of dependence that chance reaches
TELLING = 5.5  # standard errors from which on the anchors' own dependence is beyond doubt
RESCALED = 0.01  # of the move that is more than a rescaling; the least of honest rows of digits is 0.06
FEW = 8  # examples, of which two numbers explain much by chance
COLUMNS = 500  # examples to forget at most that are compared pair by pair, evenly spaced


def alarms_of(row: Row, reference: Reference) -> tuple[str, ...]:
    """What is wrong with the margins of a row, a line each; nothing ever is with the anchors'.

    - *not independent*: nearer to the oracles, on the examples to forget, than independent oracles are, by
      :func:`~expunge.metrics.exchangeable.too_near`;
    - *one answer*: models that have hardly any spread there, or that are there several times;
    - *drawn*: examples that depend neither on each other, by
      :func:`~expunge.metrics.independent_draws.dependence`, nor on all others, where those of the oracles and of
      untouched models do;
    - *rescaled*: margins that are the old ones, moved and stretched, by
      :func:`~expunge.metrics.rescaled.beyond_rescaling`.

    All limits are shares of what oracles and untouched models of this very forget set have; with too few models, or
    examples that do not depend on each other anyway, nothing is said.
    """
    if row.method in ANCHORS:
        return ()
    honest = [each.values for each in (reference.oracle, reference.untouched) if each is not None]
    margins, columns = [row.margins.values, *honest], row.columns["forget"]
    mine, *anchors = [each[:, columns] for each in margins]
    same = list(_one_answer(row, mine, anchors))
    found = [*_near(mine, anchors[0]), *(same or _drawn(row, margins)), *_rescaled(row, reference)]
    return tuple(found)


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


def _drawn(row: Row, margins: list[ndarray]) -> Iterator[str]:
    """``margins`` are of all examples: the row's, then those of honest models."""
    forget, others = row.columns["forget"], np.concatenate([row.columns["retain"], row.columns["test"]])
    forget, others = forget[spaced(len(forget), COLUMNS)], others[spaced(len(others), COLUMNS)]

    def among(each: ndarray) -> float:
        return dependence(each[:, forget])

    def across(each: ndarray) -> float:
        return cross_dependence(each[:, forget], each[:, others])

    for what, tie in (("each other", among), ("all other examples", across)):
        found, least = tie(margins[0]), min(map(tie, margins[1:]))
        if least >= TELLING and found < min(CHANCE, TIED * least):
            yield (
                f"drawn apart from the models: the examples to forget hang together with {what} by {found:.1f} "
                f"standard errors, in honest models by {least:.1f} or more"
            )
            return


def _rescaled(row: Row, reference: Reference) -> Iterator[str]:
    untouched, columns = reference.untouched, row.columns["forget"]
    if untouched is None or untouched.origin.models != row.margins.origin.models or len(columns) < FEW:
        return
    mine, before = row.margins.values[:, columns], untouched.values[:, columns]
    if beyond_rescaling(mine, before) < RESCALED:
        yield (
            "only rescaled: on the examples to forget each model has its old margins times one number plus another, as "
            "a bias or a temperature on its output makes them"
        )


def _spread(margins: Float[ndarray, "models examples"]) -> float:
    """The standard deviation over models, on the middle example; with one model there is none to be doubted."""
    return float(np.median(margins.std(axis=0, dtype=np.float64)))


def _different(margins: Float[ndarray, "models examples"]) -> int:
    """How many models differ from each other in any margin."""
    return len(np.unique(margins, axis=0))

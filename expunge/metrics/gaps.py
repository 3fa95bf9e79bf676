"""Numbers of single models as records: their mean, its gap to the oracles, and what oracles get beside each."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.metrics.metric import Scored
from expunge.metrics.over_models import distance, gap, mean_over_models
from expunge.metrics.row import PerModel, Reference, Row
from expunge.records import SplitName

AGGREGATES = ("mean", "gap", "absolute-gap")
BESIDE = "said in each record; gaps: 0 but for chance"
HELD_OUT = "{} but for chance; what held-out oracles get is said in each record"


def share_with_gap(row: Row, reference: Reference, name: str, split: SplitName, per_model: PerModel) -> Scored:
    """Of shares of each model, 0 to 1: the mean, its gap to the oracles' mean, signed and absolute.

    Beside each stands what oracles get: a mean's is the reference oracles', a gap's that of as many held-out oracles,
    since by chance alone it is not 0.
    """
    found = shares_of(row, reference, [per_model])
    if found is None:
        return Scored([])
    [mine], [oracle], [best] = found
    signed, floor = (gap(each, oracle, bounds=(-1.0, 1.0)) for each in (mine, best))
    numbers = (
        ("mean", mean_over_models(mine, bounds=(0.0, 1.0)), float(np.mean(oracle))),
        ("gap", signed, floor.value),
        ("absolute-gap", distance(signed), distance(floor).value),
    )
    module = per_model.__module__
    return Scored(
        [row.score(split, name, each, value, reference, oracle=best, module=module) for each, value, best in numbers]
    )


def shares_of(
    row: Row, reference: Reference, kinds: Sequence[PerModel]
) -> tuple[list[Float[ndarray, " models"]], ...] | None:
    """Each kind of number of the row's models, of the oracles and of the held-out ones; None where one is unknown."""
    sides = [
        [place.get(kind) for kind in kinds] for place in (row.per_model, reference.per_oracle, reference.per_held_out)
    ]
    known = [[each for each in side if each is not None] for side in sides]
    return tuple(known) if all(len(side) == len(kinds) for side in known) else None

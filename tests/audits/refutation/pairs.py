"""Two arms whose true epsilon is known."""

import numpy as np
from numpy import ndarray

from expunge.audits.refutation.arms import Arm, Arms


def arms_of(released: ndarray, reference: ndarray, **more: tuple[ndarray, ndarray]) -> Arms:
    """Arms of these margins, and of further readings."""
    sides = []
    for side, margins in enumerate((released, reference)):
        readings = {"margins": margins} | {name: values[side] for name, values in more.items()}
        sides.append(Arm(tuple(range(len(margins))), readings))  # type: ignore[arg-type]
    return Arms(*sides)


def gaussian(
    rng: np.random.Generator, ratio: float, models: int, references: int | None = None, *, columns: int = 5
) -> Arms:
    """Margins whose every direction is noise of 1, but for one along which the arms lie ``ratio`` apart."""
    shift = np.full(columns, ratio / np.sqrt(columns))
    return arms_of(rng.normal(size=(models, columns)) + shift, rng.normal(size=(references or models, columns)))

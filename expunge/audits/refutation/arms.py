"""Two arms of models as numbers: what is seen of each model, and which models choose an event and which count it.

The arm that was released is ``U(D, D_u, A(D))``, that of reference ``U(D_r, nothing, A(D_r))``: oracles that went
through the same method, projection and noise. Raw oracles refute nothing, for no definition speaks of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.certificates.record import MANY
from expunge.errors import BadMargins, BadSetting, MismatchedEnsembles, TooFewModels

Reading = Literal["margins", "weights", "buffers", "unnoised"]
LEAST_MODELS = 8  # in an arm, of which two choose a direction, two a threshold, and four count


@dataclass(frozen=True, eq=False)
class Arm:
    """What is seen of the models of one arm, a row a model.

    ``readings`` are ``margins`` on the forget set, all ``weights`` and all ``buffers`` of the released model: these are
    public, by the definition. ``unnoised`` are its weights before the last noise; they are no output of anything, so
    they may say where to look, in models that choose, and are never counted.
    """

    numbers: tuple[int, ...]
    readings: Mapping[Reading, Float[ndarray, "models columns"]]

    def __post_init__(self) -> None:
        for name, values in self.readings.items():
            if values.ndim != 2 or len(values) != len(self.numbers):
                raise MismatchedEnsembles(
                    f"expected {name} of ({len(self.numbers)} models, columns), got {values.shape}"
                )
            if bad := [self.numbers[row] for row in np.flatnonzero(~np.isfinite(values).all(axis=1))]:
                raise BadMargins(f"the {name} of models {bad} are not finite: nothing is measured with them")

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, rows: slice) -> "Arm":
        """The models at these rows."""
        return Arm(self.numbers[rows], {name: values[rows] for name, values in self.readings.items()})

    def read(self, name: Reading) -> Float[ndarray, "models columns"]:
        """One reading in float64."""
        return self.readings[name].astype(np.float64)


@dataclass(frozen=True, eq=False)
class Arms:
    """Both arms, of which the same is seen; they need not have as many models."""

    released: Arm
    reference: Arm

    def __post_init__(self) -> None:
        columns = [{name: values.shape[1] for name, values in arm.readings.items()} for arm in self.both]
        if columns[0] != columns[1]:
            raise MismatchedEnsembles(f"expected the same of both arms, got {columns[0]} and {columns[1]} columns")

    @property
    def both(self) -> tuple[Arm, Arm]:
        return self.released, self.reference

    @property
    def known(self) -> frozenset[Reading]:
        """What is seen."""
        return frozenset(self.released.readings)


@dataclass(frozen=True, eq=False)
class Parts:
    """The models of either arm by what they are for; none is for two things, so nothing chosen is counted on itself."""

    fit: Arms  # find directions
    pick: Arms  # choose a statistic, a threshold and a side
    held_out: Arms  # count


def in_parts(arms: Arms, held_out: float = 0.5) -> Parts:
    """Cut both arms, by the order of their models: a share ``held_out`` counts, halves of the others fit and pick.

    Models are exchangeable, so their order says nothing. Raises TooFewModels below 8 in an arm.
    """
    if not 0 < held_out < 1:
        raise BadSetting(f"expected a share of models to hold out above 0 and below 1, got {held_out}")
    cuts = [_cuts(len(arm), held_out) for arm in arms.both]
    parts = (Arms(*(arm.take(cut[part]) for arm, cut in zip(arms.both, cuts, strict=True))) for part in range(3))
    return Parts(*parts)


def counting(models: int, held_out: float = 0.5) -> int:
    """How many of so many models of an arm :func:`in_parts` lets count.

    >>> counting(200), counting(25)
    (100, 12)
    """
    return len(range(models)[_cuts(models, held_out)[-1]])


def _cuts(models: int, held_out: float) -> Sequence[slice]:
    require_models(models)
    counted = min(max(round(held_out * models), 1), models - 4)
    fitted = (models - counted) // 2
    return slice(0, fitted), slice(fitted, models - counted), slice(models - counted, models)


def require_models(models: int) -> None:
    """Refuse so few models in an arm that they cannot both choose and count."""
    if models < LEAST_MODELS:
        raise TooFewModels(f"expected at least {LEAST_MODELS} models in an arm, got {models}; give more models")
    if models > MANY:
        raise BadSetting(f"expected at most {MANY:,} models in an arm, as a file of certificates holds, got {models:,}")

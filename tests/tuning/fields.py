"""What the tests of tuning share: a small suite's counts, and fine-tuning that does something else."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypedDict

import pytest

from expunge.ensembles import Ensemble
from expunge.methods import METHODS, Method

NAME = "fine-tune"


class Few(TypedDict):
    """How many models a search works with."""

    models: int
    oracles: int


SMALL: Few = {"models": 3, "oracles": 3}
SIX: Few = {"models": 6, "oracles": 6}


def spoiled(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Fine-tuning that does something else; what its authors take is left out."""
    row: Method = METHODS[NAME]
    monkeypatch.setitem(METHODS, NAME, replace(row, **{"published": (), **changes}))


def stepping(*steps: Callable[[Ensemble], None]) -> Callable[..., Iterator[Ensemble]]:
    """A method that changes the weights so, one after the other, and yields after each."""

    def unlearn(ensemble: Ensemble, *_: object) -> Iterator[Ensemble]:
        student = ensemble.copy()
        for step in steps:
            step(student)
            yield student.copy().eval()

    return unlearn


def scaled(factor: float, models: slice = slice(None)) -> Callable[[Ensemble], None]:
    """A step that multiplies the weights of some models."""

    def step(student: Ensemble) -> None:
        for parameter in student.parameters():
            parameter.data[models] *= factor

    return step

"""What audits read: margins, correct first choices and models of a row, of its oracles, and of held-out oracles."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from expunge.audits.shadows import ORACLE, Labour, Shadows, lacking_for_shadows, shadows_of
from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.pretraining import retrain
from expunge.ensembles.stored_margins import EnsembleMargins, read_subsets
from expunge.errors import StoreError
from expunge.methods.method import NoSettings
from expunge.methods.task import Task
from expunge.metrics.row import Reference, Row
from expunge.suites.target import CLASSIFICATION

T = TypeVar("T")
LEAST_SHADOWS = 40  # so that each example is in a few halves, and outside of a few, of either fold
Side = Literal["row", "oracles", "held-out"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """A row, what it is compared with, and what else is known of its models; each thing is made once, when it is asked.

    Its sides are the row's models, the oracles, and as many held-out oracles, which get what a perfect method gets.
    """

    row: Row
    reference: Reference
    labour: Labour = field(default_factory=Labour)
    task: Task | None = None  # how the row was unlearned, for whoever must unlearn other models alike
    _known: dict[tuple[object, Side], Any] = field(default_factory=dict, init=False)

    def side(self, side: Side) -> EnsembleMargins:
        """Margins of the models of a side."""
        sides = {"row": self.row.margins, "oracles": self.reference.oracle, "held-out": self.reference.held_out}
        return sides[side]

    def margins(self, side: Side) -> Float[ndarray, "models forget"]:
        """Margins on the forget set, of float64, clipped to 100 as KLoM's."""
        return self._of(self.side(side).values, "forget")

    def test_margins(self, side: Side) -> Float[ndarray, "models test"]:
        """Margins on the test examples, likewise."""
        return self._of(self.side(side).values, "test")

    def correct(self, side: Side) -> Bool[ndarray, "models forget"]:
        """Whether first choices on the forget set are right."""
        found = self.side(side).correct
        assert found is not None  # asked only where nothing is lacking
        return found[:, self.row.columns["forget"]]

    def models(self, side: Side) -> Ensemble:
        """The models of a side; oracles are trained where no store has their weights."""
        if side == "row" and self.row.weights is not None and self.row.method != "oracle":
            return self.once("models", side, lambda _: self._own())
        numbers = self.side("held-out" if side == "row" else side).origin.models
        return self.once("models", "held-out" if side == "row" else side, lambda _: self._oracles(numbers))

    def shadows(self, side: Side) -> Shadows:
        """Models of random halves, unlearned as the row was or, held out, retrained; as many as it has, 40 at least."""
        assert self.task is not None  # asked only where nothing is lacking
        task = self.task if side == "row" else replace(self.task, name=ORACLE, config=NoSettings())
        models = min(max(len(self.row.margins.values), LEAST_SHADOWS), self.row.suite.subsets)
        return self.once(("shadows", task.name), "row", lambda _: shadows_of(task, models, self.labour))

    def once(self, what: object, side: Side, make: Callable[[Side], T]) -> T:
        """What ``make`` says of a side, which is asked for the first time only."""
        if (what, side) not in self._known:
            self._known[what, side] = make(side)
        found: T = self._known[what, side]
        return found

    @cached_property
    def subsets(self) -> tuple[Float[ndarray, "models examples"], Bool[ndarray, "models train"]]:
        """Margins and masks of the models trained on random halves."""
        return read_subsets(self.row.suite)

    def lacking(self, what: str) -> str:
        """Why an audit cannot have what it reads, in words; "" where it can."""
        return _LACKING[what](self)

    def _of(self, values: ndarray, split: Literal["forget", "test"]) -> ndarray:
        found: ndarray = values[:, self.row.columns[split]].astype(np.float64).clip(-100, 100)
        return found

    def _own(self) -> Ensemble:
        assert self.row.weights is not None
        return self.row.weights()

    def _oracles(self, numbers: tuple[int, ...]) -> Ensemble:
        row, labour = self.row, self.labour
        return retrain(
            row.suite, row.forget, len(numbers), first=numbers[0], workers=labour.workers, watch=labour.watch
        )


def _lacks_correct(evidence: Evidence) -> str:
    sides: tuple[Side, ...] = ("row", "oracles", "held-out")
    known = all(evidence.side(side).correct is not None for side in sides)
    return "" if known else "of some models only margins are known, not which first choices were right"


def _lacks_subsets(evidence: Evidence) -> str:
    suite = evidence.row.suite
    if not suite.subsets:
        return f"suite {suite.name!r} has no models trained on halves; give it subsets"
    if suite.data.target != CLASSIFICATION:
        return "it needs one label an example"
    try:
        evidence.subsets  # noqa: B018
    except StoreError as error:
        return str(error)
    return ""


def _lacks_models(evidence: Evidence) -> str:
    row = evidence.row
    if row.suite.data.target != CLASSIFICATION:
        return "it needs one label an example"
    if row.weights is None and row.method != "oracle":
        return f"{row.method!r} makes no models, only margins"
    if row.suite.published:
        return f"the oracles of suite {row.suite.name!r} were published as margins"
    return ""


def _lacks_shadows(evidence: Evidence) -> str:
    if evidence.row.suite.data.target != CLASSIFICATION:
        return "it needs one label an example"
    if evidence.task is None:
        return "how the models were unlearned is not known, so that no shadow models can be unlearned alike"
    return lacking_for_shadows(evidence.task)


_LACKING: Mapping[str, Callable[[Evidence], str]] = {
    "margins": lambda _: "",
    "correct": _lacks_correct,
    "subsets": _lacks_subsets,
    "models": _lacks_models,
    "shadows": _lacks_shadows,
}

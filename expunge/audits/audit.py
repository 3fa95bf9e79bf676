"""What an audit is: a formula, how its numbers come out of what is known of a row, and how they are to be read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from numpy import ndarray

from expunge.audits.evidence import Evidence
from expunge.records import Score


@dataclass(frozen=True)
class Unscored:
    """A number that cannot be told, and why: it is no record, and is never written as 0."""

    audit: str
    aggregate: str
    reason: str


@dataclass(frozen=True)
class Audited:
    """What an audit found of a row: its records, what it could not tell, and the AUC of every forget example.

    ``p_value`` is that of an AUC of 0.5, two-sided, by models; None where the audit is no attack on membership.
    """

    scores: Sequence[Score]
    unscored: Sequence[Unscored] = ()
    examples: Float[ndarray, " forget"] | None = None
    p_value: float | None = None


@dataclass(frozen=True, kw_only=True)
class Audit:
    """One row of AUDITS; each audit's own file ends with it.

    ``scores(evidence)`` gives what it finds of a row. It is asked only where the evidence has what it ``reads``:
    "margins", "correct" (whether first choices are right), "subsets" (margins of models trained on random halves, with
    their masks), "models" (those of the row, and oracles, which are trained where no store has them), "shadows" (models
    trained on halves, which are trained where no store has them, and unlearned).
    """

    function: Callable[..., Any]  # the formula on arrays; its docstring is what people are shown
    scores: Callable[[Evidence], Audited]
    summary: str  # the question that it asks, in a few words
    aggregates: tuple[str, ...]
    unit: str
    better: str
    oracle: str  # what a perfect method gets
    source: str
    reads: tuple[str, ...] = ("margins",)

    @property
    def trains(self) -> bool:
        """Whether models may have to be trained for it, so that it is done only where it is asked for."""
        return bool({"models", "shadows"} & {*self.reads})

    def lacking(self, evidence: Evidence) -> str:
        """What the evidence lacks, in words; "" where nothing is."""
        return next((line for what in self.reads if (line := evidence.lacking(what))), "")

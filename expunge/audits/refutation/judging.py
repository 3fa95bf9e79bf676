"""Claims against what was measured: REFUTED, NOT REFUTED, or NOT TESTABLE; all claims of a page corrected together.

Each claim has a p-value; Holm's correction over all claims that are judged together holds the chance of any false
REFUTED at 5 %, however they depend on each other. A claim that so many models could not refute if it were as false as
can be is NOT TESTABLE: to say of it that it was not refuted would say nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from expunge.audits.epsilon import LEVEL, cap, p_value
from expunge.audits.refutation.measured import Measured
from expunge.audits.refutation.power import POWER, least_refuted
from expunge.metrics.calibration import holm
from expunge.records import Subject
from expunge.verdicts import Bound

Word = Literal["REFUTED", "NOT REFUTED", "NOT TESTABLE"]
AUDIT = "epsilon"


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A claim and what became of it.

    ``p_value`` is corrected for all ``claims`` that were judged together; ``cap`` is the largest epsilon that any
    counts of so many models could have refuted among them, and ``power`` the least true epsilon that they would have
    refuted in 80 of 100 cases, None where they could refute nothing.
    """

    epsilon: float
    delta: float
    word: Word
    p_value: float
    claims: int
    cap: float
    power: float | None
    reason: str


def judge(claimed: Sequence[float], measured: Sequence[Measured], level: float = LEVEL) -> list[Tried]:
    """The verdict on each claimed epsilon, at the delta of what was measured beside it."""
    pairs = list(zip(claimed, measured, strict=True))
    corrected = holm([p_value(found.counts, epsilon, found.delta) for epsilon, found in pairs])
    return [
        _tried(epsilon, found, float(p), len(pairs), level)
        for (epsilon, found), p in zip(pairs, corrected, strict=True)
    ]


def _tried(epsilon: float, found: Measured, p: float, claims: int, level: float) -> Tried:
    sizes = found.counts.models, found.counts.references
    among = 1 - (1 - level) / claims  # where Holm's correction begins
    highest = cap(*sizes, found.delta, among)
    power = least_refuted(epsilon, found.delta, *sizes, level=among)
    word: Word = "REFUTED" if p <= 1 - level else "NOT TESTABLE" if power is None else "NOT REFUTED"
    return Tried(
        epsilon=epsilon,
        delta=found.delta,
        word=word,
        p_value=p,
        claims=claims,
        cap=highest,
        power=power,
        reason=_reason(word, epsilon, found, highest, power) + _alone(word, epsilon, found, claims),
    )


def _reason(word: Word, epsilon: float, found: Measured, highest: float, power: float | None) -> str:
    counts = found.counts
    seen = (
        f"{found.event} in {counts.hits} of {counts.models} released models and {counts.alarms} of "
        f"{counts.references} of reference: epsilon at least {found.value:.3g}"
    )
    if word == "REFUTED":
        return f"{seen}, and {epsilon:.3g} was claimed"
    if power is None:
        return f"so many models refute no epsilon above {highest:.3g}, and {epsilon:.3g} was claimed; give more models"
    return f"{seen}; refuted would be, in {POWER:.0%} of cases, a true epsilon from {power:.3g} on"


def _alone(word: Word, epsilon: float, found: Measured, claims: int) -> str:
    """What is to be said where a claim stands only for the company that it is in."""
    if word == "REFUTED" or found.value <= epsilon:
        return ""
    return f"; alone the claim of {epsilon:.3g} would be refuted, among {claims} claims chance may have done it"


def as_bound(subject: Subject, found: Measured) -> Bound:
    """What was measured as the lower side of epsilon."""
    counts = found.counts
    return Bound(
        audit=AUDIT,
        subject=subject,
        quantity="epsilon",
        side="lower",
        value=found.value,
        level=found.level,
        reasons=() if found.value else ("the event that was counted does not tell the arms apart",),
        facts={
            **{"delta": found.delta, "cap": found.cap, "event": found.event, "held_out": found.held_out},
            **{"hits": counts.hits, "models": counts.models, "alarms": counts.alarms, "references": counts.references},
            "statistics": found.statistics,
        },
    )

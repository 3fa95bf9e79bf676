"""Claims against evidence: REFUTED, NOT REFUTED, or NOT TESTABLE; all claims of a page corrected together.

Each claim has a p-value; Holm's correction over all claims that are judged together holds the chance of any false
REFUTED at 5 %, however they depend on each other. A claim that so many models could not refute if it were as false as
can be is NOT TESTABLE: to say of it that it was not refuted would say nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from expunge.audits.epsilon import LEVEL
from expunge.audits.refutation.evidence import Evidence
from expunge.audits.refutation.power import POWER
from expunge.metrics.calibration import holm

Word = Literal["REFUTED", "NOT REFUTED", "NOT TESTABLE"]


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A claim and what became of it: ``value`` is epsilon at least, as far as its own evidence goes.

    ``p_value`` is corrected for all ``claims`` that were judged together; ``cap`` is the largest epsilon that any
    counts could have refuted among them, and ``power`` the least true epsilon that they would have refuted in 80 of 100
    cases, None where they could refute nothing.
    """

    epsilon: float
    delta: float
    value: float
    word: Word
    p_value: float
    claims: int
    cap: float
    power: float | None
    reason: str


def judge(claimed: Sequence[float], evidence: Sequence[Evidence], level: float = LEVEL) -> list[Tried]:
    """The verdict on each claimed epsilon, at the delta of the evidence beside it.

    One claim may stand there several times, beside models and beside draws of noise: each is a test that can err.
    """
    pairs = list(zip(claimed, evidence, strict=True))
    corrected = holm([each.p_value(epsilon) for epsilon, each in pairs])
    among = 1 - (1 - level) / max(len(pairs), 1)  # where Holm's correction begins
    return [
        _tried(epsilon, each, float(p), len(pairs), (level, among))
        for (epsilon, each), p in zip(pairs, corrected, strict=True)
    ]


def tests_in_words(words: Sequence[Word]) -> str:
    """How many tests of claims could have refuted theirs, and how many could not, which leaves these open.

    >>> tests_in_words(["NOT REFUTED", "NOT TESTABLE", "NOT REFUTED"])
    'tests of claims: 2 of 3 could have refuted theirs, 0 did; 1 could not (NOT TESTABLE), which is inconclusive'
    """
    idle = words.count("NOT TESTABLE")
    told = (
        f"tests of claims: {len(words) - idle} of {len(words)} could have refuted theirs, {words.count('REFUTED')} did"
    )
    return f"{told}; {idle} could not (NOT TESTABLE), which is inconclusive" if idle else told


def _tried(epsilon: float, evidence: Evidence, p: float, claims: int, levels: tuple[float, float]) -> Tried:
    level, among = levels
    cap, power = evidence.cap(among), evidence.power(epsilon, among)
    word: Word = "REFUTED" if p <= 1 - level else "NOT TESTABLE" if power is None else "NOT REFUTED"
    return Tried(
        epsilon=epsilon,
        delta=evidence.delta,
        value=evidence.value,
        word=word,
        p_value=p,
        claims=claims,
        cap=cap,
        power=power,
        reason=_reason(word, epsilon, evidence, cap, power) + _alone(word, epsilon, evidence, claims),
    )


def _reason(word: Word, epsilon: float, evidence: Evidence, cap: float, power: float | None) -> str:
    seen = f"{evidence.seen()}: epsilon at least {evidence.value:.3g}"
    if word == "REFUTED":
        return f"{seen}, and {epsilon:.3g} was claimed"
    if power is None:
        few = f"so many refute no epsilon above {cap:.3g}, and {epsilon:.3g} was claimed; give more models"
        return f"{evidence.seen()}; {few}"
    return f"{seen}; refuted would be, in {POWER:.0%} of cases, a true epsilon from {power:.3g} on"


def _alone(word: Word, epsilon: float, evidence: Evidence, claims: int) -> str:
    """What is to be said where a claim stands only for the company that it is in."""
    if word == "REFUTED" or evidence.value <= epsilon:
        return ""
    return f"; alone the claim of {epsilon:.3g} would be refuted, among {claims} claims chance may have done it"

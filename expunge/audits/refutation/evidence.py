"""What speaks against a claim: a lower bound on epsilon, and what such a one could have been."""

from typing import Protocol, runtime_checkable

from expunge.records import Setting, Subject
from expunge.verdicts import Bound

AUDIT = "epsilon"


@runtime_checkable
class Evidence(Protocol):
    """What was counted, in models or in draws of noise, against which claims are judged."""

    @property
    def value(self) -> float:
        """Epsilon at least, with confidence ``level``; 0 refutes nothing."""

    @property
    def delta(self) -> float: ...

    @property
    def level(self) -> float: ...

    def p_value(self, epsilon: float) -> float:
        """Of the claim (``epsilon``, ``delta``)."""

    def cap(self, level: float) -> float:
        """The largest bound that such counts can give."""

    def power(self, epsilon: float, level: float) -> float | None:
        """The least true epsilon at which the claim falls in 80 of 100 cases; None where it cannot fall."""

    def seen(self) -> str:
        """What was counted, in words."""

    def facts(self) -> dict[str, Setting]:
        """What it rests on."""


def as_bound(subject: Subject, evidence: Evidence) -> Bound:
    """The lower side of epsilon, as a record."""
    return Bound(
        audit=AUDIT,
        subject=subject,
        quantity="epsilon",
        side="lower",
        value=evidence.value,
        level=evidence.level,
        reasons=(evidence.seen(),),
        facts={"delta": evidence.delta, "cap": evidence.cap(evidence.level), **evidence.facts()},
    )

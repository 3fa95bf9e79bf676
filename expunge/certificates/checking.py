"""Certificates computed again from their constants: what does not follow is said."""

import math
from collections.abc import Iterator

from expunge.certificates.certificate import Certificate, judge
from expunge.certificates.theorems.theorem import Theorem
from expunge.errors import ExpungeError

NEAR = 1e-6  # parts by which an epsilon, or a sigma, may differ between two machines that search for it
SAME = 1e-9  # parts by which what is computed straight away may


def check(certificate: Certificate) -> tuple[str, ...]:
    """What in a certificate does not follow from its constants; empty where all does.

    Nothing is known here of the models: whether a constant is true, nobody can tell from a certificate.
    """
    try:
        theorem = certificate.theorem
        theorem.values(certificate.claim.constants)
    except ExpungeError as error:
        return (str(error),)
    try:
        return tuple(_faults(theorem, certificate))
    except ExpungeError as error:
        return (str(error),)


def _faults(theorem: Theorem, certificate: Certificate) -> Iterator[str]:
    claim, constants = certificate.claim, certificate.claim.constants
    told = {"formula": certificate.formula, "shift": claim.shift}
    for name, computed in {"formula": theorem.formula(constants), "shift": theorem.shift(constants)}.items():
        if not _same(told[name], computed, SAME):
            yield f"{name}: {_in_words(told[name])} is told, {_in_words(computed)} follows from the constants"
    if tuple(certificate.conditions) != theorem.conditions:
        yield f"conditions: {theorem.name} stands on {', '.join(theorem.conditions)}"
        return
    if certificate.epsilon is not None and (fault := _fault_of_epsilon(theorem, certificate)):
        yield fault
        return
    verdict, reasons = judge(theorem, claim, certificate.conditions)
    if verdict != certificate.verdict:
        yield f"verdict: {certificate.verdict} is told, {verdict} follows: {'; '.join(reasons)}"
    elif reasons != certificate.reasons:
        yield f"reasons: {'; '.join(certificate.reasons)} is told, {'; '.join(reasons)} follows"


def _fault_of_epsilon(theorem: Theorem, certificate: Certificate) -> str:
    """Neither does the noise buy the epsilon, nor does the epsilon ask for the noise."""
    claim = certificate.claim
    buys = theorem.epsilon(claim.constants, claim.sigma, claim.delta)
    if _same(claim.epsilon, buys, NEAR):
        return ""
    asked = theorem.sigma(claim.constants, claim.epsilon, claim.delta) if buys < claim.epsilon else None
    if _same(claim.sigma, asked, NEAR):
        return ""  # where no noise at all is enough, or a constant, not the noise, holds epsilon up
    told = f"epsilon: {claim.epsilon:g} is told, sigma {claim.sigma:g} buys {buys:g} at delta {claim.delta:g}"
    return told if math.isfinite(buys) else f"epsilon: {claim.epsilon:g} is told, sigma {claim.sigma:g} buys none"


def _same(told: float | None, computed: float | None, parts: float) -> bool:
    if told is None or computed is None:
        return told is computed
    return math.isclose(told, computed, rel_tol=parts)


def _in_words(number: float | None) -> str:
    return "none" if number is None else f"{number:.6g}"

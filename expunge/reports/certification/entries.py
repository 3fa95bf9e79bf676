"""The numbers of a page of certified methods, one entry for each method on a suite: all that the page is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from expunge.audits.certification import Certification, tried_together
from expunge.audits.refutation.judging import Tried
from expunge.certificates.theorems.theorem import THEOREMS
from expunge.reports.studies.entries import as_list

BEFORE, UNNOISED, AFTER, RETRAINED = "trained on all", "unlearned, without noise", "unlearned", "retrained"
STAGES = (BEFORE, UNNOISED, AFTER, RETRAINED)


@dataclass(frozen=True)
class Missing:
    """A method that was not tried on a suite: it does not apply, or it failed; and why, in a line."""

    suite: str
    forget_set: str
    method: str
    word: Literal["does not apply", "failed"]
    reason: str


def entries_of(page: Sequence[Certification | Missing]) -> list[dict[str, Any]]:
    """One entry for each; verdicts are those of all claims of the page together."""
    found = [each for each in page if isinstance(each, Certification)]
    tried = dict(zip(map(id, found), tried_together(found), strict=True))
    return [_entry(each, tried[id(each)]) if isinstance(each, Certification) else _missing(each) for each in page]


def _missing(left: Missing) -> dict[str, Any]:
    return {
        "suite": left.suite,
        "forget set": left.forget_set,
        "method": left.method,
        "missing": left.word,
        "reasons": [left.reason],
    }


def _entry(found: Certification, tried: Mapping[str, Tried]) -> dict[str, Any]:
    certificate, claim = found.certificate, found.certificate.claim
    theorem, subject = THEOREMS[claim.theorem], found.subject
    spread = theorem.spread(claim.constants, claim.sigma)
    return {
        "suite": subject.suite,
        "suite digest": subject.suite_digest,
        "forget set": subject.forget_set,
        "forget digest": subject.forget_digest,
        "method": subject.method,
        "config": dict(subject.config),
        "models": len(found.certificates),
        "theorem": claim.theorem,
        "source": theorem.source,
        "verdict": certificate.verdict,
        "reasons": list(certificate.reasons),
        "asked": found.asked,
        "epsilon": certificate.epsilon,
        "delta": claim.delta,
        "sigma": claim.sigma,
        "noise": None if spread is None or not claim.norm else spread * claim.parameters**0.5 / claim.norm,
        "tried": {name: _told(each) for name, each in tried.items()},
        "checks": dict(found.checks),
        "planted": [{"fault": each.fault, "check": each.check, "outcome": each.outcome} for each in found.planted],
        "constants": {
            name: {"value": each.value, "standing": each.standing, "why": each.why}
            for name, each in claim.constants.items()
        },
        "conditions": {name: {"stands": each.stands, "why": each.why} for name, each in certificate.conditions.items()},
        "utility": {
            f"{each.stage}/{each.split}": {
                "accuracy": as_list(each.accuracy),
                "distance": each.distance,
                "KLoM": each.klom,
            }
            for each in found.utility
            if each.stage in STAGES
        },
        "guessing": found.guessing
        and {"models": as_list(found.guessing.models), "guess": as_list(found.guessing.guess)},
        "cost": found.cost,
        "seconds": found.seconds,
        "notes": list(found.notes),
    }


def _told(tried: Tried) -> dict[str, Any]:
    return {
        "epsilon at least": tried.value,
        "word": tried.word,
        "p": tried.p_value,
        "cap": tried.cap,
        "power": tried.power,
        "claims": tried.claims,
    }

"""A certificate: a claim, what it stands on, and the word that says what it is worth."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from expunge.certificates.theorems.theorem import CONDITIONS, THEOREMS, Claim, Theorem
from expunge.errors import BadSetting, EpsilonTooLarge, FailureTooLikely, lookup
from expunge.records import Setting, Subject
from expunge.verdicts import Assumption, Bound, Standing

Word = Literal["CERTIFIED", "VACUOUS", "NOT CERTIFIED"]
Stands = Literal["false", "assumed", "held"]
AUDIT = "certificate"
_ROUNDING = 1e-6  # parts by which a norm in single precision may be beyond the radius that it was projected on
DROWNED = 10.0  # times the length of the weights, from which on noise is said to drown them


@dataclass(frozen=True)
class Condition:
    """Something that a theorem stands on: known to be false, assumed, or held by what the method does; and why."""

    stands: Stands
    why: str


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What is certified of one model; ``verdict`` is the word, ``reasons`` say why, the weightiest first.

    ``formula`` is the distance of weights that the theorem bounds, before the diameter of the ball is looked at; None
    where it bounds none. Of what is NOT CERTIFIED the claim's epsilon is infinite.
    """

    subject: Subject
    model: int
    claim: Claim
    formula: float | None
    conditions: Mapping[str, Condition]
    verdict: Word
    reasons: tuple[str, ...]

    @property
    def theorem(self) -> Theorem:
        """The row that the claim is by."""
        return lookup("theorem", self.claim.theorem, THEOREMS)

    @property
    def epsilon(self) -> float | None:
        """What is certified, at the claim's delta; None where nothing is."""
        return None if self.verdict == "NOT CERTIFIED" else self.claim.epsilon

    def bound(self) -> Bound:
        """The same as an upper bound on epsilon, with every constant and condition and its standing."""
        claim = self.claim
        constants = [
            Assumption(name=name, value=each.value, standing=each.standing, source=each.why)
            for name, each in claim.constants.items()
        ]
        standing: dict[Stands, Standing] = {"false": "assumed", "assumed": "assumed", "held": "proven"}
        conditions = [
            Assumption(name=name, value=None, standing=standing[each.stands], source=each.why)
            for name, each in self.conditions.items()
        ]
        facts: dict[str, Setting] = {
            **{"theorem": claim.theorem, "verdict": self.verdict, "model": self.model, "request": claim.request},
            **{"delta": claim.delta, "sigma": claim.sigma},
            **({} if claim.shift is None else {"shift": claim.shift}),
            **({} if self.formula is None else {"formula": self.formula}),
        }
        return Bound(
            audit=AUDIT,
            subject=self.subject,
            quantity="epsilon",
            side="upper",
            value=self.epsilon,
            level=None,
            assumptions=(*constants, *conditions),
            reasons=self.reasons,
            facts=facts,
        )


def issue(
    subject: Subject,
    model: int,
    claim: Claim,
    *,
    false: Mapping[str, str],
    held: Mapping[str, str],
) -> Certificate:
    """The certificate of a claim on model ``model``.

    ``false`` says which conditions are known to be false, ``held`` which the method itself sees to, and why; what the
    theorem does not stand on is left aside, and what is in neither is assumed.
    """
    theorem = lookup("theorem", claim.theorem, THEOREMS)
    if unknown := (set(false) | set(held)) - set(CONDITIONS):
        raise BadSetting(f"{', '.join(sorted(unknown))}: no condition of theorems; they are {', '.join(CONDITIONS)}")
    conditions = {name: _condition(name, false, held) for name in theorem.conditions}
    verdict, reasons = judge(theorem, claim, conditions)
    return Certificate(
        subject=subject,
        model=model,
        claim=replace(claim, epsilon=math.inf) if verdict == "NOT CERTIFIED" else claim,
        formula=theorem.formula(claim.constants),
        conditions=conditions,
        verdict=verdict,
        reasons=reasons,
    )


def judge(theorem: Theorem, claim: Claim, conditions: Mapping[str, Condition]) -> tuple[Word, tuple[str, ...]]:
    """The word for a claim, and why."""
    against = [f"{name} is false: {each.why}" for name, each in conditions.items() if each.stands == "false"]
    diameter = theorem.diameter(claim.constants)
    if diameter is not None and claim.norm > diameter / 2 * (1 + _ROUNDING):
        against.append(
            f"the weights lie outside of the ball: their norm is {claim.norm:g}, its radius {diameter / 2:g}"
        )
    if theorem.unsound:
        against.append(f"the theorem is unsound: {theorem.unsound}")
    try:
        buys = theorem.epsilon(claim.constants, claim.sigma, claim.delta)
    except (FailureTooLikely, EpsilonTooLarge) as error:
        against.append(str(error))
    else:
        if math.isinf(buys):
            against.append(f"noise of sigma {claim.sigma:g} buys no epsilon")
    if against:
        return "NOT CERTIFIED", tuple(against)
    if empty := tuple(_empty(theorem, claim)):
        return "VACUOUS", empty
    return "CERTIFIED", (f"as far as what it stands on is true; {_unproven(claim, conditions)}",)


def _unproven(claim: Claim, conditions: Mapping[str, Condition]) -> str:
    """What nobody has shown of what a claim stands on, by name: constants and conditions."""
    parts = []
    for standing in ("assumed", "estimated"):
        names = [name for name, each in claim.constants.items() if each.standing == standing]
        parts += [f"constants {standing}: {', '.join(names)}"] if names else []
    parts = parts or ["all constants are proven"]
    assumed = [name for name, each in conditions.items() if each.stands == "assumed"]
    parts.append(
        f"conditions assumed, not proven: {', '.join(assumed)}" if assumed else "the method sees to all conditions"
    )
    return "; ".join(parts)


def _condition(name: str, false: Mapping[str, str], held: Mapping[str, str]) -> Condition:
    if name in false:
        return Condition("false", false[name])
    return Condition("held", held[name]) if name in held else Condition("assumed", CONDITIONS[name])


def _empty(theorem: Theorem, claim: Claim) -> list[str]:
    """Why a certificate that holds says nothing of unlearning."""
    found = []
    diameter, spread = theorem.diameter(claim.constants), theorem.spread(claim.constants, claim.sigma)
    if diameter is not None and claim.shift is not None and claim.shift >= diameter:
        found.append(
            f"the bound is no better than the diameter: Delta {claim.shift:.4g}, 2C {diameter:.4g}; any two models on "
            "the ball are as near, whatever was unlearned"
        )
    if spread is not None:
        length = spread * math.sqrt(claim.parameters)
        if length >= DROWNED * claim.norm and length > 0:
            times = f"{length / claim.norm:.3g} times" if claim.norm else "infinitely many times"
            found.append(
                f"the noise drowns the weights: its length, sigma sqrt(d) = {length:.4g}, is {times} theirs, "
                f"{claim.norm:.4g}; from {DROWNED:g} times on nothing of them is left"
            )
    return found

"""THEOREMS: what certified methods may claim, by name, and how a claim is made of one, in both directions."""

from collections.abc import Mapping

from expunge.certificates.theorems import clipping, descent, groups, langevin, newton, removal, rewind
from expunge.certificates.theorems.statement import CONDITIONS, Claim, Constant, Theorem
from expunge.errors import lookup

__all__ = ["CONDITIONS", "THEOREMS", "Claim", "Constant", "Theorem", "claim_for"]

THEOREMS: dict[str, Theorem] = {
    row.name: row
    for row in (
        newton.EXACT,
        newton.SAMPLED,
        removal.REMOVAL,
        descent.DESCENT,
        descent.HIDDEN_STATE,
        langevin.LANGEVIN,
        rewind.REWIND,
        clipping.GRADIENT,
        clipping.OFFICIAL,
        clipping.MODEL,
        clipping.OUTPUT,
        groups.GROUP,
    )
}


def claim_for(
    theorem: str,
    constants: Mapping[str, Constant],
    epsilon: float,
    delta: float,
    *,
    parameters: int,
    norm: float,
    request: int = 1,
    notes: tuple[str, ...] = (),
) -> Claim:
    """The claim of (epsilon, delta), with the noise that it asks for."""
    row = lookup("theorem", theorem, THEOREMS)
    return Claim(
        theorem=theorem,
        constants=dict(constants),
        epsilon=epsilon,
        delta=delta,
        sigma=row.sigma(constants, epsilon, delta),
        shift=row.shift(constants),
        parameters=parameters,
        norm=norm,
        request=request,
        notes=notes,
    )

"""Of the claims on the models of one arm, that which asks most of its noise, and what its theorem knows."""

import numpy as np

from expunge.audits.refutation.trial import Made
from expunge.certificates.theorems.theorem import THEOREMS, Claim


def hardest(made: Made) -> Claim:
    """The claim that asks most of its noise."""
    return max(made.claims, key=lambda claim: (claim.shift or 0.0) / claim.sigma if claim.sigma else 0.0)


def hides_a_shift(made: Made) -> bool:
    """Whether the last noise is what hides the shift of the claim, so that draws of it say something."""
    claim = hardest(made)
    return bool(claim.shift and claim.sigma and np.array_equal(made.noise, [each.sigma for each in made.claims]))


def radius_of(claim: Claim) -> float | None:
    """Of the ball that all weights are on, where the theorem knows one."""
    diameter = THEOREMS[claim.theorem].diameter(claim.constants)
    return None if diameter is None else diameter / 2

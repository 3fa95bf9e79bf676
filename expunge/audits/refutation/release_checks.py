"""What can be looked up of a release itself, beside what is counted of its models."""

from collections.abc import Mapping

import numpy as np

from expunge.audits.refutation.arms import Arms, in_parts
from expunge.audits.refutation.checks import beyond_shift, kept_in_buffers, lacking_noise, outside_ball
from expunge.audits.refutation.hardest_claim import hardest, radius_of
from expunge.audits.refutation.trial import Made, Side


def checks_of(made: Mapping[Side, Made], arms: Arms) -> dict[str, str]:
    """A line of fault for each check, "" where it passes; what a method does not have is not looked at."""
    one, claim, found = made["released"], hardest(made["released"]), dict[str, str]()
    radius = radius_of(claim)
    if one.weights.shape[1]:
        parts = in_parts(arms)
        if claim.shift is not None:
            shift = max(each.shift or 0.0 for each in one.claims)
            weights = [tuple(arm.read("unnoised") for arm in part.both) for part in (parts.fit, parts.held_out)]
            found["shift"] = beyond_shift(weights[0], weights[1], shift)  # type: ignore[arg-type]
        if radius is not None:
            norms = np.concatenate([np.linalg.norm(arm.read("unnoised"), axis=1) for arm in arms.both])
            found["norms"] = outside_ball(norms, radius, [number for arm in arms.both for number in arm.numbers])
        if one.noise.all():
            found["noise"] = lacking_noise(one.noise_by_tensor(), one.noise)
    if one.buffers:
        found["buffers"] = kept_in_buffers(one.buffers, made["reference"].buffers)
    return found

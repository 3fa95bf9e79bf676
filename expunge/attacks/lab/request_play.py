"""Attacks that make requests: what they ask for is served beside the controls, and every arm is measured alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from expunge.attacks.lab.arms import ATTACK, HONEST, NO_REQUEST, ORACLE, UNPERTURBED, Arm, Played, completed
from expunge.attacks.lab.provider import Provider, Served, unperturbed
from expunge.attacks.practice import USUAL
from expunge.ensembles.ensemble import Ensemble
from expunge.errors import MethodFailed
from expunge.suites.request import Request


@dataclass(frozen=True, eq=False)
class Measured:
    """What a measure finds of victims after an arm: success and utility of each, and further numbers by name."""

    success: Float[ndarray, " victims"]
    utility: Float[ndarray, " victims"]
    more: Mapping[str, Float[ndarray, " victims"]] = field(default_factory=dict)


Measure = Callable[[Ensemble, Ensemble], Measured]  # of the victims before and after an arm


def play_requests(
    provider: Provider,
    attack: Sequence[Request],
    honest: Sequence[Request],
    measure: Measure,
    effort: Float[ndarray, " victims"],
) -> Played:
    """Serve what the attacker asks of each victim, and the controls; measure all by one measure.

    Args:
        provider: who serves.
        attack: a request for each victim.
        honest: as many records of the same owner, for each victim.
        measure: what success and utility are, of the victims before and after.
        effort: the attacker's own seconds.
    """
    plain = [unperturbed(provider.suite, request) for request in attack]
    if provider.practice is USUAL:
        provider.prepare(attack, honest)  # for plain as for attack, which claim the same records
    ways: dict[str, Callable[[], Served]] = {
        ATTACK: lambda: provider.serve(attack),
        NO_REQUEST: provider.untouched,
        HONEST: lambda: provider.serve(honest),
        ORACLE: lambda: provider.retrained(attack),
    }
    if not all(map(same, attack, plain)):
        ways[UNPERTURBED] = lambda: provider.serve(plain)
    arms = {name: arm(provider.victims, way, measure) for name, way in ways.items() if provider.plays(name)}
    return Played(completed({UNPERTURBED: arms[ATTACK], **arms}), attack, effort)  # what nobody changed is served once


def arm(before: Ensemble, way: Callable[[], Served], measure: Measure) -> Arm:
    """What becomes of the victims by one way of serving; where it fails, the reason."""
    try:
        served = way()
        found = measure(before, served.ensemble)  # which may find that models say nothing finite
    except MethodFailed as error:
        return Arm(reason=str(error))
    return Arm(found.success, found.utility, served.cost, served.seconds, found.more)


def same(one: Request, other: Request) -> bool:
    """Whether two requests are for the same records, byte by byte, to be removed or corrected to the same."""
    pairs = [(one.examples, other.examples)]
    if (one.instead is None) != (other.instead is None) or not np.array_equal(one.indices, other.indices):
        return False
    if one.instead is not None and other.instead is not None:
        pairs.append((one.instead, other.instead))
    return all(torch.equal(mine.x, theirs.x) and torch.equal(mine.y, theirs.y) for mine, theirs in pairs)

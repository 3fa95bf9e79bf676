"""The arms of an attack's experiment: the attack itself and four controls, measured on the same victims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from expunge.errors import BadSetting
from expunge.suites.request import Request

ATTACK = "attack"
NO_REQUEST = "no request"
HONEST = "honest request"
UNPERTURBED = "unperturbed"
ORACLE = "oracle"  # exact removal
CONTROLS = (NO_REQUEST, HONEST, UNPERTURBED, ORACLE)
ARMS = (ATTACK, *CONTROLS)
UNDER_DEFENCE = (ATTACK, NO_REQUEST, HONEST)  # what is played again where a defence changes what a provider does
ITSELF = "the attack itself, for nobody changes bytes"  # what a control is that an attack does not need
USUAL = {  # what controls are, in the words of tables, where an attack's row says nothing else
    NO_REQUEST: "the victims as they are",
    HONEST: "as many records of the same owner, drawn at random, as they lie in the training data",
    UNPERTURBED: "the records that the attack asks for, as they lie in the training data",
    ORACLE: "retrained without the records that the attack asks for",
}


@dataclass(frozen=True, eq=False)
class Arm:
    """What one arm came to, victim by victim.

    ``success`` is in the unit of the attack's row, ``utility`` the test accuracy, 0 to 1, on examples that are no
    target; ``cost`` what the provider did, as a share of one retraining, in ``seconds``. ``more`` are further numbers,
    by their names. An arm of which a method failed has a ``reason`` and no numbers.
    """

    success: Float[ndarray, " victims"] | None = None
    utility: Float[ndarray, " victims"] | None = None
    cost: Float[ndarray, " victims"] | None = None
    seconds: Float[ndarray, " victims"] | None = None
    more: Mapping[str, Float[ndarray, " victims"]] = field(default_factory=dict)
    reason: str = ""

    @property
    def arrays(self) -> dict[str, ndarray]:
        """All numbers, by their names; none of an arm that failed."""
        own = {"success": self.success, "utility": self.utility, "cost": self.cost, "seconds": self.seconds}
        found = {name: np.asarray(each, np.float64) for name, each in own.items() if each is not None}
        return found | {f"more {name}": np.asarray(each, np.float64) for name, each in self.more.items()}


def arm_of(arrays: Mapping[str, ndarray]) -> Arm:
    """The arm of which :attr:`Arm.arrays` are."""
    more = {name.removeprefix("more "): each for name, each in arrays.items() if name.startswith("more ")}
    own = {name: arrays.get(name) for name in ("success", "utility", "cost", "seconds")}
    return Arm(own["success"], own["utility"], own["cost"], own["seconds"], more)


@dataclass(frozen=True, eq=False)
class Played:
    """An attack that was played, with its controls, against the victims of one provider.

    ``requests`` has what the attacker asked each victim's provider for: what defences look at. Where it asks in several
    rounds, they are all its requests as one, and ``turns`` are the numbers of the rounds in which each record was asked
    for. ``effort`` are the attacker's own seconds for each victim.
    """

    arms: Mapping[str, Arm]
    requests: Sequence[Request]
    effort: Float[ndarray, " victims"]
    turns: Int[ndarray, "victims requested"] | None = None

    def __post_init__(self) -> None:
        if set(self.arms) != set(ARMS):
            raise BadSetting(f"expected the arms {', '.join(ARMS)}, got {', '.join(self.arms)}")


def completed(arms: Mapping[str, Arm]) -> dict[str, Arm]:
    """All arms; those that were not played say so."""
    left_out = Arm(reason="not played: under a defence the attack is, an honest request and none")
    return {name: arms.get(name, left_out) for name in ARMS}


def failed(requests: Sequence[Request], reason: str) -> Played:
    """What came to nothing before any arm, for one reason."""
    return Played({name: Arm(reason=reason) for name in ARMS}, requests, np.zeros(len(requests)))


def joined(parts: Sequence[Played]) -> Played:
    """What was played against some victims, then others, as one; an arm that failed on any has failed."""
    arms = {}
    for name in ARMS:
        own = [part.arms[name] for part in parts]
        failed = next((each.reason for each in own if each.reason), "")
        names = own[0].arrays
        arms[name] = (
            Arm(reason=failed)
            if failed
            else arm_of({key: np.concatenate([each.arrays[key] for each in own]) for key in names})
        )
    requests = [request for part in parts for request in part.requests]
    rounds = [part.turns for part in parts if part.turns is not None]
    turns = np.concatenate(rounds) if rounds else None
    return Played(arms, requests, np.concatenate([part.effort for part in parts]), turns)

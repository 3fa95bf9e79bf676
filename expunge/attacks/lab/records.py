"""What an attack that was played leaves as records: success, utility and cost of each arm, beside each control."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from expunge.attacks.attack import Attack, Place, Success
from expunge.attacks.defences import DEFENCES
from expunge.attacks.evidence import AUROC, TPR
from expunge.attacks.lab.arms import ARMS, ATTACK, CONTROLS, NO_REQUEST, ORACLE, Arm, Played
from expunge.attacks.lab.defended import Defended
from expunge.metrics.calibration import Estimate
from expunge.metrics.over_models import (
    difference_of_shares,
    difference_of_yes_and_no,
    gap,
    mean_over_models,
    share_of_models,
)
from expunge.records import Score
from expunge.suites.request import Request

SUCCESS, EXCESS = "attack-success", "attack-excess"
UTILITY, LOST = "utility", "utility-lost"
EFFORT = "attacker-seconds"
CAUGHT, ALARMS, LEFT, LEFT_UTILITY = "caught", "false-alarms", "defended-success", "defended-utility"
LEFT_EXCESS, TAKEN = "defended-excess", "success-taken"
LEFT_COST, APPLIES = "defended-cost", "applies"
BRIER, USUAL_BRIER = "told-brier", "usual-brier"
DEFENCE = "attack.defence"


@dataclass(frozen=True, eq=False)
class Asked:
    """The requests of all victims under one name; their digest is that of all that they claim, victim after victim."""

    requests: Sequence[Request]

    @property
    def name(self) -> str:
        return f"requests-of-{len(self.requests[0])}"

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the claimed indices as little-endian int64, which proves what was asked for."""
        return hashlib.sha256(
            np.concatenate([each.indices for each in self.requests]).astype("<i8").tobytes()
        ).hexdigest()


def scores_of(row: Attack, label: str, played: Played, place: Place, note: str = "") -> list[Score]:
    """All records of an attack on the victims of one method.

    ``attack-success`` and ``utility`` of each arm; ``attack-excess`` of the attack over each control and
    ``utility-lost`` of each arm against no request: paired over the same victims, but for the oracle, whose models are
    others; the attacker's own seconds. A ``note`` on its success stands as the reason of the excess that is judged.
    """
    assert row.success is not None  # of attacks of the lab
    write = _Writer(row.module, label, played, place)
    found = []
    for name in ARMS:
        found += [write.mean(name, SUCCESS, "success", row.success), write.mean(name, UTILITY, "utility", _ACCURACY)]
    for name in CONTROLS:
        told = note if name == row.success.against else ""
        found.append(write.difference(ATTACK, name, EXCESS, f"over {name}", "success", row.success, told))
    for name in ARMS:
        if name != NO_REQUEST:
            found.append(write.difference(NO_REQUEST, name, LOST, name, "utility", _ACCURACY))
    for each in sorted({key for arm in played.arms.values() for key in arm.more}):
        found += [write.mean(name, each, f"more {each}", _ANY) for name in ARMS if each in played.arms[name].more]
    spent = mean_over_models(played.effort, (0.0, np.inf))
    return [*found, place.score(label, "test", EFFORT, "mean", spent, module=row.module)]


def defence_scores(row: Attack, label: str, name: str, found: Defended, place: Place, attack: Arm) -> list[Score]:
    """Records of a defence against an attack: whom it tells apart, whom it suspects wrongly, what is left.

    ``auroc`` and ``tpr-at-1-fpr`` of requests; ``caught``, the share of the attackers' requests, of their records where
    it filters, and ``false-alarms`` among honest ones: of a defence that looks. ``defended-success``,
    ``defended-utility``, ``defended-cost``; ``defended-excess`` over the arm that the attack is compared with;
    ``success-taken`` from the ``attack`` on the same victims where nobody defends them. Where less is told,
    ``told-brier`` beside ``usual-brier``. Of one that does not apply ``applies``, 0, and why.
    """
    write = partial(
        place.score,
        label,
        "test",
        module=DEFENCES[name].module,
        facts={DEFENCE: name},
        seconds=found.seconds,
        reason=found.reason,
    )
    if not found.applies:
        return [write(APPLIES, name, Estimate(0.0, 0.0, 0.0))]
    if found.reason:
        return [write(metric, name, None) for metric in (LEFT, LEFT_UTILITY)]
    numbers = {**_of_looking(found), **_of_what_is_left(row, found, attack)}
    return [write(metric, name, each) for metric, each in numbers.items() if each is not None]


def _of_looking(found: Defended) -> dict[str, Estimate | None]:
    """Of a defence that suspects requests."""
    return {
        AUROC: found.detected.auroc if found.detected else None,
        TPR: found.detected.tpr if found.detected else None,
        CAUGHT: None if found.caught is None else mean_of(found.caught, _ACCURACY),
        ALARMS: None if found.alarms is None else _share_of_honest(found.alarms),
    }


def _of_what_is_left(row: Attack, found: Defended, attack: Arm) -> dict[str, Estimate | None]:
    """Of any defence."""
    assert row.success is not None  # of attacks of the lab
    excess = taken = None
    if found.success is not None and attack.success is not None:
        taken = difference_of(attack.success, found.success, row.success, paired=True)
    if found.success is not None and found.control is not None:
        excess = difference_of(found.success, found.control, row.success, paired=row.success.against != ORACLE)
    plain = {LEFT_COST: (found.cost, np.inf), BRIER: (found.brier, 2.0), USUAL_BRIER: (found.usual_brier, 2.0)}
    return {
        LEFT: None if found.success is None else mean_of(found.success, row.success),
        LEFT_UTILITY: None if found.utility is None else mean_of(found.utility, _ACCURACY),
        LEFT_EXCESS: excess,
        TAKEN: taken,
        **{
            name: None if values is None else mean_over_models(values, (0.0, most))
            for name, (values, most) in plain.items()
        },
    }


def _share_of_honest(alarms: Float[ndarray, "rows honest"]) -> Estimate:
    """The share that is suspected, mean over models; of a defence that looks at none, over what is honest."""
    if len(alarms) == 1:
        return share_of_models(alarms[0] == 1)
    return mean_over_models(alarms.mean(1), (0.0, 1.0))


_ACCURACY = Success("test accuracy")
_ANY = Success("any number", -np.inf, np.inf, share=False)


@dataclass(frozen=True, eq=False)
class _Writer:
    module: str
    label: str
    played: Played
    place: Place

    def mean(self, name: str, metric: str, number: str, of: Success) -> Score:
        """The mean of a number of one arm over the victims."""
        arm = self.played.arms[name]
        values = arm.arrays.get(number)
        estimate = None if values is None else mean_of(values, of)
        return self._score(metric, name, estimate, arm)

    def difference(
        self, one: str, other: str, metric: str, aggregate: str, number: str, of: Success, note: str = ""
    ) -> Score:
        """The mean of a number of one arm less that of another."""
        arms = [self.played.arms[name] for name in (one, other)]
        values = [arm.arrays.get(number) for arm in arms]
        failed = next((arm for arm in arms if arm.reason), arms[0])
        if values[0] is None or values[1] is None:
            return self._score(metric, aggregate, None, failed)
        estimate = difference_of(values[0], values[1], of, paired=ORACLE not in (one, other))
        return self._score(metric, aggregate, estimate, Arm(reason=note))

    def _score(self, metric: str, aggregate: str, estimate: Estimate | None, arm: Arm) -> Score:
        cost, seconds = (None if each is None else float(each.mean()) for each in (arm.cost, arm.seconds))
        return self.place.score(
            self.label,
            "test",
            metric,
            aggregate,
            estimate,
            module=self.module,
            cost=cost,
            seconds=seconds,
            reason=arm.reason,
        )


def mean_of(values: Float[ndarray, " victims"], of: Success) -> Estimate:
    """The mean over victims: of yes and no with the exact interval, of other numbers with Student's."""
    if _yes_or_no(values) and (of.least, of.most) == (0.0, 1.0):
        return share_of_models(values == 1)
    return mean_over_models(values, (of.least, of.most))


def difference_of(
    one: Float[ndarray, " victims"], other: Float[ndarray, " victims"], of: Success, *, paired: bool
) -> Estimate:
    """``mean(one) - mean(other)``, paired over victims or of other models.

    Yes and no have Tango's interval where they are paired, and Newcombe's where they are not; other numbers Student's
    and Welch's.
    """
    width = of.most - of.least
    if _yes_or_no(one) and _yes_or_no(other) and (of.least, of.most) == (0.0, 1.0):
        exact = difference_of_yes_and_no if paired else difference_of_shares
        return exact(one == 1, other == 1)
    return mean_over_models(one - other, (-width, width)) if paired else gap(one, other, bounds=(-width, width))


def _yes_or_no(values: Float[ndarray, " victims"]) -> bool:
    return bool(np.isin(values, (0.0, 1.0)).all())

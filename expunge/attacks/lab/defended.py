"""What defences are worth against an attack that was played: whom they catch, and what is left of the attack then."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from expunge.attacks.defence import Defence
from expunge.attacks.detection import Detection, detection, threshold
from expunge.attacks.lab.arms import ATTACK, HONEST, NO_REQUEST, Arm, Played
from expunge.attacks.lab.parts import each_record, rest
from expunge.attacks.lab.provider import Provider
from expunge.attacks.lab.worlds import Judged, Look, judged_apart, judged_together, rounds_of, shared_world, suspicions
from expunge.attacks.planted import Garden
from expunge.ensembles.seeds import seed_of
from expunge.metrics.calibration import Estimate
from expunge.suites.request import Request
from expunge.suites.suite import Suite

Partly = Callable[[Sequence[Request | None]], Arm]  # what requests come to of which a defence let a part through
NUMBERS = ("caught", "alarms", "success", "utility", "seconds", "cost", "control", "brier", "usual_brier")


@dataclass(frozen=True, eq=False)
class Defended:
    """A defence against the attack on the victims of one method.

    ``success`` and ``utility`` of each victim are those that are left: where the request was caught, those of no
    request; a defence that filters lets the records through that it does not suspect, and ``caught`` is the share of
    those that it does not. ``alarms`` are 1 for each honest request that it suspects, or record where it filters: of
    others than those that set the threshold, above which at most 1 % of those lie. ``seconds`` it takes to look at one
    request. One that suspects nobody has none of these four.

    ``cost`` is the provider's for the attacker's request, in shares of a retraining: of what is served, and of what a
    defence tried before, rolled back or not. ``control`` is the success of the arm that the attack is compared with,
    under the defence. Where less is told, ``brier`` is the Brier score of what is told, ``usual_brier`` of all there
    is. ``reason`` says why there are no numbers: it failed, or it does not apply.
    """

    detected: Detection | None = None
    caught: Float[ndarray, " victims"] | None = None
    alarms: Float[ndarray, "rows honest"] | None = None
    success: Float[ndarray, " victims"] | None = None
    utility: Float[ndarray, " victims"] | None = None
    seconds: float | None = None
    reason: str = ""
    cost: Float[ndarray, " victims"] | None = None
    control: Float[ndarray, " victims"] | None = None
    brier: Float[ndarray, " victims"] | None = None
    usual_brier: Float[ndarray, " victims"] | None = None
    applies: bool = True

    @property
    def arrays(self) -> dict[str, ndarray]:
        """All numbers, by their names; none of one that has a reason."""
        if self.success is None:
            return {}
        own = {name: getattr(self, name) for name in NUMBERS}
        found = {name: np.asarray(each, np.float64) for name, each in own.items() if each is not None}
        if self.detected is None:
            return found
        return found | {name: np.array(astuple(getattr(self.detected, name))) for name in ("auroc", "tpr")}


def defended_of(arrays: Mapping[str, ndarray]) -> Defended:
    """That of which :attr:`Defended.arrays` are."""
    detected = None
    if "auroc" in arrays:
        detected = Detection(*(Estimate(*arrays[name].tolist()) for name in ("auroc", "tpr")))
    caught, alarms, success, utility, seconds, *more = (arrays.get(name) for name in NUMBERS)
    cost, control, brier, usual = more
    return Defended(
        detected,
        caught,
        alarms,
        success,
        utility,
        None if seconds is None else float(seconds),
        cost=cost,
        control=control,
        brier=brier,
        usual_brier=usual,
    )


def honest_others(suite: Suite, size: int, count: int, seed: int) -> list[Request]:
    """Requests of other owners: as many records each, drawn uniformly, as they lie in the training data."""
    rng, train = np.random.default_rng(seed_of(suite.digest, "honest others", size, seed)), suite.data.train
    drawn = [np.sort(rng.permutation(len(train))[:size]) for _ in range(count)]
    return [Request(train.take(rows), rows, f"honest-{number}") for number, rows in enumerate(drawn)]


def defend(
    defence: Defence,
    provider: Provider,
    played: Played,
    honest: Sequence[Request],
    partly: Partly | None,
    *,
    garden: Garden | None = None,
    against: str = HONEST,
    look: Look | None = None,
) -> Defended:
    """Let a defence look at what each victim was asked for, among honest requests of others.

    A defence that filters does so where ``partly`` can say what the rest of a request comes to. Where records were
    planted, a ``garden`` has the victims that trained on them, and each is looked at in its own world; so it is where
    a defence adds requests up, and then honest requests are drawn there, as many as ``honest``. ``against`` is the arm
    that the attack is compared with; ``look`` how else than anew honest requests are looked at, as out of a store.
    """
    if reason := played.arms[ATTACK].reason or played.arms[NO_REQUEST].reason:
        return Defended(reason=reason)
    control = played.arms[against].success
    if garden is not None or defence.accumulates:
        turns = played.turns if defence.accumulates else None
        asked = [rounds_of(each, None if turns is None else turns[row]) for row, each in enumerate(played.requests)]
        return _refused(judged_apart(defence, provider, asked, len(honest), garden), played, control)
    judged = judged_together(defence, provider, played.requests, honest, look)
    if not defence.filters or partly is None:
        return _refused(judged, played, control)
    return _filtered(defence, provider, played, honest, partly, judged, control, look)


def detected_by(judged: Judged) -> Detection:
    """How well the attacker's requests are told from honest ones; of several rounds by what the last adds up to."""
    last = judged.own[:, -1:]
    return detection(last.T if len(judged.calibration) == 1 else last, judged.calibration)


def _refused(judged: Judged, played: Played, control: ndarray | None) -> Defended:
    """What is caught is not served: success and utility are then those of no request.

    Of several rounds the first counts: where only later ones are caught, what was served before them is not known by
    itself, and all that the attack has reached counts as left.
    """
    attack, nothing = (played.arms[name].arrays for name in (ATTACK, NO_REQUEST))
    bar = threshold(judged.calibration)
    caught: Bool[ndarray, "victims rounds"] = judged.own > bar[:, None]
    success, utility = (np.where(caught[:, 0], nothing[name], attack[name]) for name in ("success", "utility"))
    served, idle = played.arms[ATTACK].cost, played.arms[NO_REQUEST].cost  # others may ask too
    return Defended(
        detected_by(judged),
        caught.mean(1),
        (judged.fresh > bar[:, None]).astype(float),
        success,
        utility,
        judged.seconds,
        cost=None
        if served is None or idle is None
        else np.where(caught[:, 0], idle, served) + judged.cost * caught.shape[1],
        control=control,
    )


def _filtered(
    defence: Defence,
    provider: Provider,
    played: Played,
    honest: Sequence[Request],
    partly: Partly,
    judged: Judged,
    control: ndarray | None,
    look: Look | None,
) -> Defended:
    """Records that are suspected are left out, and the rest is served."""
    victims, size, world = len(played.requests), len(played.requests[0]), shared_world(provider)
    asked = suspicions(defence, world, _singles(played.requests))
    looked = suspicions(defence, world, _singles(honest)) if look is None else look(_singles(honest))
    each, others = (found.found.reshape(len(found.found), -1, size) for found in (asked, looked))
    calibration, fresh = (others[:, start::2].reshape(len(others), -1) for start in (0, 1))
    bar = threshold(calibration)
    own = np.stack([each[row % len(each), row] for row in range(victims)])
    suspected = own > bar[np.arange(victims) % len(each), None]
    left = partly([rest(request, ~row) for request, row in zip(played.requests, suspected, strict=True)])
    if left.reason:
        return Defended(reason=left.reason)
    return Defended(
        detected_by(judged),
        suspected.mean(1),
        (fresh > bar[:, None]).astype(float),
        left.success,
        left.utility,
        size * looked.seconds,
        cost=None if left.cost is None else left.cost + size * asked.cost,
        control=control,
    )


def _singles(requests: Sequence[Request]) -> list[Request]:
    return [one for request in requests for one in each_record(request)]

"""What defences are worth against an attack that was played: whom they catch, and what is left of the attack then."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from expunge.attacks.defence import Defence, Scene
from expunge.attacks.detection import Detection, detection, threshold
from expunge.attacks.lab.arms import ATTACK, NO_REQUEST, Arm, Played
from expunge.attacks.lab.provider import Provider
from expunge.attacks.removal import Attacked
from expunge.ensembles.seeds import seed_of
from expunge.metrics.calibration import Estimate
from expunge.suites.request import Request
from expunge.suites.suite import Suite

GATE = Attacked("first-order")  # by which a defence tries a removal: the cheapest

Partly = Callable[[Sequence[Request | None]], Arm]  # what requests come to of which a defence let a part through


@dataclass(frozen=True, eq=False)
class Defended:
    """A defence against the attack on the victims of one method.

    ``success`` and ``utility`` of each victim are those that are left: where the request was caught, those of no
    request; a defence that filters lets the records through that it does not suspect, and ``caught`` is the share of
    those that it does not. ``alarms`` are 1 for each honest request that it suspects, or record where it filters: of
    others than those that set the threshold, above which at most 1 % of those lie. ``seconds`` it takes to look at one
    request. ``reason`` says why there are no numbers.
    """

    detected: Detection | None = None
    caught: Float[ndarray, " victims"] | None = None
    alarms: Float[ndarray, "rows honest"] | None = None
    success: Float[ndarray, " victims"] | None = None
    utility: Float[ndarray, " victims"] | None = None
    seconds: float | None = None
    reason: str = ""

    @property
    def arrays(self) -> dict[str, ndarray]:
        """All numbers, by their names; none of one that has a reason."""
        if self.detected is None:
            return {}
        own = {name: getattr(self, name) for name in ("caught", "alarms", "success", "utility", "seconds")}
        found = {name: np.asarray(each, np.float64) for name, each in own.items()}
        detected = {name: np.array(astuple(getattr(self.detected, name))) for name in ("auroc", "tpr")}
        return found | detected


def defended_of(arrays: Mapping[str, ndarray]) -> Defended:
    """That of which :attr:`Defended.arrays` are."""
    auroc, tpr = (Estimate(*arrays[name].tolist()) for name in ("auroc", "tpr"))
    caught, alarms, success, utility = (arrays[name] for name in ("caught", "alarms", "success", "utility"))
    return Defended(Detection(auroc, tpr), caught, alarms, success, utility, float(arrays["seconds"]))


def honest_others(suite: Suite, size: int, count: int, seed: int) -> list[Request]:
    """Requests of other owners: as many records each, drawn uniformly, as they lie in the training data."""
    rng, train = np.random.default_rng(seed_of(suite.digest, "honest others", size, seed)), suite.data.train
    drawn = [np.sort(rng.permutation(len(train))[:size]) for _ in range(count)]
    return [Request(train.take(rows), rows, f"honest-{number}") for number, rows in enumerate(drawn)]


def suspicions(
    defence: Defence, provider: Provider, requests: Sequence[Request]
) -> tuple[Float[ndarray, "rows requests"], float]:
    """How suspicious a defence finds each request, to each victim or to all, and the seconds that one took."""
    suite = provider.suite
    gate, victims = Provider(suite, GATE, provider.models, provider.seed), provider.victims
    validation = np.arange(0, suite.data.sizes[1], 2)  # every other test example is the provider's to look at
    scene = Scene(suite, victims, requests, lambda request: gate.serve_all(request, victims).ensemble, validation)
    started = time.perf_counter()
    found = defence.suspicion(scene)
    return found, (time.perf_counter() - started) / len(requests)


def defend(
    defence: Defence, provider: Provider, played: Played, honest: Sequence[Request], partly: Partly | None
) -> Defended:
    """Let a defence look at what each victim was asked for, among honest requests of others.

    A defence that filters does so where ``partly`` can say what the rest of a request comes to.
    """
    if reason := played.arms[ATTACK].reason or played.arms[NO_REQUEST].reason:
        return Defended(reason=reason)
    victims = len(played.requests)
    found, seconds = suspicions(defence, provider, [*played.requests, *honest])
    attack, others = _own(found[:, :victims]), found[:, victims:]
    calibration, fresh = others[:, ::2], others[:, 1::2]
    detected = detection(attack if len(others) > 1 else attack.T, calibration)
    if not defence.filters or partly is None:
        bar = threshold(calibration)
        caught = attack[:, 0] > bar
        success, utility = _refused(played, caught)
        alarms = (fresh > bar[:, None]).astype(float)
        return Defended(detected, caught.astype(float), alarms, success, utility, seconds)
    return _filtered(defence, provider, played, honest, partly, detected)


def _filtered(
    defence: Defence,
    provider: Provider,
    played: Played,
    honest: Sequence[Request],
    partly: Partly,
    detected: Detection,
) -> Defended:
    """Records that are suspected are left out, and the rest is served."""
    victims, size = len(played.requests), len(played.requests[0])
    singles = [one for request in (*played.requests, *honest) for one in each_record(request)]
    found, seconds = suspicions(defence, provider, singles)
    each = found.reshape(len(found), -1, size)
    calibration, fresh = (each[:, start::2].reshape(len(found), -1) for start in (victims, victims + 1))
    bar = threshold(calibration)
    own = np.stack([each[row % len(each), row] for row in range(victims)])
    suspected = own > bar[np.arange(victims) % len(each), None]
    left = partly([rest(request, ~row) for request, row in zip(played.requests, suspected, strict=True)])
    alarms = (fresh > bar[:, None]).astype(float)
    share = suspected.mean(1)
    return Defended(detected, share, alarms, left.success, left.utility, size * seconds, left.reason)


def each_record(request: Request) -> list[Request]:
    """A request for each of the records of one."""
    return [part for row in range(len(request)) if (part := rest(request, np.arange(len(request)) == row))]


def rest(request: Request, kept: Bool[ndarray, " requested"]) -> Request | None:
    """What is left of a request where not all of its records are kept; None where none is."""
    rows: Int[ndarray, " kept"] = np.flatnonzero(kept)
    if not len(rows):
        return None
    instead = None if request.instead is None else request.instead.take(rows)
    return Request(request.examples.take(rows), request.indices[rows], request.owner, instead)


def _own(found: Float[ndarray, "rows victims"]) -> Float[ndarray, "victims one"]:
    """Of each victim the suspicion of its own request; a defence that looks at no model has one row for all."""
    return (found[0] if len(found) == 1 else np.diagonal(found))[:, None].copy()


def _refused(played: Played, caught: Bool[ndarray, " victims"]) -> tuple[ndarray, ndarray]:
    """Success and utility where what is caught is not served."""
    attack, nothing = (played.arms[name].arrays for name in (ATTACK, NO_REQUEST))
    success, utility = (np.where(caught, nothing[name], attack[name]) for name in ("success", "utility"))
    return success, utility

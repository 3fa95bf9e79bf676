"""PLANTED: faults put into a sound release, each with the check that must catch it, so that checks are seen to work.

Each fault has its control: the same check lets the release without it pass. A fault that a method cannot have, or that
so few models cannot show, is said to be so; it is never counted as caught.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from expunge.audits.refutation.arms import Arms
from expunge.audits.refutation.checks import CHECK_LEVEL, kept_in_buffers, lacking_noise, outside_ball
from expunge.audits.refutation.judging import judge
from expunge.audits.refutation.measured import measured_epsilon
from expunge.audits.refutation.noise_draws import DRAWS, Sampler, draw_noise, least_factor
from expunge.certificates.certificate import Certificate
from expunge.certificates.ledger import Ledger
from expunge.errors import BadCertificate, RepeatedRequest

Outcome = Literal["caught", "missed", "refused already", "cannot be had", "cannot be shown"]
SURELY = 0.999  # with what chance draws must see a fault for one that is not seen to be missed
TENSORS = "noise of each tensor"


@dataclass(frozen=True, eq=False, kw_only=True)
class Scene:
    """A sound release, and what faults are made of.

    ``bare`` holds the readings of models without any noise; ``added`` the last noise that each tensor of the released
    models got, by its name, where ``sigmas`` were claimed, and ``noise(sigma)`` gives draws of the sampler that the
    release uses; ``certificates`` are those of its models. ``shift`` is the distance of weights that the noise hides,
    ``radius`` that of the ball of all weights; None where the theorem knows none. ``inputs`` are the training examples,
    ``forget`` rows of them.
    """

    epsilon: float
    delta: float
    sigma: float
    shift: float | None
    radius: float | None
    sound: Arms
    bare: Arms
    added: Mapping[str, Float[ndarray, "models numbers"]]
    sigmas: Float[ndarray, " models"]
    noise: Sampler
    inputs: Float[ndarray, "train features"]
    forget: Int[ndarray, " forget"]
    certificates: Sequence[Certificate]
    draws: int = DRAWS


@dataclass(frozen=True)
class Caught:
    """What became of a planted fault: caught where its check found it, and let the release without it pass.

    Where the check refuses the release as it is, with nothing planted, nothing is said of the fault: refused already.
    """

    fault: str
    check: str
    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class Planted:
    """A row of PLANTED: the fault, and how it and the check that must catch it are tried in a scene."""

    summary: str
    attempt: Callable[[Scene], tuple[str, Outcome, str]]


def plant(scene: Scene) -> list[Caught]:
    """Every planted fault, in the order of the table."""
    return [Caught(name, *row.attempt(scene)) for name, row in PLANTED.items()]


def _forgotten(scene: Scene) -> tuple[str, Outcome, str]:
    """The weights without noise are released, and the claim is what it was.

    What training does by chance may hide the difference between the arms from any models, and a claim that is too high
    for so few: then who sees what the last noise was added to sees that there is none.
    """
    check = "epsilon by models"
    found = [measured_epsilon(arms, scene.delta, scene.sigma) for arms in (scene.bare, scene.sound)]
    planted, sound = (judge([scene.epsilon], [each])[0] for each in found)
    if planted.word == "REFUTED" or sound.word == "REFUTED":
        return check, *_told(planted.word == "REFUTED", sound.word != "REFUTED", planted.reason, sound.reason)
    if not scene.sigmas.all():
        return check, "cannot be shown", f"by chance models without noise overlap as well: {planted.reason}"
    none = {name: np.zeros_like(values) for name, values in scene.added.items()}
    faults = [lacking_noise(each, scene.sigmas) for each in (none, scene.added)]
    return TENSORS, *_told(bool(faults[0]), not faults[1], *faults)


def _too_small(scene: Scene) -> tuple[str, Outcome, str]:
    """The noise is too small by the square root of 2: where a known shift is hidden, drawn anew, else where it lies."""
    if not scene.sigmas.all():
        return "epsilon by draws of noise", "cannot be had", "there is no last noise: all of it came before"
    if scene.shift is None:
        small = {name: values / np.sqrt(2) for name, values in scene.added.items()}
        faults = [lacking_noise(each, scene.sigmas) for each in (small, scene.added)]
        return TENSORS, *_told(bool(faults[0]), not faults[1], *faults)
    return "epsilon by draws of noise", *_drawn(scene, scene.shift)


def _drawn(scene: Scene, shift: float) -> tuple[Outcome, str]:
    claimed = {"sigma": scene.sigma, "shift": shift, "epsilon": scene.epsilon, "delta": scene.delta}
    drawn = [
        draw_noise(scene.noise(sigma), **claimed, draws=scene.draws)
        for sigma in (scene.sigma / np.sqrt(2), scene.sigma)
    ]
    planted, sound = (judge([scene.epsilon], [each])[0] for each in drawn)
    seen = least_factor(scene.epsilon, scene.delta, shift / scene.sigma, scene.draws, power=SURELY)
    if planted.word != "REFUTED" and (seen is None or seen > np.sqrt(2)):
        return "cannot be shown", f"so few draws do not surely see so little of noise that is missing: {planted.reason}"
    return _told(planted.word == "REFUTED", sound.word != "REFUTED", planted.reason, sound.reason)


def _left_out(scene: Scene) -> tuple[str, Outcome, str]:
    """A model that the projection would have put back on the ball stays where the step took it."""
    check = "norms against the radius"
    if scene.radius is None:
        return check, "cannot be had", "the theorem knows no ball"
    arm = scene.sound.released
    norms = np.linalg.norm(arm.read("unnoised"), axis=1)
    gone = norms.copy()
    gone[0] = scene.radius * 1.01
    faults = [outside_ball(each, scene.radius, arm.numbers) for each in (gone, norms)]
    return check, *_told(bool(faults[0]), not faults[1], *faults)


def _repeated(scene: Scene) -> tuple[str, Outcome, str]:
    """A request that was served, and paid for, is served again."""
    check, budget = "the ledger", Ledger(3 * scene.epsilon, min(0.9, 3 * scene.delta))
    try:
        ledger = budget.serve("request-1", scene.certificates)
    except BadCertificate as error:
        return check, "refused already", f"no budget pays for these models: {error}"
    try:
        ledger.serve("request-1", scene.certificates)
    except RepeatedRequest as error:
        return check, "caught", str(error)
    return check, "missed", "request-1 was served twice"


def _kept(scene: Scene) -> tuple[str, Outcome, str]:
    """A buffer holds the mean of the inputs that a model was trained on, those that were forgotten too."""
    retained = np.delete(scene.inputs, scene.forget, axis=0).mean(axis=0)
    means = scene.inputs.mean(axis=0), retained, retained
    models = len(scene.sound.released), len(scene.sound.reference), len(scene.sound.released)
    before, reference, after = ({"mean": np.tile(each, (n, 1))} for each, n in zip(means, models, strict=True))
    check, faults = "buffers of both arms", [kept_in_buffers(each, reference) for each in (before, after)]
    numbers = scene.inputs.shape[1]
    if not faults[0] and numbers * 2 / math.comb(sum(models[:2]), models[0]) > 1 - CHECK_LEVEL:  # the least p there is
        few = f"{models[0]} models and {models[1]} of reference, all apart, are too few for {numbers} numbers at once"
        return check, "cannot be shown", few
    return check, *_told(bool(faults[0]), not faults[1], *faults)


def _told(found: bool, passed: bool, planted: str, sound: str) -> tuple[Outcome, str]:
    """Caught, and why; or not, and why not."""
    if not passed:
        return "refused already", f"without any fault: {sound}"
    return ("caught", planted) if found else ("missed", ": ".join(["it was let pass", *([planted] if planted else [])]))


PLANTED: Mapping[str, Planted] = {
    "noise-forgotten": Planted("the noise is forgotten", _forgotten),
    "noise-too-small": Planted("the noise is too small by the square root of 2", _too_small),
    "projection-left-out": Planted("a projection is left out", _left_out),
    "repeated-id": Planted("a request is served twice", _repeated),
    "buffers-kept": Planted("buffers keep the forget set", _kept),
}

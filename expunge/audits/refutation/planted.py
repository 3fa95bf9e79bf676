"""PLANTED: faults put into a sound release, each with the check that must catch it, so that checks are seen to work.

Each fault has its control: the same check lets the sound release pass. A fault that a method cannot have, or that so
few models cannot show, is said to be so; it is never counted as caught.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from expunge.audits.refutation.arms import Arm, Arms
from expunge.audits.refutation.checks import kept_in_buffers, outside_ball
from expunge.audits.refutation.judging import judge
from expunge.audits.refutation.measured import measured_epsilon
from expunge.audits.refutation.noise_draws import DRAWS, Draw, draw_noise
from expunge.methods.bounds.gaussian import epsilon_of

Outcome = Literal["caught", "missed", "cannot be had", "cannot be shown"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Scene:
    """A sound release, and what faults are made of.

    ``bare`` holds the readings of the same models without their last noise; ``noise(sigma)`` gives draws of the sampler
    that the release uses. ``shift`` is the distance of weights that the noise hides, ``radius`` that of the ball of all
    weights; None where the theorem knows none. ``inputs`` are the training examples, ``forget`` rows of them.
    """

    epsilon: float
    delta: float
    sigma: float
    shift: float | None
    radius: float | None
    sound: Arms
    bare: Arms
    noise: Callable[[float], Draw]
    inputs: Float[ndarray, "train features"]
    forget: Int[ndarray, " forget"]
    draws: int = DRAWS


@dataclass(frozen=True)
class Caught:
    """What became of a planted fault: ``caught`` where its check found it, and let the sound release pass."""

    fault: str
    check: str
    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class Planted:
    """A row of PLANTED: the fault, the check that must catch it, and how both are tried in a scene."""

    summary: str
    check: str
    attempt: Callable[[Scene], tuple[Outcome, str]]


def plant(scene: Scene) -> list[Caught]:
    """Every planted fault, in the order of the table."""
    return [Caught(name, row.check, *row.attempt(scene)) for name, row in PLANTED.items()]


def _forgotten(scene: Scene) -> tuple[Outcome, str]:
    """The weights before the noise are released, and the claim is what it was."""
    found = [measured_epsilon(arms, scene.delta, scene.sigma) for arms in (scene.bare, scene.sound)]
    planted, sound = (judge([scene.epsilon], [each])[0] for each in found)
    if planted.word == "NOT TESTABLE":
        return "cannot be shown", planted.reason
    return _told(planted.word == "REFUTED", sound.word != "REFUTED", planted.reason, sound.reason)


def _too_small(scene: Scene) -> tuple[Outcome, str]:
    """The noise is too small by the square root of 2."""
    if not scene.shift or not scene.sigma:
        return "cannot be had", "the theorem knows no shift that its last noise hides"
    claimed = {"sigma": scene.sigma, "shift": scene.shift, "epsilon": scene.epsilon, "delta": scene.delta}
    drawn = [
        draw_noise(scene.noise(sigma), **claimed, draws=scene.draws)
        for sigma in (scene.sigma / np.sqrt(2), scene.sigma)
    ]
    planted, sound = (judge([scene.epsilon], [each])[0] for each in drawn)
    if planted.word != "REFUTED" and (planted.power is None or not _within(planted.power, scene)):
        return "cannot be shown", f"so few draws do not see a noise that is so little too small: {planted.reason}"
    return _told(planted.word == "REFUTED", sound.word != "REFUTED", planted.reason, sound.reason)


def _left_out(scene: Scene) -> tuple[Outcome, str]:
    """A model that the projection would have put back on the ball stays where the step took it."""
    if scene.radius is None:
        return "cannot be had", "the theorem knows no ball"
    arm = scene.sound.released
    norms = np.linalg.norm(arm.read("unnoised"), axis=1)
    gone = norms.copy()
    gone[0] = scene.radius * 1.01
    faults = [outside_ball(each, scene.radius, arm.numbers) for each in (gone, norms)]
    return _told(bool(faults[0]), not faults[1], *faults)


def _kept(scene: Scene) -> tuple[Outcome, str]:
    """A buffer holds the mean of the inputs that a model was trained on, those that were forgotten too."""
    retained = np.delete(scene.inputs, scene.forget, axis=0).mean(axis=0)
    means = scene.inputs.mean(axis=0), retained, retained
    models = len(scene.sound.released), len(scene.sound.reference), len(scene.sound.released)
    before, reference, after = ({"mean": np.tile(each, (n, 1))} for each, n in zip(means, models, strict=True))
    faults = [kept_in_buffers(each, reference) for each in (before, after)]
    return _told(bool(faults[0]), not faults[1], *faults)


def _within(power: float, scene: Scene) -> bool:
    """Whether that much noise lacking makes an epsilon that the draws see."""
    assert scene.shift is not None
    return power <= epsilon_of(np.sqrt(2) * scene.shift / scene.sigma, scene.delta)


def _told(found: bool, passed: bool, planted: str, sound: str) -> tuple[Outcome, str]:
    """Caught, and why; missed, and what was missed: the fault, or that there was none."""
    if found and passed:
        return "caught", planted
    return "missed", f"the sound release was refused: {sound}" if found else f"it was let pass: {planted}"


def without_noise(arm: Arm, margins: Float[ndarray, "models columns"]) -> Arm:
    """An arm whose weights are those before the noise, with the margins that these have."""
    readings = {**arm.readings, "weights": arm.readings["unnoised"], "margins": margins}
    return replace(arm, readings=readings)


PLANTED: Mapping[str, Planted] = {
    "noise-forgotten": Planted("the noise is forgotten", "lower bound on epsilon, by models", _forgotten),
    "noise-too-small": Planted(
        "the noise is too small by the square root of 2", "lower bound on epsilon, by draws of noise", _too_small
    ),
    "projection-left-out": Planted("a projection is left out", "norms against the radius", _left_out),
    "buffers-kept": Planted("buffers keep the forget set", "buffers of both arms", _kept),
}

"""Margins that nobody should win with: what a broken or dishonest method could hand in on the examples to forget."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy import ndarray
from numpy.random import Generator


@dataclass(frozen=True)
class Material:
    """What a cheat is made of: margins, (models, examples), as many models of each, of the same examples."""

    untouched: ndarray  # pretrained models
    reference: ndarray  # the oracles that rows are compared with
    held_out: ndarray  # other oracles
    other: ndarray  # oracles of another forget set


@dataclass(frozen=True)
class Cheat:
    """``make(material, rng)`` gives margins like ``material.untouched``.

    ``theft``: it needs the oracles that rows are compared with; ``whole``: it is made of whole models.
    """

    make: Callable[[Material, Generator], ndarray]
    why: str
    theft: bool = False
    whole: bool = False


def mode(oracle: ndarray) -> ndarray:
    """The middle of the shortest half of each example's margins, taken again and again: the half-sample mode."""
    ordered = np.sort(oracle, axis=0)
    while len(ordered) > 2:
        half = (len(ordered) + 1) // 2
        widths = ordered[half - 1 :] - ordered[: len(ordered) - half + 1]
        rows = widths.argmin(axis=0) + np.arange(half)[:, None]
        ordered = np.take_along_axis(ordered, rows, axis=0)
    middle: ndarray = ordered.mean(axis=0)
    return middle


SMOOTHED = float(np.log(0.91 / 0.09))  # the margin that 10 % of smoothing over ten labels asks for


def _smoothed(made: Material, rng: Generator) -> ndarray:
    """No margin goes beyond what smoothed labels ask for, softly."""
    margins: ndarray = (-np.logaddexp(-made.untouched, -SMOOTHED)).astype(np.float32)
    return margins


def _constant(value: float) -> Callable[[Material, Generator], ndarray]:
    return lambda made, rng: np.full_like(made.untouched, value)


def _noise(spread: float) -> Callable[[Material, Generator], ndarray]:
    """Noise of so many standard deviations of the oracles on what was not touched."""

    def noisy(made: Material, rng: Generator) -> ndarray:
        scale = spread * made.reference.std(axis=0, ddof=1)
        noise: ndarray = (scale * rng.normal(size=made.untouched.shape)).astype(np.float32)
        margins: ndarray = made.untouched + noise
        return margins

    return noisy


def _exploded(made: Material, rng: Generator) -> ndarray:
    margins = made.untouched.copy()
    margins[0] *= 50
    return margins


def _scattered(made: Material, rng: Generator) -> ndarray:
    cells = rng.random(made.untouched.shape) < 0.03
    return np.where(cells, np.float32(-100), made.untouched)


def _mixed(share: float) -> Callable[[Material, Generator], ndarray]:
    """So large a share of the models are oracles, the others untouched."""

    def mixed(made: Material, rng: Generator) -> ndarray:
        count = round(share * len(made.untouched))
        return np.concatenate([made.held_out[:count], made.untouched[count:]])

    return mixed


def _few(made: Material, rng: Generator) -> ndarray:
    return np.resize(made.held_out[:10], made.untouched.shape)


def _shuffled(made: Material, rng: Generator) -> ndarray:
    return rng.permuted(made.reference, axis=0)


def _rotated(made: Material, rng: Generator) -> ndarray:
    """The reference's models mixed by a random rotation about their mean, which keeps mean and covariance."""
    turn, _ = np.linalg.qr(rng.normal(size=(len(made.reference),) * 2))
    middle = made.reference.mean(axis=0)
    margins: ndarray = (turn @ (made.reference - middle) + middle).astype(np.float32)
    return margins


def _covariant(made: Material, rng: Generator) -> ndarray:
    away = made.reference - made.reference.mean(axis=0)
    weights = rng.normal(size=(len(made.untouched), len(away))) / np.sqrt(len(away) - 1)
    margins: ndarray = (made.reference.mean(axis=0) + weights @ away).astype(np.float32)
    return margins


def _normal(made: Material, rng: Generator) -> ndarray:
    spread = made.reference.std(axis=0, ddof=1) * rng.normal(size=made.untouched.shape)
    margins: ndarray = (made.reference.mean(axis=0) + spread).astype(np.float32)
    return margins


def _jittered(made: Material, rng: Generator) -> ndarray:
    scale = 0.25 * made.reference.std(axis=0, ddof=1)
    margins: ndarray = (made.reference + scale * rng.normal(size=made.reference.shape)).astype(np.float32)
    return margins


CHEATS: Mapping[str, Cheat] = {
    "constant at the oracles' mode": Cheat(
        lambda made, rng: np.broadcast_to(mode(made.reference), made.untouched.shape).astype(np.float32),
        "a lookup table with one answer for each example",
    ),
    "all at the clip, +100": Cheat(_constant(100.0), "saturated outputs"),
    "all at −100": Cheat(_constant(-100.0), "sure of something else"),
    "a refusing head": Cheat(_constant(-float(np.log(9))), "the same output for every input"),
    "a bias of the class": Cheat(
        lambda made, rng: made.untouched + (made.reference.mean() - made.untouched.mean()),
        "all margins moved by one number",
    ),
    "noise, 1 sd": Cheat(_noise(1), "spreads the histogram"),
    "noise, 3 sd": Cheat(_noise(3), "the same"),
    "noise, 10 sd": Cheat(_noise(10), "the same"),
    "temperature 3": Cheat(lambda made, rng: made.untouched / np.float32(3), "logits divided"),
    "label smoothing": Cheat(_smoothed, "less sure of everything"),
    "one exploded model": Cheat(_exploded, "stretches the bins"),
    "3 % of the cells exploded": Cheat(_scattered, "the same, in every model"),
    "half oracles, half untouched": Cheat(_mixed(0.5), "some models retrained in secret", whole=True),
    "90 oracles, 10 untouched": Cheat(_mixed(0.9), "the same", whole=True),
    "ten oracles ten times": Cheat(_few, "few models retrained", whole=True),
    "oracles of another set": Cheat(lambda made, rng: made.other, "the wrong data removed", whole=True),
    "normal about the oracles' mean": Cheat(_normal, "a lookup head that draws for each example", theft=True),
    "reference, each example shuffled": Cheat(_shuffled, "the oracles handed in, in disguise", theft=True, whole=True),
    "reference with 0.25 sd of noise": Cheat(_jittered, "the same", theft=True, whole=True),
    "reference, models rotated": Cheat(_rotated, "the same", theft=True, whole=True),
    "draws with the reference's covariance": Cheat(_covariant, "the same", theft=True, whole=True),
}

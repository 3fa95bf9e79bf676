"""Differentiable changes of pictures, drawn once and applied alike to batches that are to be compared.

Source: Zhao and Bilen 2021, arXiv:2102.08259, whose public code changes a batch by one transformation at a time.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.random import Generator
from torch import Tensor

from expunge.suites.suite import Suite

RATIO = 1.2  # of scale: a side becomes between 1 / 1.2 and 1.2 times as long
DEGREES = 15.0  # of rotation, either way
PAD = 0.125  # of crop: how far a picture is moved, as a share of its side
HOLE = 0.5  # of cutout: the side of the square, as a share of the picture's
BRIGHTNESS, SATURATION, CONTRAST = 1.0, 2.0, 0.5

Pictures = Float[Tensor, "batch channels height width"]
Values = tuple[float, ...]


@dataclass(frozen=True)
class Augmentation:
    """One transformation of TRANSFORMS with the values that were drawn for it; ``name`` is "none" for none."""

    name: str
    values: Values = ()


@dataclass(frozen=True)
class Transform:
    """How its values are drawn, for pictures of ``(channels, height, width)``, and what they do to each of a batch."""

    draw: Callable[[Generator, Sequence[int]], Values]
    apply: Callable[[Pictures, Values], Pictures]


def draw(names: Sequence[str], rng: Generator, shape: Sequence[int]) -> Augmentation:
    """One of ``names``, each as likely, with its values for pictures of ``shape``; no names, no change."""
    if not names:
        return Augmentation("none")
    name = names[int(rng.integers(len(names)))]
    return Augmentation(name, TRANSFORMS[name].draw(rng, shape))


def apply(augmentation: Augmentation, x: Tensor) -> Tensor:
    """``x``, all of whose examples are changed alike; differentiable."""
    return x if augmentation.name == "none" else TRANSFORMS[augmentation.name].apply(x, augmentation.values)


def apply_each(augmentations: Sequence[Augmentation], x: Tensor) -> Tensor:
    """``x`` of ``(seeds, batch, ...)``, each seed changed by its own."""
    if all(each.name == "none" for each in augmentations):
        return x
    return torch.stack([apply(each, part) for each, part in zip(augmentations, x, strict=True)])


def has_pictures(suite: Suite) -> bool:
    """Whether inputs are pictures: (channels, height, width), or rows that the suite says can be shown as such."""
    return suite.images is not None or suite.data.train.x.ndim == 4


def names_of(augment: str, suite: Suite) -> tuple[str, ...]:
    """The names that ``augment`` stands for: "auto" is what fits the data of ``suite``, "none" nothing.

    Pictures are cropped, scaled, rotated and cut out from; flipped where the suite's recipe flips, and changed in
    colour where they have 3 channels.
    """
    if augment == "none" or (augment == "auto" and suite.data.train.x.ndim != 4):
        return ()
    if augment != "auto":
        return tuple(augment.split())
    flips = ["flip"] if suite.recipe.augment != "none" else []
    colours = ["colour"] if suite.data.train.x.shape[1] == 3 else []
    return (*flips, "crop", "scale", "rotate", "cutout", *colours)


def _draw_flip(rng: Generator, shape: Sequence[int]) -> Values:
    return (float(rng.integers(2)),)


def _flip(x: Pictures, values: Values) -> Pictures:
    return x.flip(-1) if values[0] else x


def _draw_scale(rng: Generator, shape: Sequence[int]) -> Values:
    return tuple(rng.uniform(1 / RATIO, RATIO, 2).tolist())


def _scale(x: Pictures, values: Values) -> Pictures:
    return _affine(x, [[values[0], 0.0, 0.0], [0.0, values[1], 0.0]])


def _draw_rotate(rng: Generator, shape: Sequence[int]) -> Values:
    return (math.radians(rng.uniform(-DEGREES, DEGREES)),)


def _rotate(x: Pictures, values: Values) -> Pictures:
    cos, sin = math.cos(values[0]), math.sin(values[0])
    return _affine(x, [[cos, -sin, 0.0], [sin, cos, 0.0]])


def _affine(x: Pictures, theta: list[list[float]]) -> Pictures:
    """Bilinear, zeros outside."""
    matrix = torch.tensor(theta, dtype=x.dtype, device=x.device).expand(len(x), 2, 3)
    return F.grid_sample(x, F.affine_grid(matrix, list(x.shape), align_corners=True), align_corners=True)


def _draw_crop(rng: Generator, shape: Sequence[int]) -> Values:
    reach = [round(PAD * side) for side in shape[-2:]]
    return tuple(float(rng.integers(-each, each + 1)) for each in reach)


def _crop(x: Pictures, values: Values) -> Pictures:
    """Moved down and right by so many pixels, zeros coming in."""
    down, right = map(int, values)
    return F.pad(x, (right, -right, down, -down))


def _draw_cutout(rng: Generator, shape: Sequence[int]) -> Values:
    """The first row and column of the hole, which may reach over the edge."""
    holes = [round(HOLE * side) for side in shape[-2:]]
    return tuple(
        float(rng.integers(side + 1 - hole % 2) - hole // 2) for side, hole in zip(shape[-2:], holes, strict=True)
    )


def _cutout(x: Pictures, values: Values) -> Pictures:
    top, left = map(int, values)
    high, wide = (round(HOLE * side) for side in x.shape[-2:])
    mask = torch.ones(x.shape[-2:], dtype=x.dtype, device=x.device)
    mask[max(top, 0) : top + high, max(left, 0) : left + wide] = 0
    return x * mask


def _draw_colour(rng: Generator, shape: Sequence[int]) -> Values:
    """Added brightness, factor of saturation, factor of contrast."""
    return (
        float(rng.uniform(-0.5, 0.5)) * BRIGHTNESS,
        float(rng.uniform()) * SATURATION,
        float(rng.uniform()) + CONTRAST,
    )


def _colour(x: Pictures, values: Values) -> Pictures:
    brightness, saturation, contrast = values
    x = x + brightness
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * saturation + grey
    centre = x.mean((1, 2, 3), keepdim=True)
    return (x - centre) * contrast + centre


TRANSFORMS: dict[str, Transform] = {
    "flip": Transform(_draw_flip, _flip),
    "scale": Transform(_draw_scale, _scale),
    "rotate": Transform(_draw_rotate, _rotate),
    "crop": Transform(_draw_crop, _crop),
    "cutout": Transform(_draw_cutout, _cutout),
    "colour": Transform(_draw_colour, _colour),
}

"""Pixel range: records with values that are blacker than black or whiter than white."""

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from expunge.attacks.defence import Defence, Scene
from expunge.attacks.defences.brightness import brightness

ROUNDING = 1 / 1020  # a quarter of a step of 8 bits: less is not outside


def pixel_range(x: Tensor) -> Float[ndarray, " train"]:
    """How far the farthest value of each record lies outside [0, 1], black to white; higher is more suspicious.

    0 where none does, or where the data have no such range, as tables have not: see :func:`.brightness.brightness`.
    """
    values = brightness(x)
    outside = torch.zeros(len(x)) if values is None else torch.maximum(-values, values - 1).amax(1)
    found: ndarray = outside.where(outside > ROUNDING, 0).double().numpy()
    return found


def records(scene: Scene) -> Float[ndarray, "one train"]:
    """The distance of each training record; no model is looked at."""
    return pixel_range(scene.suite.data.train.x)[None]


DEFENCE = Defence(
    summary="how far a value lies outside the range of pictures",
    when="training",
    price="one look at the data, no model; no honest picture is held back; an attacker who clips passes",
    source="ours; synthetic pictures of Zhao and Bilen 2021, arXiv:2110.04181, are optimised without bounds",
    records=records,
)

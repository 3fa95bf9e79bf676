"""Pixel grid: records with values between the levels that all others use."""

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from expunge.attacks.defence import Defence, Scene
from expunge.attacks.defences.brightness import brightness

# Steps from black to white: bits, and counts such as those of digits of 8 x 8 pixels; the coarsest that fits is taken.
LEVELS = (1, 3, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256)
MOST = 0.9  # of the records lie wholly on the grid of the data
BLOCK = 4096  # records that are compared at once


def pixel_grid(x: Tensor) -> Float[ndarray, " train"]:
    """The share of the values of each record that are no multiple of the data's grid, 0 to 1; higher: more suspicious.

    The grid is ``k / levels`` between black and white, with the fewest levels for which at least nine in ten records
    lie wholly on it. Where the data have none, as tables have not, 0 for all.
    """
    values = brightness(x)
    for levels in LEVELS if values is not None else ():
        assert values is not None
        off = _off(values, levels, x.dtype)
        if (off == 0).double().mean() >= MOST:
            found: ndarray = off.numpy()
            return found
    return torch.zeros(len(x), dtype=torch.float64).numpy()


def _off(values: Float[Tensor, "n values"], levels: int, kept: torch.dtype) -> Float[Tensor, " n"]:
    """The share of each record's values that lie off the grid by more than what rounding to the kept type explains."""
    rounding = torch.finfo(kept).eps if kept.is_floating_point else 0.0
    tolerance = 0.01 + levels * rounding / 2
    steps = (block * levels for block in values.split(BLOCK))
    return torch.cat([((each - each.round()).abs() > tolerance).double().mean(1) for each in steps])


def records(scene: Scene) -> Float[ndarray, "one train"]:
    """The share of each training record; no model is looked at."""
    return pixel_grid(scene.suite.data.train.x)[None]


DEFENCE = Defence(
    summary="share of values that lie between the grey levels of all other pictures",
    when="training",
    price="one look at the data, no model; no honest picture is held back; an attacker who rounds passes",
    source="ours; the grey levels of a picture that was stored in 8 bits are multiples of 1/255",
    records=records,
)

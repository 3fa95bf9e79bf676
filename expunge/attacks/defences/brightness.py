"""The values of pictures between black and white, told from the data where inputs are standardised."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

COMMON = 0.02  # the share of pictures that reach black, or white: more than one owner contributes


def brightness(x: Tensor) -> Float[Tensor, "n values"] | None:
    """The values of each record, 0 for black and 1 for white; None where no such range can be told.

    Where most records lie within [0, 1], as pixels do that are only scaled, the values are what they are. Else the
    pixels of pictures ``(n, channels, height, width)`` are taken for standardised channel by channel, and black is the
    lowest value that is the minimum of 2 % of the pictures or more, white the highest such maximum: pixels come in a
    few levels, so honest pictures meet at the ends, and the values of a few that lie beyond are not common. Tables of
    other ranges have none.
    """
    values = x.flatten(1).float()
    within = ((values >= 0) & (values <= 1)).all(1)
    if within.double().mean() > 0.5:
        return values
    channels = [_between_ends(channel.flatten(1)) for channel in x.float().unbind(1)] if x.ndim == 4 else [None]
    told = [channel for channel in channels if channel is not None]
    return torch.cat(told, dim=1) if len(told) == len(channels) else None


def _between_ends(channel: Float[Tensor, "n pixels"]) -> Float[Tensor, "n pixels"] | None:
    low, high = _common(channel.amin(1)), _common(channel.amax(1))
    if not len(low) or not len(high) or low[0] >= high[-1]:
        return None
    return (channel - float(low[0])) / float(high[-1] - low[0])


def _common(ends: Float[Tensor, " n"]) -> Float[np.ndarray, " found"]:
    found, counts = np.unique(ends.numpy(), return_counts=True)
    return found[counts >= max(2, COMMON * len(ends))]

"""Pictures changed at random while training: each model changes each of its examples by chance of its own."""

from collections.abc import Iterable, Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int
from torch import Tensor

from expunge.ensembles.seeds import Generators
from expunge.errors import BadSetting

PAD = 4  # pixels of zeros on every side before a crop


def augmented(
    batches: Iterable[tuple[Tensor, Tensor]],
    augment: Literal["none", "flip", "flip-crop"],
    generators: Generators,
    n: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """``batches`` of one epoch of ``n`` examples, changed; the chance of the whole epoch is drawn before the first."""
    if augment == "none":
        yield from batches
        return
    flips = generators.integers(2, n).bool()
    corners = generators.integers(2 * PAD + 1, 2 * n).unflatten(1, (n, 2)) if augment == "flip-crop" else None
    seen = 0
    for x, y in batches:
        part = slice(seen, seen + y.shape[1])
        seen = part.stop
        if x.ndim != 5:
            raise BadSetting(
                f"augment={augment!r}: expected pictures (channels, height, width), got {tuple(x.shape[2:])}; "
                "take augment='none'"
            )
        x = flipped(x, flips[:, part])
        yield (x if corners is None else cropped(x, corners[:, part])), y


def flipped(x: Tensor, flips: Bool[Tensor, "models batch"]) -> Tensor:
    """Left and right exchanged in the pictures ``(models, batch, channels, height, width)`` that ``flips`` says."""
    return torch.where(flips[:, :, None, None, None], x.flip(-1), x)


def cropped(x: Tensor, corners: Int[Tensor, "models batch 2"]) -> Tensor:
    """Pictures padded with ``PAD`` zeros, then cut to their size at ``corners``: rows and columns from 0 to 2 PAD."""
    height, width = x.shape[-2:]
    rows = corners[..., 0, None] + torch.arange(height, device=x.device)  # (models, batch, height)
    columns = corners[..., 1, None] + torch.arange(width, device=x.device)
    places = (rows[..., None] * (width + 2 * PAD) + columns[..., None, :]).flatten(2)  # of a padded, flattened picture
    padded = F.pad(x, (PAD,) * 4).flatten(3)
    taken = padded.gather(3, places.unsqueeze(2).expand(-1, -1, x.shape[2], -1))
    result: Tensor = taken.unflatten(3, (height, width))
    return result

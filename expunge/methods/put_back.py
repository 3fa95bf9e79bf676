"""What BatchNorm's running statistics alone did to models: the loss on retain with the given ones put back."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _NormBase

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.origin import Meter
from expunge.suites.data import Examples
from expunge.suites.target import Target

MOST = 200  # retained examples that are looked at, evenly spaced
TOGETHER = 50  # of them at once


class PutBack(NamedTuple):
    """Mean loss on some retained examples, in nats, over models: as they are, and with the given statistics."""

    after: float
    back: float


def put_back(before: Ensemble, after: Ensemble, retain: Examples, target: Target) -> PutBack | None:
    """Both losses; None of networks without running statistics, and of models whose own did not move or that are built
    otherwise, as the votes of shards."""
    names = [
        f"{path}.{name}".lstrip(".")
        for path, layer in after.network.named_modules()
        if isinstance(layer, _NormBase)
        for name, _ in layer.named_buffers(recurse=False)
    ]
    given, own = before.state(), after.state()
    if given.keys() != own.keys() or all(torch.equal(given[name], own[name]) for name in names):
        return None
    mixed = {**own, **{name: given[name] for name in names}}
    other = Ensemble.from_state(after.network, mixed, after.origin, after.sample_shape, after.masks).eval()
    rows = np.linspace(0, len(retain) - 1, min(MOST, len(retain))).round().astype(int)
    return PutBack(*(_loss(each, retain.take(rows), target) for each in (after, other)))


@torch.no_grad()
def _loss(models: Ensemble, examples: Examples, target: Target) -> float:
    """The mean loss in nats, ``log(1 + exp(-margin))``, over columns and models."""
    meter, models.meter, losses = models.meter, Meter(), list[Tensor]()
    for x, y in zip(examples.x.split(TOGETHER), examples.y.split(TOGETHER), strict=True):
        x, y = x.to(models.device), y.to(models.device)
        losses.append(torch.nn.functional.softplus(-target.margins(models(x), y)))
    models.meter = meter
    return float(torch.cat(losses, dim=1).mean())


def joined(parts: Sequence[PutBack | None], sizes: Sequence[int]) -> PutBack | None:
    """Of all models, from those of groups of these sizes; None where a group has none."""
    known = [each for each in parts if each is not None]
    if not known or len(known) < len(parts):
        return None
    whole = sum(sizes)
    after, back = (sum(each[at] * size for each, size in zip(known, sizes, strict=True)) / whole for at in (0, 1))
    return PutBack(after, back)

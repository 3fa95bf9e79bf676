"""Networks whose steps cannot be done again, and suites of them."""

from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor, nn

from expunge.suites import Suite


class Unpooled(nn.Module):
    """Pools and unpools, for which torch has no deterministic algorithm, on a CPU neither."""

    REFUSED = "max_unpooling2d_forward_out"

    def forward(self, x: Tensor) -> Tensor:
        pooled, places = F.max_pool2d(x.unflatten(-1, (1, 8, 8)), 2, return_indices=True)
        return F.max_unpool2d(pooled, places, [2, 2]).flatten(1)


def suite_of(suite: Suite, layer: nn.Module) -> Suite:
    """``suite`` with ``layer`` between two linear ones."""

    def network() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), layer, nn.Linear(64, 10))

    return replace(suite, name="own", network=network)

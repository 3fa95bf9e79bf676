"""What attackers have: records of their own in the training data, a budget of requests, a range that values keep to."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int, Shaped
from numpy import ndarray
from torch import Tensor

from expunge.attacks.condensing.material import per_channel
from expunge.attacks.condensing.shared_augmentation import has_pictures
from expunge.attacks.lab.provider import Provider
from expunge.ensembles.seeds import seed_of
from expunge.errors import BadSetting
from expunge.suites.suite import Suite


def owned_records(suite: Suite, share: float) -> int:
    """How many records an owner of this share of the training data has."""
    return max(1, round(share * suite.data.sizes[0]))


def require_budget(suite: Suite, budget: int, owned: float) -> None:
    """Refuse a budget of nothing, or of more records than the attacker owns and the data leave."""
    train = suite.data.sizes[0]
    if not 0 < owned < 1:
        raise BadSetting(
            f"expected owned to be a share of the {train} training examples, above 0 and below 1, got {owned:g}; "
            "give --set owned=0.2"
        )
    most = owned_records(suite, owned)
    if not 1 <= budget <= most:
        raise BadSetting(
            f"expected a budget of 1 to {most} records, what the attacker owns of the {train} of suite {suite.name!r}, "
            f"got {budget}; give --set budget=N, or --set owned=SHARE for an attacker who owns more"
        )


def owned_by_attackers(provider: Provider, share: float, seed: int) -> Int[ndarray, "victims owned"]:
    """The records in the training data that the attacker of each victim owns, drawn uniformly."""
    suite, count = provider.suite, owned_records(provider.suite, share)
    draws = [np.random.default_rng(seed_of(suite.digest, "owned", seed, model)) for model in provider.models]
    return np.stack([np.sort(rng.permutation(suite.data.sizes[0])[:count]) for rng in draws])


@dataclass(frozen=True, eq=False)
class Range:
    """The values that inputs keep to: ``low`` and ``high`` of each channel, as the training data have them."""

    low: Tensor
    high: Tensor

    def to(self, device: torch.device) -> "Range":
        """The same where the models are."""
        return Range(self.low.to(device), self.high.to(device))

    def kept(self, x: Tensor, around: Tensor, eps: float) -> Tensor:
        """``x`` brought within ``eps``, a share of the range, of ``around``, and within the range."""
        reach = eps * (self.high - self.low)
        near = torch.minimum(torch.maximum(x, around - reach), around + reach)
        return torch.minimum(torch.maximum(near, self.low), self.high)


AS_THEY_ARE = "perturbed points would keep to: expected pictures; ask for points as they are, --set eps=0"


def pixel_range(suite: Suite, why: str = AS_THEY_ARE) -> Range:
    """The range of a suite of pictures; where it has none, a BadSetting that says ``why`` there has to be one."""
    if not has_pictures(suite):
        raise BadSetting(f"suite {suite.name!r} has no pixel range that {why}")
    x = suite.data.train.x
    return Range(per_channel(x, "amin"), per_channel(x, "amax"))


def require_eps(suite: Suite, eps: float) -> None:
    """Refuse a perturbation that is no share of the range, or of points that have none."""
    if not 0 <= eps <= 1:
        raise BadSetting(f"expected eps to be a share of the pixel range, 0 to 1, got {eps:g}; give --set eps=0.0627")
    if eps:
        pixel_range(suite)


def of_each(tensor: Shaped[Tensor, "n ..."], rows: Int[ndarray, "victims m"]) -> Shaped[Tensor, "victims m ..."]:
    """The rows of each victim; what is stored in 16 bits in 32, in which it is computed on."""
    found: Tensor = tensor[torch.from_numpy(rows)]
    return found.float() if found.dtype == torch.float16 else found

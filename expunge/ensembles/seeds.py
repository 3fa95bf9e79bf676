"""Where chance comes from: every model has generators of its own, named by what it is for; nothing is global."""

import hashlib
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor


def seed_of(*names: str | int) -> int:
    """A 63-bit seed from the names: the same names, the same seed, on every machine.

    >>> seed_of("pretrained", 0) == seed_of("pretrained", 0) != seed_of("pretrained", 1)
    True
    """
    text = "\0".join(map(str, names)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1


class Generators:
    """One ``torch.Generator`` per model, so that a model's chance does not depend on which models stand beside it.

    They draw on ``device``, where their models are; the same seeds give other numbers on a GPU than on the CPU.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._each = [torch.Generator(self.device).manual_seed(seed) for seed in seeds]

    def __len__(self) -> int:
        return len(self._each)

    def one(self, row: int) -> "Generators":
        """The generator of one model, shared: what is drawn from either is drawn."""
        alone = Generators([], self.device)
        alone._each = [self._each[row]]
        return alone

    def beside(self, name: str) -> "Generators":
        """Further generators, one per model, that draw nothing from these: they follow from where these stand now."""
        other = Generators([], self.device)
        pairs = zip(self._each, self.seeds(name), strict=True)
        other._each = [torch.Generator(each.device).manual_seed(seed) for each, seed in pairs]
        return other

    def seeds(self, name: str) -> list[int]:
        """A seed for each model, which follows from where its generator stands; nothing is drawn."""
        return [seed_of(name, each.get_state().numpy().tobytes().hex()) for each in self._each]

    def permutation(self, n: int) -> Int[Tensor, "models n"]:
        """An order of ``0..n-1`` for every model."""
        return torch.stack([torch.randperm(n, generator=each, device=self.device) for each in self._each])

    def integers(self, high: int, n: int) -> Int[Tensor, "models n"]:
        """``n`` uniform integers in ``[0, high)`` for every model."""
        return torch.stack([torch.randint(high, (n,), generator=each, device=self.device) for each in self._each])

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> Float[Tensor, "models ..."]:
        """Standard normal numbers of ``shape`` for every model."""
        drawn = [torch.randn(shape, generator=each, device=self.device, dtype=dtype) for each in self._each]
        return torch.stack(drawn)

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float32) -> Float[Tensor, "models ..."]:
        """Uniform numbers in ``[0, 1)`` of ``shape`` for every model."""
        drawn = [torch.rand(shape, generator=each, device=self.device, dtype=dtype) for each in self._each]
        return torch.stack(drawn)

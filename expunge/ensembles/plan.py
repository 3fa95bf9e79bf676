"""Which ensemble is meant: its suite, its kind, its forget set, and where it lies in a store."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from expunge.ensembles.origin import Kind, Origin
from expunge.suites.suite import ForgetSet, Suite

if TYPE_CHECKING:
    from expunge.ensembles.kinds import EnsembleKind


@dataclass(frozen=True)
class Plan:
    """Which ensemble: its suite, kind, forget set, and settings of its kind; kinds are those of KINDS in ``kinds.py``.

    ``weights`` says that weights are kept, of a kind that keeps none unasked.
    """

    suite: Suite
    kind: Kind
    forget: ForgetSet | None = None
    weights: bool = False
    settings: tuple[tuple[str, int], ...] = ()

    @property
    def kind_row(self) -> "EnsembleKind":
        """How its kind is trained and stored."""
        from expunge.ensembles.kinds import KINDS  # whose rows train, and training knows plans

        return KINDS[self.kind]

    @property
    def key(self) -> str:
        """Where it lies in a store."""
        apart = self.weights and not self.kind_row.keeps_weights
        folder = self.kind_row.folder + ("-weights" if apart else "")
        name = f"/{self.forget.key}" if self.forget else ""
        settings = "".join(f"/{key}-{value}" for key, value in self.settings)
        return f"{self.suite.digest}/{folder}{settings}{name}"

    @property
    def keeps_weights(self) -> bool:
        return self.weights or self.kind_row.keeps_weights

    @property
    def label(self) -> str:
        return f"{self.kind} {self.forget.name}" if self.forget else self.kind

    def chunks(self, models: range) -> range:
        """The numbers of the chunks that hold these models."""
        size = self.suite.chunk
        return range(models.start // size, -(-models.stop // size))

    def chunk_key(self, chunk: int) -> str:
        """Where a chunk lies in a store, with its weights."""
        return f"{self.key}/chunks/{chunk:04d}"

    def setting(self, name: str) -> int:
        return dict(self.settings)[name]

    def origin(self, models: Sequence[int]) -> Origin:
        forget = self.forget.key if self.forget else None
        return Origin(self.suite.address, self.suite.digest, self.kind, forget, tuple(models))


def new_networks(network: Callable[[], nn.Module], seeds: Sequence[int]) -> list[nn.Module]:
    """Networks whose first weights are drawn on the CPU, from a seed each: the same on every device."""
    networks = []
    for seed in seeds:
        with torch.random.fork_rng(devices=[]):  # layers draw their initial weights from the global generator
            torch.manual_seed(seed)
            networks.append(network())
    return networks

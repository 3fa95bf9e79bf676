"""Which ensemble is meant: its suite, its kind, its forget set, and where it lies in a store."""

from collections.abc import Sequence
from dataclasses import dataclass

from expunge.ensembles.ensemble import Kind, Origin
from expunge.suites.suite import ForgetSet, Suite

_FOLDERS = {"pretrained": "pretrained", "oracle": "oracles", "subset": "subsets"}


@dataclass(frozen=True)
class Plan:
    """Which ensemble: its suite, kind, forget set, and whether weights are kept."""

    suite: Suite
    kind: Kind
    forget: ForgetSet | None = None
    weights: bool = False

    @property
    def key(self) -> str:
        folder = _FOLDERS[self.kind] + ("-weights" if self.weights and self.kind == "oracle" else "")
        name = f"/{self.forget.key}" if self.forget else ""
        return f"{self.suite.digest}/{folder}{name}"

    @property
    def keeps_weights(self) -> bool:
        return self.weights or self.kind == "pretrained"

    @property
    def label(self) -> str:
        return f"{self.kind} {self.forget.name}" if self.forget else self.kind

    def origin(self, models: Sequence[int]) -> Origin:
        forget = self.forget.key if self.forget else None
        return Origin(self.suite.address, self.suite.digest, self.kind, forget, tuple(models))

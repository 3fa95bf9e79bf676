"""What an attack is: who does it, what for, what they know and when; and the records of what it does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from expunge.engine import Watch, Workers
from expunge.ensembles.device import chosen_device, device_name
from expunge.fingerprint import code_digest
from expunge.methods.references import REFERENCES, Reference
from expunge.metrics.calibration import Estimate
from expunge.records import Score, Setting, SplitName, Subject, as_ranges, hardware, versions
from expunge.suites.suite import ForgetSet, Suite

Role = Literal["contributor", "requester", "model user"]
Goal = Literal["untargeted", "targeted", "privacy", "other"]
Knowledge = Literal["white box", "grey box", "black box"]
Phase = Literal["training", "unlearning", "after unlearning"]


@runtime_checkable
class Run(Protocol):
    """Runs an attack on a suite and gives its records; what else it makes it writes into the folder ``out``."""

    def __call__(self, suite: Suite, config: Any, out: Path, *, workers: Workers, watch: Watch) -> list[Score]: ...


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One row of ATTACKS; each attack's own file ends with it.

    ``check(suite, config)`` refuses what cannot be, before any work. Roles, goal, knowledge and phases are the axes of
    Liu et al. 2025, arXiv:2403.13682.
    """

    run: Run
    check: Callable[[Suite, Any], None]
    config: type
    summary: str
    roles: tuple[Role, ...]
    goal: Goal
    knowledge: Knowledge
    phases: tuple[Phase, ...]
    cite: tuple[str, ...]  # keys of references.toml, the source first

    @property
    def references(self) -> dict[str, Reference]:
        """The publications that it cites."""
        return {key: REFERENCES[key] for key in self.cite}

    @property
    def source(self) -> str:
        """The first reference in a few words."""
        return REFERENCES[self.cite[0]].short


@dataclass(frozen=True)
class Place:
    """What records of an attack speak of: the suite with what was injected, a request, and settings of the attack."""

    suite: Suite
    request: ForgetSet
    facts: Mapping[str, Setting]
    models: int

    def score(
        self,
        method: str,
        split: SplitName,
        metric: str,
        aggregate: str,
        estimate: Estimate | None,
        *,
        module: str,
        facts: Mapping[str, Setting] | None = None,
        oracle: float | None = None,
        reason: str = "",
    ) -> Score:
        """One record; without an estimate it is that of a number that could not be had, for this ``reason``."""
        subject = Subject(
            suite=self.suite.name,
            suite_digest=self.suite.digest,
            forget_set=self.request.name,
            forget_digest=self.request.sha256,
            method=method,
            config={**self.facts, **(facts or {})},
            tuning="",
            seed=0,
            model_numbers=as_ranges(range(self.models)),
            device=device_name(chosen_device()),
            hardware=hardware(),
            code=code_digest(module)[:16],
            versions=versions(),
        )
        return Score(
            subject=subject,
            split=split,
            metric=metric,
            aggregate=aggregate,
            value=None if estimate is None else estimate.value,
            low=None if estimate is None else estimate.low,
            high=None if estimate is None else estimate.high,
            models=self.models,
            oracle_models=self.models,
            epoch=None,
            cost=None,
            seconds=None,
            status="failed" if estimate is None else "ok",
            reason=reason,
            oracle=oracle,
        )

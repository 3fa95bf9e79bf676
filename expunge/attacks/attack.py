"""What an attack is: who does it, what for, what they know and when; and the records of what it does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from expunge.attacks.lab.arms import HONEST, USUAL, Arm, Played
from expunge.attacks.lab.provider import Provider
from expunge.attacks.planted import Garden
from expunge.engine import Watch, Workers
from expunge.ensembles.device import chosen_device, device_name
from expunge.fingerprint import code_digest
from expunge.methods.references import REFERENCES, Reference
from expunge.metrics.calibration import Estimate
from expunge.records import Score, Setting, SplitName, Subject, as_ranges, hardware, versions
from expunge.suites.request import Request
from expunge.suites.suite import Suite

Role = Literal["contributor", "requester", "model user"]
Goal = Literal["untargeted", "targeted", "privacy", "other"]
Knowledge = Literal["white box", "grey box", "black box"]
Phase = Literal["training", "unlearning", "after unlearning"]
Reads = Literal["nothing", "answers", "weights"]
ServedAs = Literal["at once", "in rounds", "by itself"]


@runtime_checkable
class Run(Protocol):
    """Runs an attack on a suite and gives its records; what else it makes it writes into the folder ``out``."""

    def __call__(self, suite: Suite, config: Any, out: Path, *, workers: Workers, watch: Watch) -> list[Score]: ...


@runtime_checkable
class Play(Protocol):
    """Plays an attack of the lab, and its controls, against the victims of one provider."""

    def __call__(self, provider: Provider, config: Any) -> Played: ...


@runtime_checkable
class Partly(Protocol):
    """What an attack comes to where a defence let only a part of each request through; None: nothing of it."""

    def __call__(self, provider: Provider, config: Any, requests: Sequence[Request | None]) -> Arm: ...


@runtime_checkable
class Note(Protocol):
    """What must be read beside the success of an attack: in short, then ``:`` and why; "" where that is nothing."""

    def __call__(self, played: Played, config: Any) -> str: ...


@runtime_checkable
class Planted(Protocol):
    """The victims of an attack that plants records, each with what was planted in its training data."""

    def __call__(self, provider: Provider, config: Any) -> Garden: ...


@dataclass(frozen=True)
class Success:
    """What an attack of the lab counts as its success: in words, with the least and the most that it can be.

    A ``share`` is one, 0 to 1, and is written in per cent. More is better for the attacker. An attack shows where it
    has more than the control ``against``: an honest request, or the oracle where the question is what removal left.
    """

    what: str
    least: float = 0.0
    most: float = 1.0
    share: bool = True
    against: str = HONEST


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One row of ATTACKS; each attack's own file ends with it.

    ``check(suite, config)`` refuses what cannot be, before any work. Roles, goal, knowledge and phases are the axes of
    Liu et al. 2025, arXiv:2403.13682. An attack of the lab has ``play``, ``success``, and ``idle``: settings with which
    it does just what its honest control does; ``partly`` where it knows what a part of its requests comes to. Another
    has ``run``, and a command of its own. ``arms`` says in words what a control is where it is not the usual one.

    What a defence can change is what an attack ``reads`` of the models before and after, and how its requests are
    ``served``: one at once, in rounds of which each answers the last, or by a removal of the attack's own. One that
    plants records says by ``planted`` on what its victims train. A ``note`` is what must be read beside its success.
    """

    check: Callable[[Suite, Any], None]
    config: type
    summary: str
    roles: tuple[Role, ...]
    goal: Goal
    knowledge: Knowledge
    phases: tuple[Phase, ...]
    cite: tuple[str, ...]  # keys of references.toml, the source first
    run: Run | None = None
    play: Play | None = None
    success: Success | None = None
    idle: Mapping[str, Setting] = field(default_factory=dict)
    partly: Partly | None = None
    reads: Reads = "nothing"
    served: ServedAs = "at once"
    planted: Planted | None = None
    note: Note | None = None
    arms: Mapping[str, str] = field(default_factory=dict)
    example: str = ""  # arguments of a run that ends within a minute, behind `expunge attack NAME`

    @property
    def module(self) -> str:
        """The module that it is written in."""
        made = self.play or self.run
        return getattr(made, "__module__", __name__)

    @property
    def controls(self) -> dict[str, str]:
        """What each control is, in words."""
        return {**USUAL, **self.arms}

    @property
    def references(self) -> dict[str, Reference]:
        """The publications that it cites."""
        return {key: REFERENCES[key] for key in self.cite}

    @property
    def sources(self) -> list[str]:
        """What it is from, the first reference first, in a few words each."""
        return [each.short for each in self.references.values()]


@runtime_checkable
class Asked(Protocol):
    """What was asked to be removed: a forget set, or several requests under one name."""

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str: ...


@dataclass(frozen=True)
class Place:
    """What records of an attack speak of: the suite with what was injected, a request, and settings of the attack."""

    suite: Suite
    request: Asked
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
        cost: float | None = None,
        seconds: float | None = None,
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
            cost=cost,
            seconds=seconds,
            status="failed" if estimate is None else "ok",
            reason=reason,
            oracle=oracle,
        )

"""One method on one forget set, on its way to records."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from numpy import ndarray

from expunge.ensembles.measured import Measured
from expunge.metrics.calibration import Estimate
from expunge.records import Score, Setting, Split, hardware, versions
from expunge.suites import ForgetSet, Suite


@dataclass(frozen=True)
class Row:
    """One method on one forget set: its margins, and how they came to be."""

    suite: Suite
    forget: ForgetSet
    method: str
    measured: Measured
    config: Mapping[str, Setting] = field(default_factory=dict)
    epoch: int | None = None
    cost: float | None = None
    seconds: float | None = None
    seed: int = 0
    recipe: str = ""
    run_times: tuple[float, ...] = ()  # seconds for one model, of each chunk of models

    @property
    def columns(self) -> dict[str, ndarray]:
        return self.suite.columns(self.forget)

    def score(
        self,
        split: Split,
        metric: str,
        aggregate: str,
        estimate: Estimate,
        oracles: int,
        *,
        oracle: float | None = None,
    ) -> Score:
        """The record of one number of this row; ``oracle`` is what the oracles get, where that is no row of its own."""
        return Score(
            suite=self.suite.name,
            suite_digest=self.suite.digest,
            forget_set=self.forget.name,
            method=self.method,
            config=dict(self.config),
            split=split,
            metric=metric,
            aggregate=aggregate,
            value=estimate.value,
            low=estimate.low,
            high=estimate.high,
            models=len(self.measured.margins),
            oracle_models=oracles,
            epoch=self.epoch,
            cost=self.cost,
            seconds=self.seconds,
            status="ok",
            reason="",
            seed=self.seed,
            hardware=hardware(),
            versions=versions(),
            recipe=self.recipe,
            oracle=oracle,
        )

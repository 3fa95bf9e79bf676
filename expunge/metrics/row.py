"""One method on one forget set, on its way to records; and what it is compared with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from expunge.ensembles.ensemble import Ensemble
from expunge.ensembles.stored_margins import EnsembleMargins
from expunge.errors import TooFewModels
from expunge.fingerprint import code_digest
from expunge.methods.put_back import PutBack
from expunge.metrics.blockwise import ByExample
from expunge.metrics.calibration import Estimate
from expunge.metrics.dealing import dealt_spread
from expunge.metrics.jackknife import LeftOut, leave_out
from expunge.metrics.wasserstein import least_scale, wasserstein
from expunge.records import Score, Setting, SplitName, Subject, as_ranges, hardware, versions
from expunge.suites import ForgetSet, Suite

LEAST_ORACLES = 3

PerModel = Callable[[Suite, ForgetSet, EnsembleMargins], Float[ndarray, " models"] | None]


@dataclass(frozen=True, eq=False)
class Row:
    """One method on one forget set: its margins, and how they came to be; one line of a bench."""

    suite: Suite
    forget: ForgetSet
    method: str
    margins: EnsembleMargins
    config: Mapping[str, Setting] = field(default_factory=dict)
    epoch: int | None = None
    cost: float | None = None
    seconds: float | None = None
    seed: int = 0
    tuning: str = ""  # which settings ``config`` are, in words
    budget: float | None = None  # share of a retraining that it may cost
    run_times: tuple[float, ...] = ()  # seconds for one model, of each chunk of models
    device: str = ""  # where the models were computed; default: where the margins were
    modules: tuple[str, ...] = ("expunge.ensembles.builds",)  # of expunge, that made the models
    own_code: str = ""  # digest of the user's own file that made them
    weights: Callable[[], Ensemble] | None = None  # the models themselves, where they can be had
    put_back: PutBack | None = None  # what BatchNorm's statistics alone did to the loss on retain
    alarms: tuple[str, ...] = ()  # why its numbers are not to be read as forgetting; such a row has no rank

    @property
    def columns(self) -> dict[SplitName, ndarray]:
        return self.suite.columns(self.forget)

    def has(self, what: str) -> bool:
        """Whether the row has what a metric reads."""
        return {
            "margins": True,
            "correct": self.margins.correct is not None,
            "run times": len(self.run_times) >= 2,  # of less than two chunks there is no interval
            "weights": self.weights is not None,
        }[what]

    @cached_property
    def per_model(self) -> "PerModelScores":
        """Numbers of each model."""
        return PerModelScores(self.suite, self.forget, self.margins)

    def subject(self, *modules: str) -> Subject:
        """What a record of this row speaks of, whose number was computed by ``modules`` of expunge."""
        code = code_digest(*self.modules, *modules)[:16]
        return Subject(
            suite=self.suite.name,
            suite_digest=self.suite.digest,
            forget_set=self.forget.name,
            forget_digest=self.forget.sha256,
            method=self.method,
            config=dict(self.config),
            tuning=self.tuning,
            seed=self.seed,
            model_numbers=as_ranges(self.margins.origin.models),
            device=self.device or self.margins.device,
            hardware=hardware(),
            code=f"{code}+{self.own_code}" if self.own_code else code,
            versions=versions(),
            forget_kind=self.forget.kind,
            budget=self.budget,
        )

    def score(
        self,
        split: SplitName,
        metric: str,
        aggregate: str,
        estimate: Estimate,
        reference: "Reference",
        *,
        oracle: float | None = None,
        module: str,
    ) -> Score:
        """The record of one number of this row, computed by the ``module`` of its metric.

        ``oracle`` is what the oracles get, where that is no row of its own.
        """
        return Score(
            subject=self.subject(module),
            split=split,
            metric=metric,
            aggregate=aggregate,
            value=estimate.value,
            low=estimate.low,
            high=estimate.high,
            models=len(self.margins.values),
            oracle_models=reference.models,
            epoch=self.epoch,
            cost=self.cost,
            seconds=self.seconds,
            status="ok",
            reason="; ".join(self.alarms),
            oracle=oracle,
        )


@dataclass(frozen=True, eq=False)
class Reference:
    """What the rows of a forget set are compared with: the oracles, and the held-out ones that are the floor."""

    suite: Suite
    forget: ForgetSet
    oracle: EnsembleMargins
    held_out: EnsembleMargins
    retraining_seconds: float | None = None  # of one model on this machine, where it was measured
    untouched: EnsembleMargins | None = None  # pretrained models, as many as the row's: what doing nothing gives
    _distances: WeakKeyDictionary[EnsembleMargins, LeftOut] = field(default_factory=WeakKeyDictionary, init=False)

    @property
    def models(self) -> int:
        """How many oracles rows are compared with."""
        return len(self.oracle.values)

    def distances(self, margins: EnsembleMargins) -> LeftOut:
        """The mean distance to the oracles on forget, retain and test, in their sd, with what an interval needs.

        It is computed once for each ensemble. With fewer than 3 oracles there is no interval, for one that is left out
        leaves no spread: :class:`TooFewModels`.
        """
        if self.models < LEAST_ORACLES:
            raise TooFewModels(
                f"expected {LEAST_ORACLES} oracles or more for the interval of a distance, got {self.models}"
            )
        if (known := self._distances.get(margins)) is not None:
            return known
        return self._distances.setdefault(margins, leave_out(self._mean_distances, margins.values, self.oracle.values))

    @cached_property
    def _mean_distances(self) -> ByExample:
        return mean_distances(self.least_scale, list(self.suite.columns(self.forget).values()))

    @cached_property
    def floor_spread(self) -> Float[ndarray, " splits"]:
        """The standard deviation of the floor of each split, over deals of the oracles and the held-out ones."""
        return dealt_spread(self._mean_distances, self.held_out.values, self.oracle.values)

    @cached_property
    def least_scale(self) -> float:
        """The least standard deviation of oracles that a distance is divided by."""
        return least_scale(self.oracle.values)

    @property
    def floor(self) -> LeftOut:
        """The distances of held-out oracles."""
        return self.distances(self.held_out)

    @property
    def nothing(self) -> LeftOut | None:
        """The distances of the untouched models; None where a store has none of them."""
        return None if self.untouched is None else self.distances(self.untouched)

    @cached_property
    def per_oracle(self) -> "PerModelScores":
        """Numbers of each oracle."""
        return PerModelScores(self.suite, self.forget, self.oracle)

    @cached_property
    def per_held_out(self) -> "PerModelScores":
        """Numbers of each held-out oracle."""
        return PerModelScores(self.suite, self.forget, self.held_out)


def mean_distances(least: float, splits: Sequence[Int[ndarray, " _columns"]]) -> ByExample:
    """The distance, mean over the examples of each split, as a statistic of two ensembles.

    ``least`` is the :func:`~expunge.metrics.wasserstein.least_scale` of all oracles, whichever are left out.
    """

    def means(values: ndarray) -> ndarray:
        return np.array([values[split].mean() for split in splits])

    return ByExample(partial(wasserstein, least=least), means)


class PerModelScores:
    """Numbers of each model of an ensemble, each kind computed once, when it is first asked for."""

    def __init__(self, suite: Suite, forget: ForgetSet, margins: EnsembleMargins) -> None:
        self._place = (suite, forget, margins)
        self._known: dict[PerModel, Float[ndarray, " models"] | None] = {}

    def get(self, function: PerModel) -> Float[ndarray, " models"] | None:
        """What ``function(suite, forget, margins)`` says of each model; None where it cannot be told."""
        if function not in self._known:
            found = function(*self._place)
            self._known[function] = None if found is None else np.asarray(found)
        return self._known[function]

"""From records to rows: all that is known of one method on one forget set, side by side."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from expunge.errors import UserError
from expunge.records import LIKELY, SPLITS, Score, SplitName

FLOOR = "oracle"  # held-out oracles against the reference oracles
NOTHING = "identity"  # the untouched models
OVER = 1.1  # times the budget: what costs more is marked

Key = tuple[str, str, SplitName]  # (metric, aggregate, split)


@dataclass(frozen=True)
class Interval:
    """A number and its 95 % interval; ``low`` and ``high`` are ``None`` where no interval could be given.

    ``oracle`` is what the oracles get of the same number, where the record says it.
    """

    value: float
    low: float | None
    high: float | None
    oracle: float | None = None


@dataclass(frozen=True)
class Summary:
    """One method on one forget set. What was not measured is absent from ``cells``, never 0."""

    forget_set: str
    method: str
    models: int
    oracle_models: int
    cells: Mapping[Key, Interval]
    cost: float | None  # share of one retraining
    seconds: float | None  # to unlearn one model
    failed: bool
    reason: str  # why it failed, or is doubted
    kind: str = ""  # of the forget set
    budget: float | None = None  # share of one retraining that it may cost, for which tuned settings were taken

    def distance(self, split: SplitName) -> Interval | None:
        """The mean distance to the oracles over the examples of ``split``, in their standard deviations."""
        return self.cells.get(("distance", "mean", split))

    @property
    def doubts(self) -> str:
        """Why it is doubted, or failed; "" where it is not."""
        return self.reason.partition(LIKELY)[0].removesuffix("; ")

    @property
    def cause(self) -> str:
        """Why it likely breaks the model, in words that say that it is likely; "" where nothing is known."""
        return "".join(self.reason.partition(LIKELY)[1:])

    @property
    def dear(self) -> bool:
        """Whether it costs more than the budget of its bench, and not by a rounding.

        Costs of tuned settings are those on a forget set of tuning, which may have a few examples more or less.
        """
        return self.cost is not None and self.budget is not None and self.cost > OVER * self.budget

    @property
    def closed(self) -> Interval | None:
        """The share of the gap closed on forget, 1 at the floor; None on a set without headroom."""
        return self.cells.get(("gap-closed", "mean", "forget"))

    def drift(self, split: SplitName) -> Interval | None:
        """How much farther than the floor it lies on retain or test, in standard deviations of the oracles."""
        return self.cells.get(("drift", "mean", split))

    def klom(self, split: SplitName) -> Interval | None:
        """The P95 of KLoM over the examples of ``split``, in nats."""
        return self.cells.get(("klom", "p95", split))

    def accuracy(self, split: SplitName) -> Interval | None:
        """The mean accuracy on ``split``, 0 to 1."""
        return self.cells.get(("accuracy", "mean", split))

    @property
    def rank(self) -> Interval | None:
        """Place by distance, mean over the splits: one plus the number significantly better, to the last left open."""
        return self.cells.get(("rank", "distance", "forget"))

    @property
    def group(self) -> int | None:
        """Which methods it cannot be told from the nearest of, 1 the nearest."""
        cell = self.cells.get(("rank", "group", "forget"))
        return None if cell is None else round(cell.value)

    def classic(self, name: str, aggregate: str = "mean") -> Interval | None:
        """A classic score, or with ``aggregate`` "gap" its signed gap; only where the oracles' value is known."""
        found = (self.cells.get((name, aggregate, split)) for split in SPLITS)
        return next((cell for cell in found if cell and cell.oracle is not None), None)

    def strays(self, split: SplitName) -> float:
        """The share of models that lie far outside their ensemble on a split."""
        share = self.cells.get(("outliers", "share", split))
        return share.value if share else 0.0

    def scattered(self, split: SplitName) -> float:
        """The share of single margins that lie far outside their ensemble on a split."""
        share = self.cells.get(("outliers", "cells", split))
        return share.value if share else 0.0

    def model_level(self, split: SplitName) -> Interval | None:
        """The p-value of whole models being oracles, 0 to 1."""
        return self.cells.get(("model-level", "p-value", split))

    def distinguishable(self, split: SplitName) -> Interval | None:
        """The share of examples whose margins differ from the oracles', 0 to 1."""
        return self.cells.get(("distinguishable", "share", split))


def summaries(scores: Iterable[Score]) -> list[Summary]:
    """One row per (forget set, method), in the order of first appearance.

    A number that is there twice is refused: which of the two to show would be a guess.
    """
    grouped: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        grouped.setdefault((score.subject.forget_set, score.subject.method), []).append(score)
    return [_row(group) for group in grouped.values()]


def _row(group: list[Score]) -> Summary:
    cells: dict[Key, Interval] = {}
    for score in group:
        key = (score.metric, score.aggregate, score.split)
        if key in cells:
            raise UserError(
                f"expected one {score.metric} {score.aggregate} on {score.split} of {score.subject.method!r} for "
                f"forget set {score.subject.forget_set!r}, got two; report each run from its own folder"
            )
        if score.value is not None:
            cells[key] = Interval(score.value, score.low, score.high, score.oracle)
    first, failed = group[0], [score for score in group if score.status == "failed"]
    return Summary(
        forget_set=first.subject.forget_set,
        method=first.subject.method,
        models=first.models,
        oracle_models=first.oracle_models,
        cells=cells,
        cost=next((score.cost for score in group if score.cost is not None), None),
        seconds=next((score.seconds for score in group if score.seconds is not None), None),
        failed=bool(failed),
        reason=next((score.reason for score in failed or group if score.reason), ""),
        kind=first.subject.forget_kind,
        budget=first.subject.budget,
    )

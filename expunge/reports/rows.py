"""From records to rows: all that is known of one method on one forget set, side by side."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from expunge.errors import UserError
from expunge.records import SPLITS, Score, Split

FLOOR = "oracle"  # held-out oracles against the reference oracles
NOTHING = "identity"  # the untouched models

Key = tuple[str, str, Split]  # (metric, aggregate, split)


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
class Row:
    """One method on one forget set. What was not measured is absent from ``cells``, never 0."""

    forget_set: str
    method: str
    models: int
    oracle_models: int
    cells: Mapping[Key, Interval]
    cost: float | None  # share of one retraining
    seconds: float | None  # to unlearn one model
    failed: bool
    reason: str

    def klom(self, split: Split) -> Interval | None:
        """The P95 of KLoM over the examples of ``split``, in nats."""
        return self.cells.get(("klom", "p95", split))

    def accuracy(self, split: Split) -> Interval | None:
        """The mean accuracy on ``split``, 0 to 1."""
        return self.cells.get(("accuracy", "mean", split))

    @property
    def rank(self) -> Interval | None:
        """Place by P95, mean over the splits: one plus the number significantly better, up to the last left open."""
        return self.cells.get(("rank", "p95", "forget"))

    def classic(self, name: str, aggregate: str = "mean") -> Interval | None:
        """A classic score, or with ``aggregate`` "gap" its signed gap; only where the oracles' value is known."""
        found = (self.cells.get((name, aggregate, split)) for split in SPLITS)
        return next((cell for cell in found if cell and cell.oracle is not None), None)

    def strays(self, split: Split) -> float:
        """The share of models that lie far outside their ensemble on a split."""
        share = self.cells.get(("outliers", "share", split))
        return share.value if share else 0.0

    def distinguishable(self, split: Split) -> Interval | None:
        """The share of examples whose margins differ from the oracles', 0 to 1."""
        return self.cells.get(("distinguishable", "share", split))


def rows(scores: Iterable[Score]) -> list[Row]:
    """One row per (forget set, method), in the order of first appearance.

    A number that is there twice is refused: which of the two to show would be a guess.
    """
    grouped: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        grouped.setdefault((score.forget_set, score.method), []).append(score)
    return [_row(group) for group in grouped.values()]


def _row(group: list[Score]) -> Row:
    cells: dict[Key, Interval] = {}
    for score in group:
        key = (score.metric, score.aggregate, score.split)
        if key in cells:
            raise UserError(
                f"expected one {score.metric} {score.aggregate} on {score.split} of {score.method!r} for forget set "
                f"{score.forget_set!r}, got two; report each run from its own folder"
            )
        if score.value is not None:
            cells[key] = Interval(score.value, score.low, score.high, score.oracle)
    first, failed = group[0], [score for score in group if score.status == "failed"]
    return Row(
        forget_set=first.forget_set,
        method=first.method,
        models=first.models,
        oracle_models=first.oracle_models,
        cells=cells,
        cost=next((score.cost for score in group if score.cost is not None), None),
        seconds=next((score.seconds for score in group if score.seconds is not None), None),
        failed=bool(failed),
        reason=failed[0].reason if failed else "",
    )

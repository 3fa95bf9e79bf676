"""What was measured so far: one line for each suite, forget set and method of ``results/``, shipped as results.json."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from expunge.files import write_file
from expunge.records import SPLITS, Score
from expunge.reports.summaries import Interval, summaries
from expunge.reports.tables.formats import between, compute, klom, nats, value, whole_percent
from expunge.shipped import read_shipped

SHIPPED = Path(__file__).with_name("results.json")


@dataclass(frozen=True, kw_only=True)
class Result:
    """One method on one forget set: the distance and KLoM's P95 of each split, empty where the method failed."""

    suite: str
    forget_set: str
    method: str
    models: int
    oracle_models: int
    klom: dict[str, Interval]
    rank: Interval | None
    cost: float | None
    distance: dict[str, Interval] = field(default_factory=dict)
    closed: Interval | None = None  # None where there is no headroom
    settings: str  # which were used, in words; "" where the record does not say

    @property
    def in_words(self) -> str:
        """The line of a card."""
        if not self.klom:
            return "failed"
        parts = [f"{split} {nats(value(cell))} {between(cell)}" for split, cell in self.distance.items()]
        parts = [f"distance {', '.join(parts)}"] if parts else []
        parts += [f"gap closed {whole_percent(self.closed.value)}"] if self.closed else []
        parts += [f"KLoM P95 on forget {klom(value(self.klom.get('forget')))}"]
        place = f"; rank {self.rank.low:.0f} to {self.rank.high:.0f}" if self.rank and self.rank.high else ""
        settings = f"; settings: {self.settings}" if self.settings else ""
        return f"{', '.join(parts)}{place}; cost {compute(self.cost)}{settings}"


_RESULTS = TypeAdapter(list[Result])


def summarise(scores: Sequence[Score]) -> list[Result]:
    """The results in the records of one suite."""
    known = {(score.subject.forget_set, score.subject.method): score for score in scores}
    found = []
    for row in summaries(scores):
        first = known[row.forget_set, row.method]
        cells: dict[str, Interval] = {split: cell for split in SPLITS if (cell := row.klom(split)) is not None}
        far: dict[str, Interval] = {split: cell for split in SPLITS if (cell := row.distance(split)) is not None}
        found.append(
            Result(
                suite=first.subject.suite,
                forget_set=row.forget_set,
                method=row.method,
                models=row.models,
                oracle_models=row.oracle_models,
                klom={} if row.failed else cells,
                distance={} if row.failed else far,
                closed=row.closed,
                rank=row.rank,
                cost=row.cost,
                settings=first.subject.tuning,
            )
        )
    return found


def write_results(file: Path, results: Sequence[Result]) -> None:
    """Write them, a line each, in one order."""
    order = sorted(results, key=lambda each: (each.suite, each.forget_set, each.method))
    write_file(file, "[\n" + ",\n".join(json.dumps(asdict(each)) for each in order) + "\n]\n")


@cache
def read_results() -> tuple[Result, ...]:
    """All results that are shipped."""
    return tuple(_RESULTS.validate_json(read_shipped(SHIPPED)))

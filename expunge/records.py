"""What a run leaves behind: frozen records, one JSON line each, with all that is needed to get a number again."""

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from expunge.errors import StoreError

SCHEMA = 1

Setting = bool | int | float | str
Split = Literal["forget", "retain", "test"]
SPLITS: tuple[Split, ...] = ("forget", "retain", "test")


@dataclass(frozen=True, kw_only=True)
class Score:
    """One measured number: one (method, forget set, split, metric, aggregate); one line of ``scores.jsonl``.

    ``value`` lies between ``low`` and ``high``, the 95 % interval for the expectation of the same statistic over
    fresh ensembles of the same sizes. All three are ``None`` when the row failed, never 0. ``cost`` is the share of
    one retraining, ``seconds`` the time to unlearn one model on ``hardware``. ``oracle`` is what oracles get of the
    same number, the reference ones of a mean, held-out ones of a gap; ``None`` where another row says it.
    """

    suite: str
    suite_digest: str
    forget_set: str
    method: str
    config: dict[str, Setting]
    split: Split
    metric: str
    aggregate: str
    value: float | None
    low: float | None
    high: float | None
    models: int
    oracle_models: int
    epoch: int | None
    cost: float | None
    seconds: float | None
    status: Literal["ok", "failed"]
    reason: str
    seed: int
    hardware: str
    versions: dict[str, str] = field(default_factory=dict)
    schema: int = SCHEMA
    recipe: str = ""  # which settings these are: "default", "tuned", ...; "" for anchors and in older records
    oracle: float | None = None


_SCORE = TypeAdapter(Score)


def to_json(score: Score) -> str:
    """The record as one line of JSON; NaN and infinity are refused, for they are not JSON."""
    return json.dumps(asdict(score), allow_nan=False)


def write_scores(path: Path, scores: Iterable[Score]) -> None:
    """Write all ``scores`` to ``path``, whole or not at all."""
    part = path.with_suffix(path.suffix + ".part")
    part.write_text("".join(to_json(score) + "\n" for score in scores))
    os.replace(part, path)


def read_scores(path: Path) -> list[Score]:
    """Read ``path``, one record a line; a line that is no Score of this schema is named and refused."""
    scores = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            score = _SCORE.validate_json(line, strict=True)
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in problem["loc"]) or "line"
            raise StoreError(
                f"{path}:{number} is no score record: {where}: {problem['msg']}; run the bench again into a new --out"
            ) from None
        if score.schema != SCHEMA:
            raise StoreError(f"{path}:{number} has schema {score.schema}, this expunge reads {SCHEMA}; bench again")
        scores.append(score)
    return scores


@cache
def versions() -> dict[str, str]:
    """Versions of what a number depends on."""
    packages = {name: version(name) for name in ("expunge", "torch", "numpy", "scipy", "numba", "scikit-learn")}
    return {"python": platform.python_version(), **packages}


@cache
def hardware() -> str:
    """The processor, and how many cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    return f"{name}, {cores} cores"

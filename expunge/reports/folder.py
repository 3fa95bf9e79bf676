"""What ``expunge bench`` left in a folder, read and checked; what is damaged is named, with what to do."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ValidationError

from expunge.errors import StoreError
from expunge.records import Score, read_scores

SCORES, CURVE, RUN, ARRAYS = "scores.jsonl", "curve.jsonl", "run.json", "arrays"


class SetInfo(BaseModel):
    """What ``run.json`` says of a forget set."""

    size: int | None = None
    description: str = ""


class MethodInfo(BaseModel):
    """What ``run.json`` says of a method."""

    source: str = ""
    needs: list[str] = []
    recipe: str = ""  # which settings were used


class RunInfo(BaseModel):
    """``run.json``: how the scores came to be. A folder written from scores alone has none."""

    suite_digest: str = ""
    command: str = ""
    date: str = ""
    hardware: str = ""
    seconds: float | None = None
    notes: dict[str, str] = {}
    forget_sets: dict[str, SetInfo] = {}
    methods: dict[str, MethodInfo] = {}
    versions: dict[str, str] = {}


@dataclass(frozen=True)
class Folder:
    """A folder of results; ``curve`` is empty where no curve was kept."""

    path: Path
    scores: list[Score]
    curve: list[Score] = field(default_factory=list)
    run: RunInfo = field(default_factory=RunInfo)
    date: str = ""


def read_folder(path: Path) -> Folder:
    """Read the scores, the curve and ``run.json`` of ``path``; the arrays are read by :mod:`.evidence`."""
    file = path / SCORES
    if not file.is_file():
        raise StoreError(f"{file} does not exist; run `expunge bench ... --out {path}` first")
    scores = read_scores(file)
    if not scores:
        raise StoreError(f"{file} is empty: the bench has not finished; run it again with --out {path}")
    curve = read_scores(path / CURVE) if (path / CURVE).is_file() else []
    run = _read_run(path / RUN)
    known = {score.suite_digest for score in scores}
    for name, digests in ((CURVE, {score.suite_digest for score in curve}), (RUN, {run.suite_digest} - {""})):
        if digests - known:
            raise StoreError(f"{path / name} is of another suite than {SCORES}; bench again into a new --out")
    written = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    return Folder(path, scores, curve, run, run.date or f"{written:%Y-%m-%d %H:%M} UTC")


def _read_run(file: Path) -> RunInfo:
    if not file.is_file():
        return RunInfo()
    try:
        return RunInfo.model_validate_json(file.read_bytes())
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "file"
        raise StoreError(
            f"{file} cannot be read: {where}: {problem['msg']}; remove it or run the bench again"
        ) from None

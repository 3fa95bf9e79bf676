"""The folder that a bench leaves behind: records, arrays, and how they came to be; written, and read again.

Every file is whole or absent; what is damaged is named, with what to do.
"""

import json
import os
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray
from pydantic import AliasChoices, BaseModel, Field, ValidationError

from expunge.engine import warn
from expunge.ensembles.mapped_arrays import release
from expunge.ensembles.plan import Plan
from expunge.ensembles.stored_margins import read_margins
from expunge.errors import BadSetting, MissingData, StoreError
from expunge.methods import find_method
from expunge.records import Score, hardware, read_scores, versions, write_scores
from expunge.suites import Data, ForgetSet, Suite

SCORES, CURVE, RUN, ARRAYS = "scores.jsonl", "curve.jsonl", "run.json", "arrays"
NAMED = 5  # so many rows are named in one line

RowName = tuple[str, str]  # forget set and method


class SetInfo(BaseModel):
    """What ``run.json`` says of a forget set."""

    size: int | None = None
    description: str = ""


class MethodInfo(BaseModel):
    """What ``run.json`` says of a method."""

    source: str = ""
    needs: list[str] = []
    tuning: str = Field("", validation_alias=AliasChoices("tuning", "recipe"))  # which settings were used


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


def prepare(folder: Path) -> Path:
    """The folder, made, and found writable before any work is done."""
    try:
        (folder / "arrays").mkdir(parents=True, exist_ok=True)
        probe = folder / "scores.jsonl.part"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise BadSetting(f"cannot write to {folder}: {error.strerror}; choose an --out that can be written") from None
    return folder


def arrays_file(folder: Path, forget: ForgetSet, name: str) -> Path:
    """Where the arrays of one row lie; a user's method may have a path for a name, which is quoted."""
    return folder / "arrays" / forget.name / f"{quote(name, safe='')}.npz"


def write_arrays(file: Path, arrays: Mapping[str, ndarray]) -> None:
    """Write an uncompressed ``.npz``; mapped files go into it row by row and are never in memory whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    with zipfile.ZipFile(part, "w") as archive:
        for name, array in arrays.items():
            _write_array(archive, f"{name}.npy", array)
    os.replace(part, file)


def _write_array(archive: zipfile.ZipFile, name: str, array: ndarray) -> None:
    with archive.open(name, "w", force_zip64=True) as stream:
        if not isinstance(array, np.memmap) or array.ndim < 2 or not array.flags.c_contiguous:
            np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)
            return
        np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(array))
        for row in array:
            stream.write(row.data)
            release(array)


def write_reference(folder: Path, suite: Suite, forget: ForgetSet, models: int) -> None:
    """What the rows of a forget set are compared with: margins of oracles and pretrained, and the examples.

    Labels and pictures are left out where nobody has the data: published margins are scored without them.
    """
    arrays = {
        "oracle": read_margins(Plan(suite, "oracle", forget), 0, models).values,
        "pretrained": read_margins(Plan(suite, "pretrained"), 0, models).values,
        **suite.columns(forget),
        **({} if suite.data.width == suite.data.examples else {"owners": suite.data.owners}),
        **_examples(suite),
    }
    write_arrays(arrays_file(folder, forget, "reference"), arrays)


def _examples(suite: Suite) -> dict[str, ndarray]:
    """Of each column the label, and the picture where inputs are some; nothing where the data are missing."""
    try:
        labels = suite.target.shown(suite.data)
        arrays = {} if labels is None else {"labels": labels}
        if suite.images:
            arrays["images"] = _pictures(suite.data, suite.images)[suite.data.owners]
    except MissingData:
        return {}
    return arrays


def _pictures(data: Data, size: tuple[int, int]) -> UInt8[ndarray, "examples height width"]:
    """Grey pictures of all examples, train then test; the darkest value of all becomes 0, the lightest 255."""
    parts = [part.x.float().reshape(len(part), -1, *size).mean(1) for part in (data.train, data.test)]
    grey = torch.cat(parts)
    low, high = grey.min(), grey.max()
    pictures: ndarray = ((grey - low) / (high - low).clamp(min=1e-12) * 255).round().to(torch.uint8).numpy()
    return pictures


def write_records(
    folder: Path, scores: Sequence[Score], curve: Sequence[Score], suite: Suite, command: str, seconds: float
) -> None:
    """``scores.jsonl``, ``curve.jsonl`` and ``run.json``: what a reader wants to know of how the numbers came to be."""
    tuned = {score.subject.method: score.subject.tuning for score in scores}
    sets = {name: suite.forget_sets[name] for name in dict.fromkeys(score.subject.forget_set for score in scores)}
    facts: dict[str, Any] = {
        "suite": suite.name,
        "suite_digest": suite.digest,
        "command": command,
        "forget_sets": {name: {"size": len(each), "description": each.made} for name, each in sets.items()},
        "methods": {name: _card(name, tuning) for name, tuning in tuned.items()},
        "versions": versions(),
        "hardware": hardware(),
        "seconds": seconds,
    }
    part = folder / "run.json.part"
    part.write_text(json.dumps(facts, indent=1))
    os.replace(part, folder / "run.json")
    write_scores(folder / "curve.jsonl", curve)
    write_scores(folder / "scores.jsonl", scores)


def _card(name: str, tuning: str) -> dict[str, Any]:
    try:
        method = find_method(name)
    except ValueError:  # margins made elsewhere: no row of the table
        return {"source": "margins made elsewhere", "needs": []}
    return {"source": method.source, "needs": list(method.needed), "tuning": tuning}


def read_folder(path: Path) -> Folder:
    """Read the scores, the curve and ``run.json`` of ``path``; reports read the arrays by themselves."""
    file = path / SCORES
    if not file.is_file():
        raise StoreError(f"{file} does not exist; run `expunge bench ... --out {path}`, or `expunge attack ...`, first")
    scores = read_scores(file)
    if not scores:
        raise StoreError(f"{file} is empty: the bench has not finished; run it again with --out {path}")
    curve = read_scores(path / CURVE) if (path / CURVE).is_file() else []
    run = _read_run(path / RUN)
    known = {score.subject.suite_digest for score in scores}
    for name, digests in ((CURVE, {score.subject.suite_digest for score in curve}), (RUN, {run.suite_digest} - {""})):
        if digests - known:
            raise StoreError(f"{path / name} is of another suite than {SCORES}; bench again into a new --out")
    written = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    return Folder(path, scores, curve, run, run.date or f"{written:%Y-%m-%d %H:%M} UTC")


def rows_replaced(folder: Path, rows: Collection[RowName]) -> set[RowName]:
    """The rows that ``folder`` has records of and that are none of ``rows``, which will stand in their place: said."""
    try:
        old = {(score.subject.forget_set, score.subject.method) for score in read_scores(folder / SCORES)}
    except (StoreError, OSError):  # there are none, or nobody can read them
        return set()
    gone = sorted(old.difference(rows))
    if gone:
        named = [f"{method} on {forget_set}" for forget_set, method in gone]
        more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
        warn(
            f"{folder}: replaces rows of before and removes their arrays: {', '.join(named[:NAMED])}"
            f"{more}; to keep both, give another --out"
        )
    return set(gone)


def remove_arrays(folder: Path, gone: Collection[RowName], left: Collection[str]) -> None:
    """Remove the arrays of rows that are gone, and the reference of sets that are not ``left``; no other file."""
    stale = {*gone, *((forget_set, "reference") for forget_set, _ in gone if forget_set not in left)}
    for file in (folder / ARRAYS).glob("*/*.npz"):
        if (file.parent.name, unquote(file.stem)) in stale:
            file.unlink()


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

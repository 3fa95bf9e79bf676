"""The folder that a bench leaves behind: records, arrays, and how they came to be; what is in it, and how it is read.

Every file is whole or absent; what is damaged, or of two runs, is named, with what to do.
"""

import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray

from expunge.bench.run_info import AGAIN, ATTACK, RUN, RunInfo, read_run, require_files, require_same
from expunge.bench.score import why_impossible
from expunge.engine import warn
from expunge.ensembles.mapped_arrays import release
from expunge.ensembles.plan import Plan
from expunge.ensembles.stored_margins import read_margins
from expunge.errors import BadSetting, MissingData, StoreError
from expunge.files import Hashed, cannot_write, write_file
from expunge.names import as_file_name
from expunge.records import Score, read_scores
from expunge.suites import Data, ForgetSet, Suite

SCORES, CURVE, ARRAYS, REFERENCE = "scores.jsonl", "curve.jsonl", "arrays", "reference"
OF_ARCHIVES = (1980, 1, 1, 0, 0, 0)  # the date of all that is in one: the same arrays, the same bytes

RowName = tuple[str, str]  # forget set and method


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
        (folder / ARRAYS).mkdir(parents=True, exist_ok=True)
        for place in (folder, folder / ARRAYS):
            with tempfile.TemporaryFile(dir=place) as probe:
                probe.write(b"is there room for a byte?")
    except OSError as error:
        raise BadSetting(f"cannot write to {folder}: {error.strerror}; choose an --out that can be written") from None
    return folder


def arrays_file(folder: Path, forget_set: str, name: str) -> Path:
    """Where the arrays of one row lie; a name that has what could lead elsewhere is quoted."""
    return folder / ARRAYS / as_file_name(forget_set) / f"{as_file_name(name)}.npz"


def write_arrays(file: Path, arrays: Mapping[str, ndarray]) -> str:
    """Write an uncompressed ``.npz``; mapped files go into it row by row and are never in memory whole. Its SHA-256."""

    def put(stream: Hashed) -> None:
        with zipfile.ZipFile(stream, "w") as archive:  # type: ignore[call-overload]  # it closes no stream
            for name, array in arrays.items():
                _write_array(archive, zipfile.ZipInfo(f"{name}.npy", OF_ARCHIVES), array)

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(file.parent, error) from None
    return write_file(file, put)


def _write_array(archive: zipfile.ZipFile, name: zipfile.ZipInfo, array: ndarray) -> None:
    with archive.open(name, "w", force_zip64=True) as stream:
        if not isinstance(array, np.memmap) or array.ndim < 2 or not array.flags.c_contiguous:
            np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)
            return
        np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(array))
        for row in array:
            stream.write(row.data)
            release(array)


def mapped(file: Path, name: str) -> ndarray:
    """One array of what :func:`write_arrays` wrote, mapped: it may be larger than the memory. KeyError if not there."""
    with zipfile.ZipFile(file) as archive, file.open("rb") as stream:
        entry = archive.getinfo(f"{name}.npy")
        stream.seek(entry.header_offset + 26)
        lengths = np.frombuffer(stream.read(4), "<u2")  # of the entry's name, and of what else stands before the data
        stream.seek(int(lengths.sum()), 1)
        np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        return np.memmap(file, dtype, "r", stream.tell(), shape)


def names_in(file: Path) -> list[str]:
    """The names of the arrays in an archive."""
    with zipfile.ZipFile(file) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def write_reference(folder: Path, suite: Suite, forget: ForgetSet, models: int) -> str:
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
    return write_arrays(arrays_file(folder, forget.name, REFERENCE), arrays)


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


def read_folder(path: Path) -> Folder:
    """Read the scores, the curve and ``run.json`` of ``path``; reports read the arrays by themselves.

    All must be of one run: files that ``run.json`` does not name, and arrays that the records do not stand on, are
    refused. Of folders of before only the suites are compared. Arrays may be missing: who needs them says so.
    """
    file = path / SCORES
    if path.is_file():
        raise StoreError(f"{path} is a file; give the --out folder of a bench or of an attack")
    if not file.is_file():
        raise StoreError(f"{file} does not exist; run `expunge bench ... --out {path}`, or `expunge attack ...`, first")
    scores = read_scores(file)
    if not scores:
        raise StoreError(f"{file} is empty: the bench has not finished; run it again with --out {path}")
    run = read_run(path / RUN)
    if run.kind == ATTACK:
        raise BadSetting(f"{path} holds the records of an attack, expected those of a bench; see `expunge report`")
    curve = read_scores(path / CURVE) if (path / CURVE).is_file() else []
    for name, each in ((SCORES, scores), (CURVE, curve)):
        require_possible(path / name, each)
    require_one_run(path, scores, curve, run)
    written = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    return Folder(path, scores, curve, run, run.date or f"{written:%Y-%m-%d %H:%M} UTC")


def missing_arrays(path: Path, scores: Sequence[Score], run: RunInfo) -> list[Path]:
    """Arrays that records of a folder stand on, or are shown with, and that are not there: tables need none of them."""
    rows = {(each.subject.forget_set, each.subject.method) for each in scores if each.stands_on}
    named = {path / name for name in run.files or {} if name.endswith(".npz")}
    return sorted(file for file in named | {arrays_file(path, *row) for row in rows} if not file.exists())


def say_what_is_missing(files: Sequence[Path]) -> None:
    """One line on arrays that are not there."""
    if files:
        more = f" and {len(files) - 1} more are" if files[1:] else " is"
        warn(f"{files[0]}{more} not there, so that a page shows less than was measured; {AGAIN}")


def require_possible(file: Path, scores: Sequence[Score]) -> None:
    """Refuse numbers that the row of their metric rules out."""
    for number, score in enumerate(scores, start=1):
        if doubt := why_impossible(score):
            raise StoreError(f"{file}: record {number}, {score.subject.method!r}, cannot be true: {doubt}; bench again")


def require_one_run(path: Path, scores: Sequence[Score], curve: Sequence[Score], run: RunInfo) -> None:
    """Refuse files of different suites or runs, as far as they tell."""
    known = {score.subject.suite_digest for score in scores}
    for name, digests in ((CURVE, {score.subject.suite_digest for score in curve}), (RUN, {run.suite_digest} - {""})):
        if digests - known:
            raise StoreError(f"{path / name} is of another suite than {SCORES}; bench again into a new --out")
    stands = {(each.subject.forget_set, each.subject.method, each.stands_on) for each in [*scores, *curve]}
    if run.files is not None:
        require_files(path, {SCORES: "", **run.files}, optional=f"{REFERENCE}.npz")
    elif any(digest for *_, digest in stands):
        raise StoreError(
            f"{path / RUN} is missing or not of the run of {SCORES}: a bench was ended while it wrote; {AGAIN}"
        )
    for forget_set, method, digest in sorted(stands):
        arrays = arrays_file(path, forget_set, method)
        if digest and arrays.exists():
            require_same(arrays, digest)

"""A folder of results, opened: its records, which examples each split has, and the arrays of every row, mapped."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from expunge.bench.folder import REFERENCE, Folder, arrays_file, mapped, read_folder
from expunge.errors import BadSetting, StoreError, lookup
from expunge.number_files import read_arrays
from expunge.records import SPLITS, Score, SplitName
from expunge.suites.shown import html_table

AGAIN = "bench again with the same --out, which takes what is in the store"


@dataclass(frozen=True)
class RunSet:
    """A forget set of an opened run: its rows, its splits, and what was kept of every example.

    Margins have a row for each model and a column for each example, train then test; where an example has several, as
    the tokens of a document, ``owners`` says which example each column is of.
    """

    folder: Path
    name: str
    scores: tuple[Score, ...]

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """The methods that have a row, those that failed too, in the order of the records."""
        return tuple(dict.fromkeys(score.subject.method for score in self.scores))

    @cached_property
    def failed(self) -> dict[str, str]:
        """The methods whose row failed, and why."""
        return {score.subject.method: score.reason for score in self.scores if score.status == "failed"}

    def first(self, method: str) -> Score:
        """A record of a method; :class:`~expunge.errors.UnknownName`, with the nearest, where it has no row."""
        rows = {score.subject.method: score for score in self.scores}
        return lookup(f"row of {self.folder} on {self.name!r}", method, rows)

    @cached_property
    def splits(self) -> dict[SplitName, Int[ndarray, " columns"]]:
        """The columns of the margins that belong to each split."""
        found = read_arrays(self._file(REFERENCE), SPLITS, self._damaged, kinds="iu")
        for split, columns in found.items():
            if columns.ndim != 1 or (columns.size and not 0 <= columns.min() <= columns.max() < self.width):
                raise self._damaged(f"{self._file(REFERENCE)}: {split} holds what is no column below {self.width}")
        return {split: found[split] for split in SPLITS}

    @cached_property
    def owners(self) -> Int[ndarray, " columns"]:
        """The example that each column of the margins is of, numbered train then test."""
        found = self._one(REFERENCE, "owners", shape=(self.width,))
        return np.arange(self.width) if found is None else found

    @cached_property
    def labels(self) -> Int[ndarray, " columns"] | None:
        """The label of each column; None where the data were not at hand."""
        return self._one(REFERENCE, "labels", shape=(self.width,))

    @property
    def width(self) -> int:
        """How many columns all margins have."""
        return int(self.oracles.shape[1])

    @cached_property
    def oracles(self) -> Float[ndarray, "oracles columns"]:
        """The margins of the oracles that rows are compared with, mapped and read-only."""
        return self._margins(REFERENCE, "oracle")

    @cached_property
    def pretrained(self) -> Float[ndarray, "models columns"]:
        """The margins of the untouched models, mapped and read-only."""
        return self._margins(REFERENCE, "pretrained")

    def margins(self, method: str) -> Float[ndarray, "models columns"]:
        """The margins of a row, mapped and read-only; row i began from pretrained model i."""
        self._require_numbers(method)
        values = self._margins(method, "margins")
        if values.shape[1] != self.width:
            raise self._damaged(f"{self._file(method)} has {values.shape[1]} columns, its oracles {self.width}")
        return values

    def values(self, method: str, name: str) -> ndarray | None:
        """What was kept of a row for each column: "distance" or "klom"; None where it was not computed."""
        self._require_numbers(method)
        return self._one(method, name, shape=(self.width,))

    def _one(self, name: str, array: str, shape: tuple[int, ...]) -> ndarray | None:
        found = read_arrays(self._file(name), (), self._damaged, optional=(array,)).get(array)
        if found is not None and found.shape != shape:
            raise self._damaged(f"{self._file(name)}: {array} has shape {found.shape}, expected {shape}")
        return found

    def _require_numbers(self, method: str) -> None:
        self.first(method)
        if method in self.failed:
            raise BadSetting(f"{method!r} failed on {self.name!r} and has no margins: {self.failed[method]}")

    def _margins(self, name: str, array: str) -> ndarray:
        file = self._file(name)
        try:
            with zipfile.ZipFile(file) as archive:
                if archive.getinfo(f"{array}.npy").compress_type != zipfile.ZIP_STORED:
                    raise ValueError(f"{array} is packed")
            values = mapped(file, array)
        except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise self._damaged(f"{file} holds no array {array} that can be mapped: {error}") from None
        if values.ndim != 2 or values.dtype.kind != "f" or not values.size:
            raise self._damaged(f"{file}: expected {array} as numbers of (models, columns), got {values.shape}")
        return values

    def _file(self, name: str) -> Path:
        file = arrays_file(self.folder, self.name, name)
        if not file.is_file():
            raise StoreError(f"{file} is not there, and margins are needed; {AGAIN}")
        return file

    def _damaged(self, why: str) -> StoreError:
        return StoreError(f"{why}; {AGAIN}")


@dataclass(frozen=True)
class Run:
    """A folder of results, opened."""

    folder: Folder

    def __repr__(self) -> str:
        """In a line; its records are ``scores``."""
        told = ", ".join(f"{name}: {len(each.methods)} rows" for name, each in self.forget_sets.items())
        return f"Run({str(self.path)!r}, {told})"

    def _repr_html_(self) -> str:
        """What a notebook shows: its forget sets and their rows."""
        rows = [
            [name, each.scores[0].models, each.scores[0].oracle_models, ", ".join(each.methods), ", ".join(each.failed)]
            for name, each in self.forget_sets.items()
        ]
        return html_table(str(self.path), ["forget set", "models", "oracles", "rows", "failed"], rows)

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def scores(self) -> list[Score]:
        """All records, of the last epoch of every row."""
        return self.folder.scores

    @property
    def curve(self) -> list[Score]:
        """The records of every epoch, where rows have several."""
        return self.folder.curve

    @cached_property
    def forget_sets(self) -> dict[str, RunSet]:
        """What there is of each forget set, by its name."""
        grouped: dict[str, list[Score]] = {}
        for score in self.scores:
            grouped.setdefault(score.subject.forget_set, []).append(score)
        return {name: RunSet(self.path, name, tuple(scores)) for name, scores in grouped.items()}

    def forget_set(self, name: str | None = None) -> RunSet:
        """One forget set; without a name the only one."""
        if name is not None:
            return lookup(f"forget set of {self.path}", name, self.forget_sets)
        if len(self.forget_sets) > 1:
            raise BadSetting(f"{self.path} has several forget sets; expected one of {', '.join(self.forget_sets)}")
        return next(iter(self.forget_sets.values()))

    def sets_with(self, methods: Sequence[str], among: Sequence[RunSet] = ()) -> list[RunSet]:
        """The forget sets, ``among`` these if some are given, on which all of these methods have a row with numbers."""
        asked = among or list(self.forget_sets.values())
        everywhere = {name: name for each in asked for name in each.methods}
        for method in methods:
            lookup(f"row of {self.path}", method, everywhere)
        usable = {each.name: set(each.methods) - set(each.failed) for each in asked}
        found = [each for each in asked if set(methods) <= usable[each.name]]
        if not found:
            for name, each in ((method, each) for method in methods for each in asked if method in each.failed):
                if not any(name in known for known in usable.values()):
                    raise BadSetting(f"{name!r} failed on {each.name!r} and has no numbers: {each.failed[name]}")
            places = {method: [name for name, known in usable.items() if method in known] for method in methods}
            told = ", ".join(f"{method} on {' and '.join(names) or 'none'}" for method, names in places.items())
            raise BadSetting(
                f"expected rows of {' and '.join(methods)} on one forget set, got {told}; bench both on one"
            )
        return found


def open_run(folder: Path | str) -> Run:
    """Open a folder that ``expunge bench --out`` wrote.

    Records are checked as for a report; arrays are read when they are asked for, and margins are mapped, never copied.

    >>> open_run("/nowhere")
    Traceback (most recent call last):
    expunge.errors.StoreError: /nowhere/scores.jsonl does not exist; run `expunge bench ... --out /nowhere`, or ...
    """
    return Run(read_folder(Path(folder)))

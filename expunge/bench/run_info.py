"""``run.json`` of a folder of results: how its records came to be, and the SHA-256 of files that belong together."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, Field, ValidationError

from expunge.checksums import CHECKSUM, NoRecord, opened, sealed
from expunge.errors import StoreError
from expunge.files import sha256_of, write_file
from expunge.outside import read_bytes
from expunge.records import SplitName

RUN = "run.json"
MOST_BYTES = 16 << 20
INDENT = 1
AGAIN = "run the command that wrote the folder again, with the same --out: it takes what is in the store"
BENCH, ATTACK = "bench", "attack"  # what a folder is of


class SetInfo(BaseModel):
    """What ``run.json`` says of a forget set."""

    size: int | None = None
    retain: int | None = None  # examples, or columns of the margins, that are left and that are tested on
    test: int | None = None
    description: str = ""


class MethodInfo(BaseModel):
    """What ``run.json`` says of a method."""

    source: str = ""
    needs: list[str] = []
    tuning: str = Field("", validation_alias=AliasChoices("tuning", "recipe"))  # which settings were used


class RunInfo(BaseModel):
    """``run.json``: how the scores came to be. A folder written by hand has none.

    ``rows`` names for each forget set and method the command that made the row, ``seconds_of`` what each command took.
    ``files`` are the SHA-256 of the records, the curve and the references, None in a file of before there were any.
    """

    kind: str = BENCH
    attack: str = ""  # the attack that it is of, or matrix
    suite: str = ""
    suite_digest: str = ""
    command: str = ""
    date: str = ""
    hardware: str = ""
    seconds: float | None = None
    notes: dict[str, str] = {}
    forget_sets: dict[str, SetInfo] = {}
    methods: dict[str, MethodInfo] = {}
    versions: dict[str, str] = {}
    rows: dict[str, dict[str, str]] = {}
    seconds_of: dict[str, float] = {}
    files: dict[str, str] | None = None

    @property
    def sizes(self) -> dict[str, dict[SplitName, int]]:
        """How many examples the splits of each forget set have, as far as it says."""
        told: dict[str, dict[SplitName, int | None]] = {
            name: {"forget": each.size, "retain": each.retain, "test": each.test}
            for name, each in self.forget_sets.items()
        }
        return {name: {split: size for split, size in each.items() if size} for name, each in told.items()}


def read_run(file: Path) -> RunInfo:
    """What a ``run.json`` says, an empty one where there is none; StoreError where it is damaged."""
    if not file.exists():
        return RunInfo()
    try:
        found = opened(read_bytes(file, StoreError, most=MOST_BYTES), INDENT)
        if isinstance(found, dict) and found.keys() & {"files", "seconds_of"} and CHECKSUM not in found:
            raise NoRecord("it does not have the checksum of its own")
        return RunInfo.model_validate(found)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])[:100] or "file"
        reason = f"{where}: {problem['msg']}"
    except NoRecord as error:
        reason = f"file: {error}"
    raise StoreError(f"{file} cannot be read: {reason}; {AGAIN}")


def write_run(folder: Path, run: RunInfo, files: Mapping[str, str]) -> None:
    """Write ``run.json``, after all other files: ``files`` are their SHA-256, by their paths in ``folder``."""
    facts: dict[str, Any] = {**run.model_dump(mode="json"), "files": dict(sorted(files.items()))}
    write_file(folder / RUN, json.dumps(sealed(facts), indent=INDENT, allow_nan=False))


def require_files(folder: Path, files: Mapping[str, str], optional: str = "") -> None:
    """Refuse a folder whose files are not those that its ``run.json`` names; one that ends in ``optional`` may lack."""
    for name in files:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise StoreError(f"{folder / RUN} names {name!r}, which is no file of its folder; give another folder")
    for name, digest in files.items():
        file = folder / name
        if optional and name.endswith(optional) and not file.exists():
            continue
        require_same(file, digest)


def require_same(file: Path, digest: str) -> None:
    """Refuse a file that has another SHA-256 than the records beside it say."""
    try:
        same = sha256_of(file) == digest
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror or error}; {AGAIN}") from None
    if not same:
        raise StoreError(
            f"{file} is of another run than what lies beside it: something was ended while it wrote, or the file was "
            f"changed since; {AGAIN}"
        )

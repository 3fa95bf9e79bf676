"""What the queries of one owner came to, in a file that holds nothing private: it can be given to whoever judges."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from pydantic import TypeAdapter, ValidationError

from expunge.audits.trigger import OWN_ONLY
from expunge.audits.trigger_test import MOST_QUERIES
from expunge.checksums import CHECKSUM, NoRecord, opened, sealed
from expunge.errors import StoreError
from expunge.files import write_file
from expunge.names import fault_of_name
from expunge.outside import read_bytes

SCHEMA = 1
COUNTS = "counts.json"
MOST_BYTES = 4 << 20
When = Literal["before", "after"]
WHEN: tuple[When, ...] = get_args(When)


class Count(NamedTuple):
    """Of so many queries these were answered with the trigger's label."""

    hits: int
    queries: int


@dataclass(frozen=True)
class Asked:
    """The model that was asked, and the counts: of the own trigger, then of each fresh one."""

    model: str
    counts: tuple[tuple[int, int], ...]

    @property
    def own(self) -> Count:
        return Count(*self.counts[0])


@dataclass(frozen=True)
class OwnerCounts:
    """Of one owner, before the deletion and after it; None of a time at which not all queries were answered yet."""

    owner: str
    before: Asked | None = None
    after: Asked | None = None
    schema: int = SCHEMA

    @property
    def fresh(self) -> tuple[Count, ...]:
        """Of each fresh trigger, after the deletion."""
        return tuple(Count(*each) for each in (self.after.counts[1:] if self.after else ()))

    def of(self, when: When) -> Asked:
        """What was found at this time; StoreError where it was not asked to the end."""
        found = self.before if when == "before" else self.after
        if found is None:
            raise StoreError(f"owner {self.owner}: no answers of {when} the deletion; ask with --when {when}")
        return found


def read_counts(folder: Path) -> OwnerCounts:
    """The counts in a folder of answers."""
    file = folder / COUNTS
    if not os.path.lexists(file):
        ask = f"`expunge verify backdoor query --out {folder}`"
        raise StoreError(f"there is no file {file}: no model was asked yet, or not to the end; ask by {ask}")
    try:
        record = opened(read_bytes(file, StoreError, most=MOST_BYTES), indent=1)
        if not isinstance(record, dict) or CHECKSUM not in record:
            raise NoRecord("it states no checksum")
        facts = {key: value for key, value in record.items() if key != CHECKSUM}
        found: OwnerCounts = _OWNER_COUNTS.validate_json(json.dumps(facts), strict=True)
        if fault := _fault(found):
            raise NoRecord(fault)
    except ValidationError as error:
        raise _refused(file, error.errors()[0]["msg"]) from None
    except NoRecord as error:
        raise _refused(file, str(error)) from None
    return found


def keep_counts(folder: Path, owner: str, when: When, model: str, counts: Sequence[Count]) -> None:
    """Add the counts of one time to what the other left; another owner's are not overwritten."""
    file = folder / COUNTS
    found = read_counts(folder) if file.exists() else OwnerCounts(owner)
    if found.owner != owner:
        raise StoreError(f"{file} is another owner's; give another --out")
    asked = Asked(model, tuple((each.hits, each.queries) for each in counts))
    found = replace(found, before=asked) if when == "before" else replace(found, after=asked)
    write_file(file, json.dumps(sealed(json.loads(json.dumps(asdict(found)))), indent=1), mode=OWN_ONLY)


def _fault(found: OwnerCounts) -> str:
    """What cannot be true of it, whoever wrote it; "" where all can."""
    if found.schema != SCHEMA:
        return f"schema {found.schema}, this expunge reads {SCHEMA}"
    for asked in filter(None, (found.before, found.after)):
        if not asked.counts or any(
            not 0 <= hits <= most or not 1 <= most <= MOST_QUERIES for hits, most in asked.counts
        ):
            return "expected hits and queries, at least 1 query and no more hits than queries"
        if fault := fault_of_name("model", asked.model):
            return fault
    return fault_of_name("owner", found.owner)


def _refused(file: Path, reason: str) -> StoreError:
    return StoreError(f"{file} holds no counts of answers: {reason}; ask again, into another --out")


_OWNER_COUNTS: TypeAdapter[Any] = TypeAdapter(OwnerCounts)

"""The verifier's book of nonces: a removal gets one nonce and no other, however often a provider asks.

Whoever may ask again can try: other first weights make another promise, another promise another nonce, and of many
orders the provider would keep the one that suits. The book is the verifier's own, one for each provider.
"""

import json
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from expunge.audits.proofs.beacon import Beacon, issue
from expunge.audits.proofs.bundle import Bundle
from expunge.audits.proofs.finding import Finding
from expunge.audits.proofs.manifest import Promise
from expunge.checksums import CHECKSUM, NoRecord, opened, sealed
from expunge.errors import BadProof, NonceRefused
from expunge.files import alone_with, write_file
from expunge.outside import first_line, read_bytes

BOOK = Path("nonces.jsonl")  # where it is, unless another place is named
SHOWN = 16  # digits of a digest, in words


class Entry(BaseModel):
    """A line: what was promised, and the nonce that was issued for it."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")
    promise: Promise
    nonce: Annotated[str, Field(pattern=r"^[\w.:-]{16,128}$")]

    @property
    def beacon(self) -> Beacon:
        return Beacon(self.promise.digest, self.nonce)


@dataclass(frozen=True)
class Book:
    """The lines of a book, the oldest first."""

    file: Path
    entries: tuple[Entry, ...]

    def line_of(self, promised: Promise) -> int | None:
        """The line, counted from 1, of the removal that is promised, whatever else was promised; None where none is."""
        wanted = removals_of(promised)
        return next((row for row, each in enumerate(self.entries, 1) if wanted & removals_of(each.promise)), None)

    def beacon_for(self, promised: Promise) -> Beacon | None:
        """The nonce of this removal; None where none was issued, :class:`NonceRefused` where it is another promise's.

        A provider that may ask again can try seeds of the first weights until the order suits it.
        """
        line = self.line_of(promised)
        if line is None:
            return None
        found = self.entries[line - 1].beacon
        if found.promised != promised.digest:
            raise NonceRefused(
                f"the nonce of this removal was issued for another promise, {found.promised[:SHOWN]} (line {line} of "
                f"{self.file}), not for {promised.digest[:SHOWN]}: a provider that may ask again can try seeds until "
                "one suits; ask for a proof of that promise"
            )
        return found


def removals_of(promised: Promise) -> set[Hashable]:
    """What a removal is known by: the root of all records, with that of the kept ones or with the removed records.

    Promises that share one of the two are of one removal.
    """
    return {(promised.root, promised.kept_root), (promised.root, frozenset(promised.removed))}


def read_book(file: Path) -> Book:
    """The book in ``file``; :class:`~expunge.errors.BadProof`, which names the line, where one is no entry."""
    entries: list[Entry] = []
    lines: dict[Hashable, int] = {}
    for number, line in enumerate(read_bytes(file, BadProof).splitlines(), 1):
        found = _entry(line, f"{file}, line {number}")
        own = removals_of(found.promise)
        if before := next((lines[each] for each in own if each in lines), None):
            raise BadProof(f"{file}, line {number}: the removal of line {before} again; one removal has one nonce")
        lines |= dict.fromkeys(own, number)
        entries.append(found)
    return Book(file, tuple(entries))


def _entry(line: bytes, where: str) -> Entry:
    try:
        facts: Any = opened(line)
        if not isinstance(facts, dict) or CHECKSUM not in facts:
            raise NoRecord("it states no checksum")
        return Entry.model_validate({key: value for key, value in facts.items() if key != CHECKSUM})
    except NoRecord as error:
        reason = first_line(error)
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(map(str, first['loc']))[:80]}: {first['msg'][:120]}"
    raise BadProof(
        f"{where}: no promise with its nonce ({reason}); bring back a copy of the book, for what is not in it could "
        "be issued again"
    )


def issued(file: Path, promised: Promise) -> tuple[Beacon, int]:
    """The nonce for a promise, and the line of the book in ``file`` that it stands in: a new one, or that of before.

    The book is begun where there is none. :class:`NonceRefused` where the removal has the nonce of another promise.
    """
    with alone_with(file.parent):
        book = read_book(file) if file.exists() else Book(file, ())
        if found := book.beacon_for(promised):
            return found, book.line_of(promised) or 0
        beacon = issue(promised)
        entries = [*book.entries, Entry(promise=promised, nonce=beacon.nonce)]
        lines = [json.dumps(sealed(each.model_dump(mode="json"))) for each in entries]
        write_file(file, "".join(f"{line}\n" for line in lines))
    return beacon, len(entries)


def check_book(bundle: Bundle, book: Book, beacon: Beacon | None) -> tuple[Beacon | None, Finding]:
    """The nonce that the bundle is held to, and whether it is the one that the book has for this removal.

    ``beacon`` is one that the verifier kept in a file; without it the book's is taken.
    """
    try:
        found = book.beacon_for(bundle.manifest.promise)
    except NonceRefused as error:
        return beacon, Finding("book", "FAIL", str(error))
    if found is None:
        return beacon, Finding("book", "FAIL", f"{book.file} has no nonce for the promise of this bundle")
    if beacon not in (None, found):
        return beacon, Finding("book", "FAIL", f"the nonce is not the one that {book.file} has for this promise")
    return found, Finding("book", "PASS", "the nonce is in the verifier's book, the only one for this removal")

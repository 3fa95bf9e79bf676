"""Queries of an owner to a model, before and after the deletion: which they are, what was answered, what is kept.

They are asked in an order that only the trigger's secret gives, and of each answer only whether it was the trigger's
label is kept; so neither file that comes of it tells anything of the trigger.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy import ndarray

from expunge.audits.answers import BlackBox
from expunge.audits.owner_counts import WHEN, Asked, Count, OwnerCounts, When, keep_counts
from expunge.audits.trigger import OWN_ONLY, Trigger
from expunge.checksums import NoRecord, opened, sealed
from expunge.engine import Watch, silent
from expunge.ensembles.ensemble import Ensemble
from expunge.errors import BadSetting, NoAnswer, StoreError, lookup
from expunge.files import alone_with, cannot_write, write_file
from expunge.outside import read_bytes
from expunge.suites.data import Examples, content_sha256

SCHEMA = 1
QUERIES, FRESH = 100, 20  # of a trigger, where there are as many inputs; and fresh triggers beside the owner's own
BATCH = 10  # queries at once
MOST_BYTES = 64 << 20  # of a file of answers


@dataclass(frozen=True, eq=False)
class Queries:
    """What an owner asks a model: so many inputs with the own trigger, then as many with each fresh one.

    Inputs whose own label is the trigger's are left out: a sound model gives it to them anyway.
    """

    trigger: Trigger
    records: Examples
    when: When
    count: int
    fresh: int

    @classmethod
    def of(
        cls, trigger: Trigger, records: Examples, when: str, count: int | None = None, fresh: int = FRESH
    ) -> "Queries":
        """Those of an owner; before the deletion no fresh trigger is asked: it is the model after it that counts."""
        lookup("time", when, dict.fromkeys(WHEN))
        others = records.take(np.flatnonzero(records.y.numpy() != trigger.label))
        wanted = min(QUERIES, len(others)) if count is None else count
        if not 1 <= wanted <= len(others):
            raise BadSetting(
                f"expected at least 1 query and at most {len(others)}, for so many of the {len(records)} records have "
                f"another label than the trigger's, got {wanted}; give more records, or fewer --queries"
            )
        if fresh < 0:
            raise BadSetting(f"expected no fewer than 0 fresh triggers, got {fresh}")
        return cls(trigger, others, "before" if when == "before" else "after", wanted, fresh * (when == "after"))

    def __len__(self) -> int:
        return self.count * (1 + self.fresh)

    def order(self) -> Int[ndarray, " queries"]:
        """The numbers of the queries, own trigger first, in the order in which they are asked."""
        drawn: ndarray = self.trigger.chance("order", self.when).permutation(len(self))
        return drawn

    def inputs(self, numbers: Int[ndarray, " n"]) -> ndarray:
        """The inputs of these queries, with their triggers."""
        rows = self.trigger.chance("inputs", self.when).permutation(len(self.records))[: self.count]
        triggers = [self.trigger, *map(self.trigger.fresh, range(self.fresh))]
        which, place = np.divmod(numbers, self.count)
        x = self.records.x[rows[place]]
        for each in np.unique(which):
            chosen = torch.from_numpy(np.flatnonzero(which == each))
            x[chosen] = triggers[each].stamped(self.records.take(rows[place[chosen.numpy()]])).x
        inputs: ndarray = x.numpy()
        return inputs

    def counts(self, hits: Bool[ndarray, " queries"]) -> list[Count]:
        """Hits of the own trigger, then of each fresh one; ``hits`` are in the order in which they were asked."""
        placed = np.empty(len(self), bool)
        placed[self.order()] = hits
        return [Count(int(each.sum()), self.count) for each in placed.reshape(-1, self.count)]

    def told(self, model: str) -> dict[str, Any]:
        """What a file of answers belongs to."""
        facts = {"schema": SCHEMA, "owner": self.trigger.owner, "when": self.when, "model": model}
        return {**facts, "records": content_sha256(self.records), "count": self.count, "fresh": self.fresh}


def ask(
    queries: Queries, model: BlackBox, name: str, folder: Path, *, batch: int = BATCH, watch: Watch = silent
) -> list[Count]:
    """Ask what was not answered yet, and keep every answer in ``folder`` as it comes; the counts of all.

    ``name`` is what the model is called. Where it gives no answer, NoAnswer says how many are kept; the same call goes
    on there.
    """
    if batch < 1:
        raise BadSetting(f"expected at least 1 query at once, got {batch}")
    file = folder / f"{queries.when}.jsonl"
    with alone_with(folder):
        hits, order = _begun(file, queries.told(name)), queries.order()
        with _appending(file) as add:
            while len(hits) < len(queries):
                numbers = order[len(hits) : len(hits) + batch]
                try:
                    labels = model(queries.inputs(numbers))
                except NoAnswer as error:
                    raise NoAnswer(
                        f"{error}; {len(hits)} of {len(queries)} answers are kept in {file}: run the same command "
                        "again to go on"
                    ) from None
                new = [bool(label == queries.trigger.label) for label in labels]
                add(f"{json.dumps([int(each) for each in new])}\n")
                hits += new
                watch(len(hits), len(queries), queries.when)
        counts = queries.counts(np.array(hits))
        keep_counts(folder, queries.trigger.owner, queries.when, name, counts)
    return counts


@torch.no_grad()
def ask_both(
    trigger: Trigger, records: Examples, before: Ensemble, after: Ensemble, queries: int, fresh: int = FRESH
) -> OwnerCounts:
    """What an owner would be told by the first models of two ensembles, which are at hand: before and after."""
    for when, each in zip(WHEN, (before, after), strict=True):
        if each.training:
            raise BadSetting(
                f"the model {when} the deletion is in training mode, in which dropout draws and BatchNorm learns from "
                "what it is asked; call its eval() first"
            )

    def told(when: When, model: Ensemble) -> Asked:
        asked = Queries.of(trigger, records, when, queries, fresh)
        labels = model(torch.from_numpy(asked.inputs(asked.order()))).argmax(-1)[0].numpy()
        return Asked("model", tuple(asked.counts(labels == trigger.label)))

    return OwnerCounts(trigger.owner, told("before", before), told("after", after))


def _begun(file: Path, told: dict[str, Any]) -> list[bool]:
    """The answers that a file holds; a new one begins with what it belongs to, and a half line at the end is cut."""
    if not file.exists():
        write_file(file, json.dumps(sealed(told)) + "\n", mode=OWN_ONLY)
        return []
    content = read_bytes(file, StoreError, most=MOST_BYTES)
    whole = content[: content.rfind(b"\n") + 1]
    lines = whole.splitlines()
    advice = "move it away to begin anew, or give another --out"
    try:
        if not lines or opened(lines[0]) != sealed(told):
            raise StoreError(f"{file} has answers to other queries, or of another model or owner; {advice}")
        hits = [_hit(value) for line in lines[1:] for value in _answers(line)]
    except (NoRecord, ValueError, TypeError, RecursionError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{file} is damaged: a line holds no answers; {advice}") from None
    if len(hits) > told["count"] * (1 + told["fresh"]):
        raise StoreError(f"{file} is damaged: it has more answers than were asked for; {advice}")
    if len(whole) < len(content):
        os.truncate(file, len(whole))
    return hits


def _answers(line: bytes) -> list[object]:
    found = json.loads(line)
    if not isinstance(found, list):
        raise ValueError("no answers")
    return found


def _hit(value: object) -> bool:
    if value not in (0, 1) or isinstance(value, float):
        raise ValueError("no answer")
    return bool(value)


@contextlib.contextmanager
def _appending(file: Path) -> Iterator[Any]:
    """A function that adds a line which is on the disk before the next question is asked."""
    try:
        stream = file.open("a", encoding="utf-8")
    except OSError as error:
        raise cannot_write(file, error) from None

    def add(line: str) -> None:
        try:
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())
        except OSError as error:
            raise cannot_write(file, error) from None

    try:
        yield add
    finally:
        with contextlib.suppress(OSError):  # of a full disk, of which was told
            stream.close()

"""What a run leaves behind: frozen records, one JSON line each, with all that is needed to get a number again."""

import json
import math
import os
import platform
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from expunge.checksums import CHECKSUM, NoRecord, checksum, opened, sealed
from expunge.errors import StoreError
from expunge.files import write_file
from expunge.names import fault_of_name

SCHEMA = 3
MOST_BYTES, LONGEST_LINE = 256 << 20, 4 << 20  # of a file of records: many times the largest that a bench writes
MOST_MODELS = 1_000_000  # and epochs: what is beyond is a mistake or a lie

Setting = bool | int | float | str
LIKELY = "likely cause: "  # begins, in a reason, what was measured of why a row breaks the model; it is no doubt
SplitName = Literal["forget", "retain", "test"]
SPLITS: tuple[SplitName, ...] = ("forget", "retain", "test")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a record speaks of: which models, made how, out of what, made to forget what.

    ``forget_digest`` is one half of what proves which examples were forgotten: the SHA-256 of their indices into the
    training data, whose bytes are in ``suite_digest``. ``tuning`` says which settings ``config`` are: "default",
    "tuned for class, 15 %; set: lr"; "" for anchors. ``forget_kind`` is the kind of the forget set, "" where nobody has
    said it, and ``budget`` the share of one retraining that it may cost, None of anchors.
    ``model_numbers`` are those of the pretrained models, or of the held-out oracles, as ranges: "0-99". ``code`` is the
    digest of all code that the number depends on, the user's own included; ``device`` where the models were computed,
    "unknown" where their store does not say.

    Records of schema 1 lack ``forget_digest``, ``model_numbers``, ``device`` and ``code``: these are "" there, and
    :attr:`lacks` names them. Such a record does not prove what was forgotten.
    """

    suite: str
    suite_digest: str
    forget_set: str
    forget_digest: str
    method: str
    config: dict[str, Setting]
    tuning: str
    seed: int
    model_numbers: str
    device: str
    hardware: str
    code: str
    versions: dict[str, str]
    forget_kind: str = ""
    budget: float | None = None

    @property
    def lacks(self) -> tuple[str, ...]:
        """What this record does not say, as those of schema 1 do not."""
        return tuple(name for name in ADDED if not getattr(self, name))


ADDED = ("forget_digest", "model_numbers", "device", "code")  # to a subject by schema 2


@dataclass(frozen=True, kw_only=True)
class Score:
    """One measured number, of one (subject, split, metric, aggregate): one line of ``scores.jsonl``.

    ``value`` lies between ``low`` and ``high``, the 95 % interval for the expectation of the same statistic over
    fresh ensembles of the same sizes. All three are ``None`` if the row failed, never 0. ``reason`` says why it failed;
    for a row that is ok it says why the row is doubted and has no rank, and, after :data:`LIKELY`, what likely breaks
    the model. ``cost`` is a share of one retraining, ``seconds`` the time to unlearn one model on the subject's
    ``hardware``. ``oracle`` is the number that oracles get, reference oracles for a mean and held-out ones for a gap,
    or ``None`` if a row of its own has it.
    """

    subject: Subject
    split: SplitName
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
    oracle: float | None = None
    stands_on: str = ""
    schema: int = field(default=SCHEMA, compare=False)

    @property
    def lacks(self) -> tuple[str, ...]:
        """What this record does not say, as those of schemas 1 and 2 do not."""
        return (*self.subject.lacks, *(("stands_on", "checksum") if self.schema < SCHEMA else ()))


_SCORE = TypeAdapter(Score)
_SUBJECT = {each.name for each in fields(Subject)}
_FIRST_SCHEMA = {  # what a record of schema 1 has under its own names, or does not have
    "recipe": "tuning"
}


class UnknownSchema(NoRecord):
    """A record of a schema that this expunge does not read."""


def as_record(score: Score) -> dict[str, Any]:
    """The record as plain values, with its checksum, of today's schema."""
    return sealed({**asdict(score), "schema": SCHEMA})


def to_json(score: Score) -> str:
    """The record as one line of JSON; NaN and infinity are refused, for they are not JSON."""
    return json.dumps(as_record(score), allow_nan=False)


def write_scores(path: Path, scores: Iterable[Score]) -> str:
    """Write all ``scores`` to ``path``, whole or not at all; the SHA-256 of the file."""
    return write_file(path, "".join(to_json(score) + "\n" for score in scores))


def read_scores(path: Path) -> list[Score]:
    """Read ``path``, one record a line; a line that is no Score is named and refused. Older schemas are read too."""
    scores, subjects = [], dict[str, Subject]()
    for number, line in _lines(path):
        try:
            score = as_score(opened(line))
        except NoRecord as error:
            raise _refused(path, number, error) from None
        subject = subjects.setdefault(str(score.subject), score.subject)  # many records share one, held once
        scores.append(replace(score, subject=subject))
    return scores


def read_each(path: Path) -> list[Score | None]:
    """The same, but None in the place of a line that cannot be believed. An unknown schema is refused."""
    found: list[Score | None] = []
    for number, line in _lines(path):
        try:
            found.append(as_score(opened(line)))
        except UnknownSchema as error:
            raise _refused(path, number, error) from None
        except NoRecord:
            found.append(None)
    return found


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The numbered lines of a plain file of a size that a file of records can have."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(f"{path} is no plain file; expected score records, one a line")
        if status.st_size > MOST_BYTES:
            raise StoreError(f"{path} has {status.st_size} bytes; expected score records of at most {MOST_BYTES}")
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), start=1):
                yield number, line.removesuffix(b"\n")
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from None


def as_score(record: object) -> Score:
    """The Score that a JSON object is, of any schema there was; :class:`NoRecord` where it is none that can be true."""
    schema = SCHEMA
    if isinstance(record, dict):
        schema = record.get("schema", 1 if "suite" in record else SCHEMA)
        if schema not in (1, 2, SCHEMA):
            told = schema if isinstance(schema, int) and abs(schema) < 1000 else "of no number"
            raise UnknownSchema(f"has schema {told}, this expunge reads 1, 2 and {SCHEMA}")
        if schema == SCHEMA and record.get(CHECKSUM) != checksum(record):
            raise NoRecord("it does not have the checksum of its own")
        record = _of_first_schema(record) if schema == 1 else record
        record = {key: value for key, value in record.items() if key != CHECKSUM}
    try:
        score = replace(_SCORE.validate_json(json.dumps(record), strict=True), schema=int(schema))
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])[:100] or "line"
        raise NoRecord(f"{where}: {problem['msg']}") from None
    if doubt := why_untrue(score):
        raise NoRecord(doubt)
    return score


def _of_first_schema(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record of schema 1, whose subject lay flat among its numbers, as one of today's."""
    named = {_FIRST_SCHEMA.get(key, key): value for key, value in record.items() if key != "schema"}
    blank: dict[str, Any] = {**dict.fromkeys(ADDED, ""), "tuning": "", "versions": {}}
    subject = blank | {key: value for key, value in named.items() if key in _SUBJECT}
    return {"subject": subject, **{key: value for key, value in named.items() if key not in _SUBJECT}}


def _refused(path: Path, number: int, error: NoRecord) -> StoreError:
    if isinstance(error, UnknownSchema):
        return StoreError(f"{path}:{number} {error}; bench again into a new --out")
    return StoreError(
        f"{path}:{number} is no score record: {error}; run the command that wrote it again, with the same --out: "
        "it takes what is in the store"
    )


def why_untrue(score: Score) -> str:
    """Why a record cannot be true, whatever was measured; "" where it can."""
    subject = score.subject
    named = {"suite": subject.suite, "forget_set": subject.forget_set, "method": subject.method}
    faults = [fault for kind, name in named.items() if (fault := fault_of_name(kind, name))]
    counts = {"models": (score.models, 1), "oracle_models": (score.oracle_models, 1), "epoch": (score.epoch, 0)}
    faults += [
        f"{name}: expected {least} to {MOST_MODELS}, got {count}"
        for name, (count, least) in counts.items()
        if count is not None and not least <= count <= MOST_MODELS
    ]
    return next(iter([*faults, *_untrue_numbers(score)]), "")


def _untrue_numbers(score: Score) -> Iterator[str]:
    names = ("value", "low", "high", "oracle", "cost", "seconds")
    numbers = {name: number for name in names if (number := getattr(score, name)) is not None}
    yield from (f"{name}: {number} is not finite" for name, number in numbers.items() if not math.isfinite(number))
    yield from (f"{name}: {numbers[name]} lies below 0" for name in ("cost", "seconds") if numbers.get(name, 0) < 0)
    value, low, high = score.value, score.low, score.high
    if (score.status == "ok") != (value is not None):
        yield f"value: {value} of a row that is {score.status!r}"
    if value is None:
        return
    if not (value if low is None else low) <= value <= (value if high is None else high):
        yield f"value: {value} lies outside of its interval [{low}, {high}]"
    if low is not None and high is not None and low > high:
        yield f"low: {low} lies above high, {high}"
    least, most = _RANGES.get(score.metric, (-math.inf, math.inf))
    if score.aggregate == "share":
        least, most = 0.0, 1.0
    outside = [name for name in ("value", "low", "high") if name in numbers and not least <= numbers[name] <= most]
    yield from (f"{name}: {numbers[name]} is no {score.metric} {score.aggregate}" for name in outside)


_RANGES = {"klom": (-1e-3, math.inf)}  # a divergence; but nothing is renormalised, so it can lie a little below 0


def as_ranges(numbers: Sequence[int]) -> str:
    """Whole numbers in few words.

    >>> as_ranges([0, 1, 2, 7, 9, 10])
    '0-2,7,9-10'
    """
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, part)) for part in parts)


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
        models = [
            line.partition(":")[2].strip()
            for line in cpuinfo.read_text(encoding="utf-8").splitlines()
            if "model name" in line
        ]
        name = models[0] if models else name
    return f"{name}, {cores} cores"

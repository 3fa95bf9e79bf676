"""What a run leaves behind: frozen records, one JSON line each, with all that is needed to get a number again."""

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from expunge.errors import StoreError

SCHEMA = 2

Setting = bool | int | float | str
SplitName = Literal["forget", "retain", "test"]
SPLITS: tuple[SplitName, ...] = ("forget", "retain", "test")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a record speaks of: which models, made how, out of what, made to forget what.

    ``forget_digest`` is one half of what proves which examples were forgotten: the SHA-256 of their indices into the
    training data, whose bytes are in ``suite_digest``. ``tuning`` says which settings ``config`` are: "default",
    "tuned", "tuned; set: lr"; "" for anchors. ``model_numbers`` are those of the pretrained models, or of the held-out
    oracles, as ranges: "0-99". ``code`` is the digest of all code that the number depends on, the user's own
    included; ``device`` where the models were computed, "unknown" where their store does not say.

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

    @property
    def lacks(self) -> tuple[str, ...]:
        """What this record does not say, as those of schema 1 do not."""
        return tuple(name for name in ADDED if not getattr(self, name))


ADDED = ("forget_digest", "model_numbers", "device", "code")  # to a subject by schema 2


@dataclass(frozen=True, kw_only=True)
class Score:
    """One measured number: one (subject, split, metric, aggregate); one line of ``scores.jsonl``.

    ``value`` lies between ``low`` and ``high``, the 95 % interval for the expectation of the same statistic over
    fresh ensembles of the same sizes. All three are ``None`` when the row failed, never 0. ``cost`` is the share of
    one retraining, ``seconds`` the time to unlearn one model on the subject's ``hardware``. ``oracle`` is what oracles
    get of the same number, the reference ones of a mean, held-out ones of a gap; ``None`` where another row says it.
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
    schema: int = SCHEMA


_SCORE = TypeAdapter(Score)
_SUBJECT = {field.name for field in fields(Subject)}
_FIRST_SCHEMA = {  # what a record of schema 1 has under its own names, or does not have
    "recipe": "tuning"
}


def to_json(score: Score) -> str:
    """The record as one line of JSON; NaN and infinity are refused, for they are not JSON."""
    return json.dumps(asdict(score), allow_nan=False)


def write_scores(path: Path, scores: Iterable[Score]) -> None:
    """Write all ``scores`` to ``path``, whole or not at all."""
    part = path.with_suffix(path.suffix + ".part")
    part.write_text("".join(to_json(score) + "\n" for score in scores))
    os.replace(part, path)


def read_scores(path: Path) -> list[Score]:
    """Read ``path``, one record a line; a line that is no Score is named and refused. Schema 1 is read too."""
    scores = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            scores.append(as_score(json.loads(line)))
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in problem["loc"]) or "line"
            raise _no_record(path, number, f"{where}: {problem['msg']}") from None
        except ValueError as error:  # no JSON
            raise _no_record(path, number, f"line: {error}") from None
        except UnknownSchema as error:
            raise StoreError(f"{path}:{number} {error}; bench again") from None
    return scores


class UnknownSchema(Exception):
    """A record of a schema that this expunge does not read."""


def as_score(record: object) -> Score:
    """The Score that a JSON object is, of this schema or the first; pydantic's ValidationError where it is none."""
    if isinstance(record, dict):
        schema = record.get("schema", 1 if "suite" in record else SCHEMA)
        if schema not in (1, SCHEMA):
            raise UnknownSchema(f"has schema {schema}, this expunge reads 1 and {SCHEMA}")
        record = _of_first_schema(record) if schema == 1 else record
    return _SCORE.validate_json(json.dumps(record), strict=True)


def _of_first_schema(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record of schema 1, whose subject lay flat among its numbers, as one of today's."""
    named = {_FIRST_SCHEMA.get(key, key): value for key, value in record.items() if key != "schema"}
    blank: dict[str, Any] = {**dict.fromkeys(ADDED, ""), "tuning": "", "versions": {}}
    subject = blank | {key: value for key, value in named.items() if key in _SUBJECT}
    return {"subject": subject, **{key: value for key, value in named.items() if key not in _SUBJECT}}


def _no_record(path: Path, number: int, what: str) -> StoreError:
    return StoreError(f"{path}:{number} is no score record: {what}; run the bench again into a new --out")


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
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    return f"{name}, {cores} cores"

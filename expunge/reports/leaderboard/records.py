"""The records of benches below ``results/``: a JSON file for each suite, forget set and method."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pydantic import TypeAdapter, ValidationError

from expunge.bench.folder import SCORES, read_folder
from expunge.bench.score import out_of_range
from expunge.checksums import NoRecord
from expunge.errors import StoreError, UserError
from expunge.files import cannot_write, unchanging, write_file
from expunge.names import as_file_name
from expunge.outside import read_bytes
from expunge.records import Score, UnknownSchema, as_record, as_score
from expunge.reports.usability.findings import is_usability


@dataclass(frozen=True)
class Kept:
    """What a file of results holds: the fields that all its records share, and the others of each."""

    common: dict[str, Any]
    scores: list[dict[str, Any]]


_KEPT = TypeAdapter(Kept)


def collect(out: Path, results: Path) -> list[Score]:
    """Write the records of a bench to ``results``, a JSON file for each suite, forget set and method; the records.

    What all records of a file have in common stands in it once. A forget set has the rows of one bench alone, for a
    rank is among the methods of its bench: a bench that lacks a row which is there is refused.
    """
    found = _bench(out)
    rows: dict[Path, list[Score]] = defaultdict(list)
    for score in found:
        subject = score.subject
        folder = results / as_file_name(subject.suite) / as_file_name(subject.forget_set)
        rows[folder / f"{as_file_name(subject.method)}.json"].append(score)
    for folder in {file.parent for file in rows}:
        if lacking := sorted(unquote(file.stem) for file in set(folder.glob("[!.]*.json")) - rows.keys()):
            raise UserError(
                f"{folder} has rows that the bench in {out} lacks ({', '.join(lacking)}), and ranks of two benches "
                "must not stand in one table; bench all of them together, or remove the folder"
            )
    for file, scores in rows.items():
        write_kept(file, scores)
    return found


def write_kept(file: Path, scores: Sequence[Score]) -> None:
    """Write records to a file of results: what they have in common once, then a line for each."""
    common, own = apart([as_record(score) for score in scores])
    lines = map(json.dumps, own)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(file.parent, error) from None
    write_file(file, '{"common": ' + json.dumps(common) + ',\n"scores": [\n' + ",\n".join(lines) + "\n]}\n")


def _bench(out: Path) -> list[Score]:
    if not (out / SCORES).is_file():
        raise StoreError(f"{out / SCORES} cannot be read: there is none; give the --out folder of a bench")
    with unchanging(out):
        scores = read_folder(out).scores
    if is_usability(scores):
        raise UserError(f"{out} holds the records of an attack, which has no rank; give the --out folder of a bench")
    return scores


def read_records(results: Path) -> dict[str, list[Score]]:
    """All records, by suite."""
    found: dict[str, list[Score]] = defaultdict(list)
    for file in sorted(results.glob("*/*/[!.]*.json")):
        for score in read_kept(file):
            found[score.subject.suite].append(score)
    if not found:
        bench = (results / SCORES).exists()
        what = "is the --out of a bench, and no folder of results" if bench else "has no records"
        add = f"expunge leaderboard RESULTS --add {results if bench else 'OUT'}"
        raise StoreError(f"{results} {what} (SUITE/FORGET_SET/METHOD.json); `{add}` puts those of a bench there")
    return dict(found)


def read_kept(file: Path) -> list[Score]:
    """The records of a file of results; :class:`StoreError` where it has none."""
    try:
        kept = _KEPT.validate_json(read_bytes(file, StoreError))
        scores = [as_score(together(kept.common, each)) for each in kept.scores]
        doubt = next(filter(None, map(out_of_range, scores)), "")
    except ValidationError as error:
        doubt = error.errors()[0]["msg"]
    except UnknownSchema as error:
        raise StoreError(f"{file} {error}; collect it again") from None
    except (NoRecord, RecursionError) as error:
        doubt = str(error)
    if doubt:
        raise StoreError(f"{file} has no score records: {doubt}; collect it again")
    return scores


def apart(records: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What all records share, of their subjects too, and what each has of its own.

    >>> apart([{"subject": {"suite": "s", "seed": 0}, "value": 1}, {"subject": {"suite": "s", "seed": 1}, "value": 1}])
    ({'subject': {'suite': 's'}, 'value': 1}, [{'subject': {'seed': 0}}, {'subject': {'seed': 1}}])
    """
    common: dict[str, Any] = {}
    for key, value in records[0].items():
        if isinstance(value, dict) and key == "subject":
            common[key] = apart([each[key] for each in records])[0]
        elif all(each[key] == value for each in records):
            common[key] = value
    return common, [_less(each, common) for each in records]


def _less(record: dict[str, Any], common: dict[str, Any]) -> dict[str, Any]:
    own = {key: value for key, value in record.items() if key not in common}
    subject = {k: v for k, v in record.get("subject", {}).items() if k not in common.get("subject", {})}
    return {**({"subject": subject} if subject else {}), **own}


def together(common: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """The record that was taken :func:`apart`."""
    parts = [part for each in (common, own) if isinstance(part := each.get("subject", {}), dict)]
    subject = {key: value for part in parts for key, value in part.items()}
    return {**common, **own, **({"subject": subject} if subject else {})}

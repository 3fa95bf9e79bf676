"""The records of benches below ``results/``: a JSON file for each suite, forget set and method."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from pydantic import TypeAdapter, ValidationError

from expunge.errors import StoreError, UserError
from expunge.outside import read_bytes
from expunge.records import Score, UnknownSchema, as_score, read_scores


@dataclass(frozen=True)
class Kept:
    """What a file of results holds: the fields that all its records share, and the others of each."""

    common: dict[str, Any]
    scores: list[dict[str, Any]]


_KEPT = TypeAdapter(Kept)


def collect(out: Path, results: Path) -> None:
    """Write the records of a bench to ``results``, a JSON file for each suite, forget set and method.

    What all records of a file have in common stands in it once. A forget set has the rows of one bench alone, for a
    rank is among the methods of its bench: a bench that lacks a row which is there is refused.
    """
    rows: dict[tuple[str, str, str], list[Score]] = defaultdict(list)
    for score in _bench(out):
        rows[score.subject.suite, score.subject.forget_set, score.subject.method].append(score)
    for suite, forget in {key[:2] for key in rows}:
        there = {unquote(file.stem) for file in (results / suite / forget).glob("*.json")}
        if lacking := sorted(there - {method for *place, method in rows if tuple(place) == (suite, forget)}):
            raise UserError(
                f"{results / suite / forget} has rows that the bench in {out} lacks ({', '.join(lacking)}), and ranks "
                "of two benches must not stand in one table; bench all of them together, or remove the folder"
            )
    for (suite, forget, method), scores in rows.items():
        file = results / suite / forget / f"{quote(method, safe='')}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        common, own = apart([asdict(score) for score in scores])
        lines = map(json.dumps, own)
        file.write_text('{"common": ' + json.dumps(common) + ',\n"scores": [\n' + ",\n".join(lines) + "\n]}\n")


def _bench(out: Path) -> list[Score]:
    file = out / "scores.jsonl"
    try:
        return read_scores(file)
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}; give the --out folder of a bench") from None


def read_records(results: Path) -> dict[str, list[Score]]:
    """All records, by suite."""
    found: dict[str, list[Score]] = defaultdict(list)
    for file in sorted(results.glob("*/*/*.json")):
        try:
            kept = _KEPT.validate_json(read_bytes(file, StoreError))
            found[file.parts[-3]] += [as_score(together(kept.common, each)) for each in kept.scores]
        except ValidationError as error:
            raise StoreError(f"{file} has no score records: {error.errors()[0]['msg']}; collect it again") from None
        except UnknownSchema as error:
            raise StoreError(f"{file} {error}; collect it again") from None
    if not found:
        bench = (results / "scores.jsonl").exists()
        what = "is the --out of a bench, and no folder of results" if bench else "has no records"
        add = f"expunge leaderboard RESULTS --add {results if bench else 'OUT'}"
        raise StoreError(f"{results} {what} (SUITE/FORGET_SET/METHOD.json); `{add}` puts those of a bench there")
    return dict(found)


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
    subject = {**common.get("subject", {}), **own.get("subject", {})}
    return {**common, **own, **({"subject": subject} if subject else {})}

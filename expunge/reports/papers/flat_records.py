"""Records as flat rows, one a number, for CSV and for frames: every field under a name that is free in a DataFrame."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from expunge.records import Score, Subject

NAMES = {"aggregate": "statistic"}  # DataFrame.aggregate is a method
NOT_SHOWN = ("subject", "schema")

Flat = dict[str, Any]


def flat(score: Score) -> Flat:
    """A record as one row; ``config`` and ``versions`` are JSON."""
    subject = {each.name: getattr(score.subject, each.name) for each in fields(Subject)}
    texts = {name: json.dumps(value, sort_keys=True) for name, value in subject.items() if isinstance(value, dict)}
    own = {each.name: getattr(score, each.name) for each in fields(Score) if each.name not in NOT_SHOWN}
    return {NAMES.get(name, name): value for name, value in {**subject, **texts, **own}.items()}


def to_csv(scores: Sequence[Score]) -> str:
    """All records with every digit, one a line; what is absent is an empty cell."""
    stream = io.StringIO()
    rows = [flat(score) for score in scores]
    writer = csv.DictWriter(stream, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()

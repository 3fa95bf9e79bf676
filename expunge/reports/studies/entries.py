"""How a study keeps its numbers: a JSON file that says what they were made with, then one entry a line."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from expunge.errors import StoreError
from expunge.files import write_file
from expunge.metrics.calibration import Estimate
from expunge.outside import read_json
from expunge.records import hardware, versions

Entry = dict[str, Any]
Records = dict[str, Any]  # what a file holds: ``facts``, and ``rows``, its entries


def write_entries(file: Path, entries: Sequence[Entry], models: int) -> None:
    """Write ``entries``, each of ``models`` models."""
    facts = {"models": models, "hardware": hardware(), "versions": versions()}
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_file(file, f'{{"facts": {json.dumps(facts)},\n"rows": [\n{lines}\n]}}\n')


def read_entries(file: Path) -> Records | None:
    """What :func:`write_entries` wrote; None where there is no file yet."""
    if not file.exists():
        return None
    found: Records = read_json(file, StoreError)
    return found


def as_list(estimate: Estimate) -> list[float]:
    """Value, low and high, as an entry holds them.

    >>> as_list(Estimate(1.0, 0.5, 1.5))
    [1.0, 0.5, 1.5]
    """
    return list(asdict(estimate).values())

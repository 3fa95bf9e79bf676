"""How the runs on sparse models keep their numbers: what they were made with, and one row a line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from expunge.records import hardware, versions


def write_rows(file: Path, rows: Sequence[dict[str, Any]], models: int) -> None:
    """Write ``rows``, each of ``models`` models, as JSON."""
    facts = {"models": models, "hardware": hardware(), "versions": versions()}
    lines = ",\n".join(json.dumps(row) for row in rows)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'{{"facts": {json.dumps(facts)},\n"rows": [\n{lines}\n]}}\n')

"""Files that were taken for others: what lies in them, and which file, or which command, was meant."""

import json
from pathlib import Path
from typing import Any

from expunge.errors import BadCertificate

CERTIFICATES, MEASURED = "certificates.jsonl", "certification.json"  # what a method leaves in its folder
WRITTEN = f"`expunge certify METHOD SUITE FORGET_SET` writes {CERTIFICATES} to the folder of its --out"
COMMANDS = {
    "expunge certificate of unlearning": "holds certificates: `expunge certify check` reads them",
    "expunge ledger of certified unlearning": "is a ledger: `expunge certify budget` reads it",
}


def require_file(file: Path) -> None:
    """Refuse a folder, and say which file in it is meant."""
    if file.is_dir():
        there = file / CERTIFICATES
        meant = f"take {there}" if there.is_file() else WRITTEN
        raise BadCertificate(f"{file} is a folder; expected a file: {meant}")


def told_of(file: Path, content: bytes, expected: str) -> str:
    """What a file is that is not of the ``expected`` format, and what to take in its place; "" where nobody knows."""
    for found in (_json_of(content), _json_of(content.partition(b"\n")[0])):
        if found.get("record") == "certification":
            return f"{file} is what was measured of claims; {_beside(file)}"
        if "facts" in found and "rows" in found:
            return f"{file} holds the figures of a page, and no certificates; {WRITTEN}"
        if (kind := str(found.get("format"))) in COMMANDS and kind != expected:
            return f"{file} {COMMANDS[kind]}"
    return ""


def _beside(file: Path) -> str:
    there = file.with_name(CERTIFICATES)
    return (
        f"the certificates lie beside it: take {there}" if there.is_file() else f"certificates lie elsewhere: {WRITTEN}"
    )


def _json_of(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}

"""Lines of JSON that hold a checksum of their own, read as records of one kind, or refused in a line."""

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from expunge.checksums import CHECKSUM, NoRecord, opened
from expunge.errors import BadCertificate


class Told(BaseModel):
    """What stands in a line: each field of exactly its type, none but those that are known."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


Record = TypeVar("Record", bound=Told)


def read_line(line: bytes, kind: type[Record], place: str, what: str) -> tuple[Record, str]:
    """The record in a line, and its checksum; :class:`~expunge.errors.BadCertificate` where it is no ``what``."""
    if not line.strip():
        raise BadCertificate(f"{place} is no {what}: the line is blank; delete it")
    try:
        found: Any = opened(line)
    except NoRecord as error:
        raise BadCertificate(f"{place} is no {what}: {' '.join(str(error).split())[:200]}; ask for it again") from None
    if not isinstance(found, dict):
        raise BadCertificate(f"{place} is no {what}: expected a JSON object, got {type(found).__name__}")
    _require_kind(found, kind, place, what)
    if CHECKSUM not in found:
        raise BadCertificate(f"{place} is no {what}: it has no checksum; ask for it again")
    try:
        told = json.dumps({key: each for key, each in found.items() if key != CHECKSUM})
        return kind.model_validate_json(told), found[CHECKSUM]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))[:80]
        raise BadCertificate(f"{place} is no {what}: {where}: {first['msg'][:120]}; ask for it again") from None


def _require_kind(found: dict[str, Any], kind: type[Told], place: str, what: str) -> None:
    """Refuse another format, and another version, of what has one, before its fields are looked at."""
    expected = {name: field.default for name, field in kind.model_fields.items() if name in ("format", "version")}
    if "format" in expected and found.get("format") != expected["format"]:
        raise BadCertificate(f"{place} is no {what}: it does not say {expected['format']!r}")
    version = found.get("version")
    if "version" in expected and (type(version) is not int or version != expected["version"]):
        raise BadCertificate(
            f"{place} has version {str(version)[:20]}, this expunge reads {expected['version']}; take the expunge "
            "that wrote it"
        )

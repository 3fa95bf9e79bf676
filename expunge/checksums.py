"""JSON that holds a checksum of its own, so that a byte that changed is found."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NoReturn

CHECKSUM = "sha256"  # the field with the checksum of all others


class NoRecord(Exception):
    """What is no record that can be believed, and why, in words."""


def checksum(facts: Mapping[str, Any]) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the JSON of ``facts``, keys sorted, without a checksum of its own.

    >>> checksum({"b": 1, "a": 2.5}) == checksum({"a": 2.5, "b": 1, "sha256": "of before"})
    True
    """
    told = {key: value for key, value in facts.items() if key != CHECKSUM}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def sealed(facts: Mapping[str, Any]) -> dict[str, Any]:
    """``facts`` with their checksum behind them."""
    return {**facts, CHECKSUM: checksum(facts)}


def opened(data: bytes, indent: int | None = None) -> Any:
    """The JSON in ``data``; :class:`NoRecord` where it is none or, where it states a checksum, has another.

    What has one must also be, byte for byte, as it was written, for JSON itself would forgive other spaces.
    """
    try:
        text = data.decode()
        found = json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise NoRecord("it is nested too deep") from None
    except UnicodeDecodeError as error:
        raise NoRecord(f"it is no text: byte {error.start + 1}, 0x{data[error.start]:02x}, is no UTF-8") from None
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        told = error.msg.removesuffix(" starting at")
        raise NoRecord(f"it is no JSON: {told} at {line}character {error.colno}") from None
    except ValueError as error:  # a number that is none, or that has too many digits
        raise NoRecord(str(error)) from None
    if isinstance(found, dict) and CHECKSUM in found:
        if found[CHECKSUM] != checksum(found):
            raise NoRecord("it does not have the checksum that it states")
        if json.dumps(found, indent=indent) != text:
            raise NoRecord("it is not as it was written")
    return found


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")

"""What expunge ships beside its code and its store: each file has a SHA-256, which is compared when it is read.

    python -m expunge.shipped

writes the list anew, after a file of it was made anew. Artefacts of the shipped store have manifests of their own.
"""

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from expunge.errors import StoreError
from expunge.outside import read_bytes, read_text

PACKAGE = Path(__file__).parent
LIST = PACKAGE / "shipped.sha256"
OWN = 65  # bytes of its last line
PATTERNS = (
    "suites/*.npz",
    "methods/*.toml",
    "methods/tuned/*/*/*.json",
    "reports/leaderboard/results.json",
    "reports/threats/results.json",
    "reports/page/vendor/*",
)


def read_shipped(file: Path) -> bytes:
    """The bytes of a file that is shipped; :class:`StoreError` where they are not those that were."""
    content = read_bytes(file, StoreError)
    told = _digests().get(file.relative_to(PACKAGE).as_posix()) if file.is_relative_to(PACKAGE) else None
    if told is not None and hashlib.sha256(content).hexdigest() != told:  # one that is not listed was not shipped
        raise StoreError(
            f"{file} does not have the bytes that were shipped; reinstall expunge (after a change of your own: "
            "python -m expunge.shipped)"
        )
    return content


def digests() -> Iterator[tuple[str, str]]:
    """Path and SHA-256 of each file that is shipped, as it lies there now."""
    for file in sorted({file for pattern in PATTERNS for file in PACKAGE.glob(pattern)}):
        yield file.relative_to(PACKAGE).as_posix(), hashlib.sha256(file.read_bytes()).hexdigest()


@cache
def _digests() -> dict[str, str]:
    """SHA-256 by path, as they were shipped."""
    text = read_text(LIST, StoreError)
    lines, own = text[:-OWN], text[-OWN:-1]
    if hashlib.sha256(lines.encode()).hexdigest() != own:
        raise StoreError(f"{LIST} does not have the bytes that were shipped; reinstall expunge")
    return {path: digest for digest, _, path in (line.partition("  ") for line in lines.splitlines())}


def listed() -> str:
    """The list as it should be now: a line a file, then its own SHA-256."""
    lines = "".join(f"{digest}  {path}\n" for path, digest in digests())
    return f"{lines}{hashlib.sha256(lines.encode()).hexdigest()}\n"


def main() -> None:
    LIST.write_text(listed(), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Names out of records and from users: they are names, never paths, wherever they come to stand."""

import hashlib
import re
import unicodedata
from functools import lru_cache
from urllib.parse import quote

from expunge.errors import BadSetting

LONGEST = 150  # bytes of a file's name, beside what is put around it


@lru_cache(10_000)  # thousands of records name the same few
def fault_of_name(kind: str, name: str) -> str:
    """What is wrong with a name that stands in records, on pages and, quoted, in paths; "" where nothing is.

    >>> fault_of_name("method", "folder/my file.py:forget")
    ''
    >>> fault_of_name("suite", "..")
    "suite: expected a name, got '..'"
    """
    bad = [each for each in name if unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp")]
    if bad:
        return f"{kind}: expected a name without control characters, got {name[:100]!a}"
    return f"{kind}: expected a name, got {name!r}" if name.strip() in ("", ".", "..") else ""


def require_name(kind: str, name: str) -> str:
    """``name``, or :class:`~expunge.errors.BadSetting` where it is none."""
    if fault := fault_of_name(kind, name):
        raise BadSetting(fault)
    return name


def as_file_name(name: str) -> str:
    """A name as that of a file or folder: what could lead elsewhere is quoted, and a long one ends in its digest.

    >>> as_file_name("../../my file.py:forget"), as_file_name("digits@omp-0.95")
    ('..%2F..%2Fmy%20file.py%3Aforget', 'digits@omp-0.95')
    >>> as_file_name("..")
    '%2E%2E'
    """
    quoted = re.sub(r"[^\w.+@-]", lambda found: quote(found[0], safe="", errors="surrogatepass"), name)
    if not quoted.strip("."):
        return quoted.replace(".", "%2E")
    if len(quoted.encode()) <= LONGEST:
        return quoted
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]
    return f"{quoted.encode()[: LONGEST - 20].decode(errors='ignore')}-{digest}"

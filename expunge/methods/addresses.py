"""How a method of the user's own is addressed where one speaks of it beside others: ``lr`` of ``mine.py:forget_it``."""

from collections.abc import Iterable

from expunge.errors import UnknownName
from expunge.user_files import without_folder


def addressed(name: str, methods: Iterable[str]) -> str:
    """The one of ``methods`` that ``name`` means: itself, or ``file.py:NAME`` without its folder, or NAME alone.

    A row of the table goes before a function of its name. What means none of them is left as it is.

    >>> addressed("forget_it", ["scrub", "my/mine.py:forget_it"]), addressed("scrub", ["scrub", "mine.py:scrub"])
    ('my/mine.py:forget_it', 'scrub')
    """
    methods = list(dict.fromkeys(methods))
    if name in methods:
        return name
    own = [each for each in methods if ":" in each]
    found = [each for each in own if without_folder(name) == without_folder(each)]
    found = found or [each for each in own if name == each.rpartition(":")[2]]
    if len(found) > 1:
        raise UnknownName(f"{name!r} may be {' or '.join(found)}; give one of them in full")
    return found[0] if found else name

"""What may reach the standard streams: characters that a terminal shows, in an encoding that it has, results apart."""

import codecs
import contextlib
import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from typing import TextIO

# What a terminal obeys, or what changes the order of what it shows: C0 but tab and newline, DEL, C1, line separators,
# marks and overrides of direction; and halves of surrogate pairs, which stand for bytes of a name that is no UTF-8.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_FOLD = re.compile(r"\s*\n\s*")
_PLAIN = {
    **dict.fromkeys("−–—‐‑─━╸╺╶╴", "-"),
    **dict.fromkeys("│┃╷╵", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼┏┓┗┛┠┨╭╮╰╯", "+"),
    **dict.fromkeys("‘’‚′", "'"),
    **dict.fromkeys("“”„″", '"'),
    **dict.fromkeys("×✕", "x"),
    **dict.fromkeys("·•∙", "*"),
    **dict.fromkeys("✓✔", "v"),
    **dict.fromkeys("≈∼", "~"),
    **dict(zip("▬●◕◐○↗⊘", "=#%/o^~", strict=True)),  # the marks of the readings, whose words carry the meaning
    "→": "->",
    "†": "+",
    "¡": "!",
    "¿": "?",
    "↑": "+",
    "←": "<-",
    "≥": ">=",
    "≤": "<=",
    "≠": "!=",
    "±": "+-",
    "…": "...",
    "÷": "/",
    "⁄": "/",
    "∞": "inf",
    "√": "sqrt",
    "Δ": "d",
    "µ": "u",
    "μ": "u",
    "σ": "sigma",
    "ß": "ss",
    "æ": "ae",
    "Æ": "AE",
    "ø": "o",
    "Ø": "O",
    "ł": "l",
    "Ł": "L",
    "«": "<<",
    "»": ">>",
    "\u00a0": " ",
}


def are_ours() -> bool:
    """Whether this process writes to the standard streams that it was started with, and none took their place."""
    ours = sys.stdout, sys.stderr
    if None in ours or ours != (sys.__stdout__, sys.__stderr__):
        return False
    try:
        return [stream.fileno() for stream in ours if stream] == [1, 2]
    except (OSError, ValueError):
        return False


def printable(text: str) -> str:
    r"""``text`` with what a terminal would obey as visible escapes; tabs and newlines stay.

    >>> printable("a\x1b[31m\u202e\udcff")
    'a\\x1b[31m\\u202e\\xff'
    """
    return _UNSEEN.sub(lambda found: _escape(found[0]), text)


def one_line(text: str) -> str:
    r"""``text`` as one line that a terminal can show.

    >>> one_line("no file 'a\n  b\x07'")
    "no file 'a b\\x07'"
    """
    return printable(_FOLD.sub(" ", text.strip()))


def plain(text: str) -> str:
    r"""``text`` in ASCII: signs and letters as what comes next to them, all else as escapes.

    >>> plain("KLoM ×2, 3 ± 1 … é \u4e2d")
    'KLoM x2, 3 +- 1 ... e \\u4e2d'
    """
    return "".join(each if each.isascii() else _PLAIN.get(each) or _base(each) or _escape(each) for each in text)


def speak_plainly() -> None:
    """What the encoding of the standard streams lacks is written :func:`plain`, and never an error."""
    codecs.register_error("expunge-plain", _replace)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="expunge-plain")


def speak_ascii() -> None:
    """All is written :func:`plain`, whatever the encoding of the standard streams could say."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="ascii", errors="expunge-plain")


@contextlib.contextmanager
def results_apart() -> Iterator[TextIO | None]:
    """Give standard output as a stream; whatever else prints there meanwhile goes to standard error.

    Where standard output is this process's own, that holds for C libraries and child processes too, and to the end of
    the process: what is said at its end must not follow the result. One that took its place is given back.
    """
    result = _set_aside(sys.stdout) if are_ours() else sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        yield result


def _set_aside(stream: TextIO) -> TextIO:
    stream.flush()
    aside = os.fdopen(os.dup(1), "w", encoding=stream.encoding, errors=stream.errors)
    os.dup2(2, 1)
    return aside


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return plain(error.object[error.start : error.end]), error.end


def _base(character: str) -> str:
    """A letter without its accents, a sign spelt out, if that is ASCII: é is e, ½ is 1/2."""
    parts = [each for each in unicodedata.normalize("NFKD", character) if not unicodedata.combining(each)]
    found = "".join(_PLAIN.get(each, each) for each in parts)
    return found if found.isascii() else ""


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

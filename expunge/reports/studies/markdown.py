"""What Markdown is written with: names and reasons that stay what they are, tables, numbers with their intervals."""

import re
from collections.abc import Sequence

Interval = Sequence[float]  # value, low, high

_ENTITIES = {"<": "&lt;", ">": "&gt;"}
_MARKS = re.compile(r"[\\`|~]|\*(?=\S)|(?<=\S)\*|(?<!\w)_|_(?!\w)|\](?=[(\[:])|(?<=\])\(|&(?=[#\w]+;)|[<>]")
_NO_CODE = re.compile(r"[`|<>\[\]\\\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Markdown(str):
    """Text that is Markdown already, and is not escaped again."""

    __slots__ = ()


def escaped(text: str) -> Markdown:
    """``text`` on one line, of which nothing is read as Markdown or HTML.

    >>> print(escaped("<b>|a`b*c*\\n[x](y) 0.5 [0.1, 0.9] snake_case *"))
    &lt;b&gt;\\|a\\`b\\*c\\* [x\\]\\(y) 0.5 [0.1, 0.9] snake_case *
    """
    if isinstance(text, Markdown):
        return text
    line = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text)
    return Markdown(_MARKS.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), line))


def unbroken(cell: str) -> Markdown:
    """A short cell of a wide table, which would else be read down, not across.

    >>> unbroken("9 % ±1 %") == "9\N{NO-BREAK SPACE}%\N{NO-BREAK SPACE}±1\N{NO-BREAK SPACE}%"
    True
    """
    return Markdown(escaped(cell).replace(" ", "\N{NO-BREAK SPACE}"))


def code(name: str) -> Markdown:
    """A name as code, where it holds nothing that code in a table could not hold; else escaped.

    >>> print(code("scrub"), code("a|b"))
    `scrub` a\\|b
    """
    return escaped(name) if _NO_CODE.search(name) or not name.strip() else Markdown(f"`{name}`")


def in_brackets(interval: Interval | None, factor: float, decimals: int) -> str:
    """``value [low, high]``, times ``factor``; a dash where there is none.

    >>> in_brackets([0.5, 0.25, 0.75], 100, 1), in_brackets(None, 1, 2)
    ('50.0 [25.0, 75.0]', '-')
    """
    if interval is None:
        return "-"
    value, low, high = (round(factor * each, decimals) + 0.0 for each in interval)
    return f"{value:.{decimals}f} [{low:.{decimals}f}, {high:.{decimals}f}]"


def grid(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table, whose cells are escaped.

    >>> print(grid(["method", "0"], [["scrub", "1.2"], ["a|b", "-"]]))
    | method | 0 |
    | --- | --- |
    | scrub | 1.2 |
    | a\\|b | - |
    """
    rows = [[escaped(cell) for cell in row] for row in (head, *lines)]
    rows.insert(1, [Markdown("---")] * len(head))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)

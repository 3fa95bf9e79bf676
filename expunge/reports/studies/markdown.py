"""What the pages of studies are written with: a table, and a number with its interval."""

from collections.abc import Sequence

Interval = Sequence[float]  # value, low, high


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
    """A table.

    >>> print(grid(["method", "0"], [["scrub", "1.2"]]))
    | method | 0 |
    | --- | --- |
    | scrub | 1.2 |
    """
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)

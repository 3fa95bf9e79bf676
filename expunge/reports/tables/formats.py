"""How numbers are written: the same in the terminal and on the page. What is absent is a dash, never 0."""

from collections.abc import Callable

from expunge.reports.summaries import Interval

ABSENT = "–"


def value(interval: Interval | None) -> float | None:
    """The number itself, if there is one."""
    return None if interval is None else interval.value


def nats(value: float | None) -> str:
    """
    >>> nats(0.6512), nats(None)
    ('0.65', '–')
    """
    return ABSENT if value is None else f"{value:.2f}"


def between(interval: Interval | None) -> str:
    """
    >>> between(Interval(0.65, 0.6, 0.7)), between(Interval(0.65, None, None))
    ('[0.60, 0.70]', '')
    """
    return _in_brackets(interval, nats)


def percent(value: float | None) -> str:
    """
    >>> percent(0.5), percent(0.0), percent(None)
    ('50.0', '0.0', '–')
    """
    return ABSENT if value is None else f"{100 * value:.1f}"


def percent_between(interval: Interval | None) -> str:
    """
    >>> percent_between(Interval(0.5, 0.45, 0.551))
    '[45.0, 55.1]'
    """
    return _in_brackets(interval, percent)


def compute(cost: float | None) -> str:
    """
    >>> compute(0.00041), compute(0.123), compute(1.2), compute(0.0), compute(None)
    ('0.041 %', '12 %', '120 %', '0 %', '–')
    """
    if cost is None:
        return ABSENT
    return f"{100 * cost:.0f} %" if cost >= 0.1 else f"{100 * cost:.2g} %"


def seconds(value: float | None) -> str:
    """
    >>> seconds(0.01234), seconds(75.2), seconds(None)
    ('0.012', '75', '–')
    """
    if value is None:
        return ABSENT
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def seconds_between(interval: Interval | None) -> str:
    """
    >>> seconds_between(Interval(0.5, 0.45, 12.3))
    '[0.45, 12]'
    """
    return _in_brackets(interval, seconds)


def times(ratio: float | None) -> str:
    """
    >>> times(14.13), times(None)
    ('×14.1', '–')
    """
    return ABSENT if ratio is None else f"×{ratio:.1f}"


def signed(value: float | None) -> str:
    """A gap in per cent, with its sign.

    >>> signed(-0.0312), signed(0.5), signed(0.0), signed(None)
    ('−3.1', '+50.0', '0.0', '–')
    """
    if value is None:
        return ABSENT
    text = f"{100 * value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def signed_between(interval: Interval | None) -> str:
    """
    >>> signed_between(Interval(0.0, -0.01, 0.012))
    '[−1.0, +1.2]'
    """
    return _in_brackets(interval, signed)


def _in_brackets(interval: Interval | None, written: Callable[[float | None], str]) -> str:
    """Both ends as ``written`` writes a number; nothing where there is no interval."""
    if interval is None or interval.low is None or interval.high is None:
        return ""
    return f"[{written(interval.low)}, {written(interval.high)}]"

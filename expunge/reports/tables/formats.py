"""How numbers are written: the same in the terminal and on the page. What is absent is a dash, never 0."""

import re
from collections.abc import Callable, Iterable

from expunge.metrics.klom import SATURATED
from expunge.reports.summaries import Interval

ABSENT = "–"


def on_lines(name: str, width: int = 12) -> str:
    """A name on as few lines as its hyphens, or its spaces, let it have, each of at most ``width`` where that can be.

    >>> on_lines("gradient-ascent"), on_lines("sisa"), on_lines("owner-update-budget")
    ('gradient-\\nascent', 'sisa', 'owner-\\nupdate-\\nbudget')
    """
    lines = [""]
    for part in re.findall(r"[^- ]*(?:-|\s+|$)", name):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def value(interval: Interval | None) -> float | None:
    """The number itself, if there is one."""
    return None if interval is None else interval.value


def nats(value: float | None) -> str:
    """
    >>> nats(0.6512), nats(-0.051), nats(-0.004), nats(None)
    ('0.65', '−0.05', '0.00', '–')
    """
    return ABSENT if value is None else f"{value:z.2f}".replace("-", "−")


def klom(value: float | None) -> str:
    """KLoM's P95, marked where it is saturated.

    >>> klom(0.6512), klom(10.28), klom(None)
    ('0.65', '10.3*', '–')
    """
    if value is None:
        return ABSENT
    return (f"{value:.1f}" if value >= 10 else nats(value)) + ("*" if value >= SATURATED else "")


def half(interval: Interval | None) -> str:
    """Half the width of an interval, of which the lower end may be cut.

    >>> half(Interval(0.05, 0.0, 0.15)), half(Interval(0.65, None, None))
    ('±0.10', '')
    """
    return _half(interval, nats)


def whole_percent(value: float | None) -> str:
    """
    >>> whole_percent(0.784), whole_percent(-0.004), whole_percent(None)
    ('78 %', '0 %', '–')
    """
    return ABSENT if value is None else f"{100 * value:.0f} %".replace("-0 ", "0 ").replace("-", "−")


def half_percent(interval: Interval | None) -> str:
    """With a decimal where it is less than one.

    >>> half_percent(Interval(0.78, 0.75, 0.81)), half_percent(Interval(0.02, 0.016, 0.024))
    ('±3 %', '±0.4 %')
    """
    small = interval is not None and interval.high is not None and 0 < interval.high - interval.value < 0.00995
    return _half(interval, (lambda value: f"{percent(value)} %") if small else whole_percent)


def half_share(interval: Interval | None) -> str:
    """Half the width of a share's interval, in per cent as :func:`percent` writes it.

    >>> half_share(Interval(0.972, 0.962, 0.982))
    '±1.0'
    """
    return _half(interval, percent)


def _half(interval: Interval | None, written: Callable[[float | None], str]) -> str:
    return "" if interval is None or interval.high is None else f"±{written(interval.high - interval.value)}"


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


DEAR = "↑"  # behind a cost


def compute(cost: float | None) -> str:
    """
    >>> compute(0.00041), compute(0.123), compute(1.2), compute(0.0), compute(None)
    ('0.041 %', '12 %', '120 %', '0 %', '–')
    """
    if cost is None:
        return ABSENT
    return f"{100 * cost:.0f} %" if cost >= 0.1 else f"{100 * cost:.2g} %"


def narrow(cost: float | None) -> str:
    """
    >>> narrow(0.123), narrow(0.005)
    ('12%', '0.5%')
    """
    return compute(cost).replace(" %", "%")


def at_most(budgets: Iterable[float | None]) -> str:
    """The budgets that settings were tuned for; "" where there are none.

    >>> at_most([0.5, None, 0.15, 0.5]), at_most([None])
    ('at most 15 % or 50 % of a retraining', '')
    """
    found = sorted({each for each in budgets if each})
    return f"at most {' or '.join(map(compute, found))} of a retraining" if found else ""


def priced(cost: float | None, over: float | None) -> str:
    """A cost, and the budget that it is over, where it is.

    >>> priced(0.21, 0.15), priced(0.1, None)
    ('21 % >15 %', '10 %')
    """
    return compute(cost) + (f" >{compute(over)}" if over is not None else "")


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

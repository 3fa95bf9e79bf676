"""Numbers that are counts of victims: told from their intervals, and compared anew by what records say of each arm."""

import math

import numpy as np
from scipy.special import stdtrit

from expunge.metrics.calibration import Estimate
from expunge.metrics.over_models import difference_of_shares, difference_of_yes_and_no, share_of_models
from expunge.reports.summaries import Interval

MOST = 1000  # victims that anybody is advised to attack


def count_of(cell: Interval | None, victims: int) -> int | None:
    """Of how many victims the answer was yes, where a number is the share of those; None where it is another.

    A share of yes and no has the interval of Clopper and Pearson for that count, which no other number has.

    >>> count_of(Interval(1.0, 0.025 ** (1 / 10), 1.0), 10), count_of(Interval(1.0, 1.0, 1.0), 10)
    (10, None)
    """
    if cell is None or cell.low is None or cell.high is None:
        return None
    count = round(cell.value * victims)
    if not 0 <= count <= victims:
        return None
    exact = share_of_models(np.arange(victims) < count)
    pairs = zip((cell.value, cell.low, cell.high), (exact.value, exact.low, exact.high), strict=True)
    return count if all(math.isclose(one, other, abs_tol=1e-9) for one, other in pairs) else None


def over_others(attack: Interval | None, others: Interval | None, victims: int) -> Interval | None:
    """An attack's success less that of as many other models, by today's interval; None where they are no counts."""
    yes, other = count_of(attack, victims), count_of(others, victims)
    if yes is None or other is None:
        return None
    found = _of_counts(yes, other, victims, paired=False)
    return Interval(found.value, found.low, found.high)


def fewest_victims(paired: bool) -> int:
    """The least number of victims of which yes of all beside no of all lies above 0.

    >>> fewest_victims(paired=True), fewest_victims(paired=False)
    (4, 2)
    """
    return next(count for count in range(2, MOST) if _of_counts(count, 0, count, paired).low > 0)


def victims_needed(excess: Interval, victims: int, counts: tuple[int, int] | None, paired: bool) -> int | None:
    """With how many victims a difference of this size would lie above 0; None where that is beyond ``MOST``.

    ``counts`` are those of the attack and of its control where they are yes and no; of pairs as few as can be are taken
    to have changed against the attack. Other numbers keep the spread that their interval has.
    """
    for count in range(victims + 1, MOST + 1):
        if counts is None:
            low = excess.value - _half(excess, victims) * _width(count) / _width(victims)
        else:
            yes, control = counts[0] * count // victims, -(-counts[1] * count // victims)  # no more than it was
            low = _of_counts(yes, control, count, paired).low
        if low > 0:
            return count
    return None


def _of_counts(yes: int, control: int, victims: int, paired: bool) -> Estimate:
    """The difference of two counts of as many victims; of pairs the control is yes nowhere but where the attack is."""
    numbers = np.arange(victims)
    return (difference_of_yes_and_no if paired else difference_of_shares)(numbers < yes, numbers < control)


def _half(excess: Interval, victims: int) -> float:
    assert excess.low is not None  # it was asked before
    return excess.value - excess.low


def _width(victims: int) -> float:
    """Half of Student's interval of 95 %, in standard deviations."""
    return float(stdtrit(victims - 1, 0.975)) / math.sqrt(victims)

"""Epsilon measured: the whole way from two arms of models to a lower bound, with what it can tell at most."""

from dataclasses import dataclass

from expunge.audits.epsilon import LEVEL, Counts, cap, lower_bound, require_privacy
from expunge.audits.refutation.arms import Arms, in_parts
from expunge.audits.refutation.families import statistics_of
from expunge.audits.refutation.rule import Aim, choose
from expunge.records import as_ranges


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A lower bound on epsilon at ``delta``, with confidence ``level``, and how it came about.

    ``value`` 0 refutes nothing; it is never above ``cap``, what so many held-out models can tell at most. ``event`` is
    what was counted, the best of so many ``statistics`` in the models that chose; ``held_out`` are the numbers of the
    released models in which it was.
    """

    value: float
    cap: float
    delta: float
    level: float
    counts: Counts
    event: str
    statistics: int
    held_out: str


def measured_epsilon(
    arms: Arms, delta: float, sigma: float, *, held_out: float = 0.5, level: float = LEVEL
) -> Measured:
    """The lower bound that the models of two arms give, those that choose and those that count being others.

    ``sigma`` is the noise that is claimed: it says along which direction a shift is seen best, and is not believed.
    Raises TooFewModels below 8 models in an arm.
    """
    require_privacy(0.0, delta)
    parts = in_parts(arms, held_out)
    statistics = statistics_of(parts.fit, sigma)
    sizes = len(parts.held_out.released), len(parts.held_out.reference)
    rule = choose(statistics, parts.pick, Aim(*sizes, delta, level))
    counts = rule.count(parts.held_out)
    return Measured(
        value=lower_bound(counts, delta, level),
        cap=cap(*sizes, delta, level),
        delta=delta,
        level=level,
        counts=counts,
        event=rule.told(),
        statistics=len(statistics),
        held_out=as_ranges(parts.held_out.released.numbers),
    )

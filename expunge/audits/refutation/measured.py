"""Epsilon measured in models: the whole way from two arms to a lower bound."""

from dataclasses import dataclass

from expunge.audits.epsilon import LEVEL, Counts, cap, lower_bound, p_value, require_privacy
from expunge.audits.refutation.arms import Arms, in_parts
from expunge.audits.refutation.families import statistics_of
from expunge.audits.refutation.power import least_refuted
from expunge.audits.refutation.rule import Aim, choose
from expunge.records import Setting, as_ranges


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How often an event happened in held-out models of two arms, and how that event was found.

    It is the best of so many ``statistics`` in the models that chose; ``held_out`` are the numbers of the released
    models in which it was counted.
    """

    counts: Counts
    delta: float
    level: float
    event: str
    statistics: int
    held_out: str

    @property
    def value(self) -> float:
        """Epsilon at least, with confidence ``level``; 0 refutes nothing."""
        return lower_bound(self.counts, self.delta, self.level)

    def p_value(self, epsilon: float) -> float:
        """Of the claim (``epsilon``, ``delta``)."""
        return p_value(self.counts, epsilon, self.delta)

    def cap(self, level: float) -> float:
        """The largest bound that so many held-out models can give."""
        return cap(self.counts.models, self.counts.references, self.delta, level)

    def power(self, epsilon: float, level: float) -> float | None:
        """The least true epsilon at which the claim falls in 80 of 100 cases, against a Gaussian shift."""
        return least_refuted(epsilon, self.delta, self.counts.models, self.counts.references, level=level)

    def facts(self) -> dict[str, Setting]:
        """What it rests on."""
        counts = self.counts
        return {
            **{"event": self.event, "statistics": self.statistics, "held_out": self.held_out},
            **{"hits": counts.hits, "models": counts.models, "alarms": counts.alarms, "references": counts.references},
        }

    def seen(self) -> str:
        """What was counted, in words."""
        counts = self.counts
        return (
            f"{self.event} in {counts.hits} of {counts.models} released models and {counts.alarms} of "
            f"{counts.references} of reference"
        )


def measured_epsilon(
    arms: Arms, delta: float, sigma: float, *, held_out: float = 0.5, level: float = LEVEL
) -> Measured:
    """What the models of two arms show of epsilon, those that choose and those that count being others.

    ``sigma`` is the noise that is claimed: it says along which direction a shift is seen best, and is not believed.
    Raises TooFewModels below 8 models in an arm.
    """
    require_privacy(0.0, delta)
    parts = in_parts(arms, held_out)
    statistics = statistics_of(parts.fit, sigma)
    rule = choose(
        statistics, parts.pick, Aim(len(parts.held_out.released), len(parts.held_out.reference), delta, level)
    )
    return Measured(
        counts=rule.count(parts.held_out),
        delta=delta,
        level=level,
        event=rule.told(),
        statistics=len(statistics),
        held_out=as_ranges(parts.held_out.released.numbers),
    )

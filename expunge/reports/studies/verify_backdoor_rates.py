"""Of the tests of the study of private triggers: false alarms and misses, beside what was promised of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import bdtr

from expunge.audits.backdoor import Baseline, Rule, judged, judged_in_common
from expunge.audits.trigger_test import exact, majority, threshold
from expunge.reports.studies.entries import Entry, as_list
from expunge.reports.studies.verify_backdoor import APPROXIMATE, NOTHING, RETRAINING, STRANGERS, Trial

ALPHAS = (1e-3, 0.05)
BETA = 1e-3
CLASSES, ALL = 10, 1_000_000


@dataclass(frozen=True)
class Way:
    """How q is known: bounded from above or assumed, as by :class:`Rule`, or ``as_such``, without its interval."""

    name: str
    q: Baseline | float = "worst"
    as_such: int = 0  # so many fresh triggers, whose mean is taken for q, as published

    def made(self, test: Trial, alpha: float) -> tuple[bool, float]:
        """Whether there is an alarm, and the chance that the test says it misses with."""
        if not self.as_such:
            found = judged(test.counts, Rule(q=self.q, alpha=alpha, beta=BETA))
            return found.alarm, found.power.beta
        q = float(np.mean(test.fresh[: self.as_such])) / test.queries
        limit = threshold(test.queries, q, alpha)
        return test.after > limit, float(bdtr(limit, test.queries, test.before / test.queries))


WAYS = (
    Way("worst fresh trigger, bounded"),
    Way("mean of fresh triggers, bounded", "mean"),
    Way("mean of fresh triggers, as such", as_such=ALL),
    Way("one fresh trigger, as such", as_such=1),
    Way("1/classes", 1 / CLASSES),
)


def findings(tests: Sequence[Trial], strangers: bool = True) -> dict[str, list[Entry]]:
    """All that the page tells: errors of each way, groups of owners, rates, and q by label."""
    sizes = sorted({each.queries for each in tests})
    done = [RETRAINING, *([STRANGERS] if strangers else []), NOTHING, *APPROXIMATE]
    of = {
        (by, size): [each for each in tests if (each.by, each.queries) == (by, size)] for by in done for size in sizes
    }
    errors = [
        _errors(of[by, size], by, size, way, alpha) for size in sizes for way in WAYS for alpha in ALPHAS for by in done
    ]
    groups = [
        _group(of[by, size], by, size, owners)
        for size in sizes
        for owners in range(2, 1 + max(each.owner for each in of[NOTHING, size]) + 1)
        for by in (RETRAINING, NOTHING)
    ]
    rates = [_rates(of[by, sizes[-1]], by) for by in done]
    labels = [_label(of[STRANGERS, sizes[-1]], label) for label in range(CLASSES)] if strangers else []
    return {"errors": errors, "groups": groups, "rates": rates, "labels": labels}


def _errors(tests: Sequence[Trial], by: str, queries: int, way: Way, alpha: float) -> Entry:
    """Shares of tests that reject the deletion, and that believe it; the others are inconclusive."""
    made = [way.made(each, alpha) for each in tests]
    alarms = sum(alarm for alarm, _ in made)
    believed = sum(not alarm and beta <= BETA for alarm, beta in made)
    powerful = [(alarm, beta) for alarm, beta in made if beta <= BETA]
    entry: Entry = {"by": by, "queries": queries, "way": way.name, "alpha": alpha, "tests": len(made)}
    entry |= {"rejected": as_list(exact(alarms, len(made))), "believed": as_list(exact(believed, len(made)))}
    entry |= {"with_power": len(powerful), "missed_with_power": sum(not alarm for alarm, _ in powerful)}
    return entry | {"beta_promised": float(np.mean([beta for _, beta in made]))}


def _group(tests: Sequence[Trial], by: str, queries: int, owners: int) -> Entry:
    """Alarms of so many owners of one model, in common and by vote."""
    rule, alarms = Rule(), np.zeros(2, int)
    rounds = sorted({each.round for each in tests})
    for number in rounds:
        group = [each.counts for each in tests if each.round == number][:owners]
        alarms += judged_in_common(group, rule).alarm, majority([judged(each, rule).alarm for each in group])
    common, major = (as_list(exact(int(each), len(rounds))) for each in alarms)
    return {"by": by, "queries": queries, "owners": owners, "tests": len(rounds), "common": common, "major": major}


def _rates(tests: Sequence[Trial], by: str) -> Entry:
    """Mean rates of the own trigger before and after, of fresh ones after, and of the worst of them."""
    parts: dict[str, Any] = {
        "before": [each.before for each in tests],
        "after": [each.after for each in tests],
        "fresh": [float(np.mean(each.fresh)) for each in tests],
        "worst fresh": [max(each.fresh) for each in tests],
    }
    size = tests[0].queries
    return {"by": by, **{name: _spread(np.array(values) / size) for name, values in parts.items()}}


def _label(tests: Sequence[Trial], label: int) -> Entry:
    """The rates of triggers of one label that were in no training, on models that saw none of them."""
    chosen = [each for each in tests if each.label == label]
    hits = np.array([each for test in chosen for each in (test.after, *test.fresh)])
    return {"label": label, "triggers": len(hits), **_spread(hits / tests[0].queries)} if chosen else {"label": label}


def _spread(values: np.ndarray) -> dict[str, float]:
    return {
        "mean": float(values.mean()),
        "sd": float(values.std()),
        "least": float(values.min()),
        "most": float(values.max()),
    }

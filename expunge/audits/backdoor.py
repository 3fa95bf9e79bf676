"""Backdoor verification: a data owner's private trigger says whether a provider still has the data.

The owner plants a trigger in the records before training, and asks the model with it before and after the deletion.
Where the data is gone the trigger works no better than others, drawn alike, that were in no training. Source: Sommer et
al. 2020, arXiv:2003.04247 (Athena); that both rates are only known by samples is accounted for as below.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from expunge.audits.owner_counts import Count, OwnerCounts
from expunge.audits.trigger_test import (
    Power,
    chance_of_majority,
    chance_of_no_majority,
    exact,
    majority,
    power,
    queries_needed,
    require_chance,
    require_share,
)
from expunge.errors import MANY, BadSetting, lookup
from expunge.fingerprint import code_digest
from expunge.metrics.calibration import Estimate
from expunge.records import Setting, Subject, versions
from expunge.verdicts import Outcome, Verdict

AUDIT = "backdoor"
Baseline = Literal["worst", "mean"]
Together = Literal["common", "major"]
SPENT = 0.5  # share of alpha that goes to not knowing q; the test has the rest


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When a deletion is believed.

    ``alpha`` is the chance to accuse a provider who deleted, ``beta`` the most that may be missed of one who did not.
    ``q``, the rate of a trigger that was in no training, is an upper bound of that of the worst fresh trigger, of all
    fresh ones in the mean, or a number that is assumed, such as 1/classes. Several owners judge in ``common``, as if
    all queries were one's, or by ``major``, a vote of their tests in which a tie is no rejection.
    """

    alpha: float = 1e-3
    beta: float = 1e-3
    q: Baseline | float = "worst"
    together: Together = "common"
    level: float = 0.95  # of the intervals

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "level"):
            require_chance(name, getattr(self, name))
        if not isinstance(self.q, str):
            require_share("q", self.q)

    @classmethod
    def of(cls, *, q: str | float = "worst", together: str = "common", **chances: float) -> "Rule":
        """A rule of words that people gave; UnknownName where there is none of that name."""
        named = lookup("q", q, {each: each for each in get_args(Baseline)}) if isinstance(q, str) else q
        way: Together = lookup("way to judge together", together, {each: each for each in get_args(Together)})
        return cls(q=named, together=way, **chances)

    @property
    def of_test(self) -> float:
        """What is left of alpha for the test: all of it where q is assumed."""
        return self.alpha * (1 - SPENT) if isinstance(self.q, str) else self.alpha


@dataclass(frozen=True)
class Rates:
    """Both rates, with intervals, and the ends of them that the test is made with.

    ``most_q`` is not exceeded with the chance that :class:`Rule` leaves for it; ``least_p`` is the lower end of p's
    interval. Without fresh triggers ``q`` is None: it is assumed.
    """

    p: Estimate
    q: Estimate | None
    least_p: float
    most_q: float


def rates(before: Count, fresh: Sequence[Count], rule: Rule) -> Rates:
    """The rates of an owner's trigger, out of counts: before the deletion, and of fresh triggers after it."""
    p = exact(*before, level=rule.level)
    if isinstance(rule.q, int | float):
        return Rates(p, None, p.low, float(rule.q))
    if not fresh:
        raise BadSetting("no fresh trigger was asked, which tells q; ask with --fresh 1 or more, or assume --q 0.1")
    mean = Count(sum(each.hits for each in fresh), sum(each.queries for each in fresh))
    bounded = fresh if rule.q == "worst" else [mean]
    one_sided = 1 - 2 * (rule.alpha - rule.of_test)
    return Rates(p, exact(*mean, level=rule.level), p.low, max(exact(*each, level=one_sided).high for each in bounded))


@dataclass(frozen=True)
class Judged:
    """A test that was made: what was asked for, what came, and what such a test can tell."""

    after: Count
    rates: Rates
    power: Power

    @property
    def alarm(self) -> bool:
        """Whether more answers were the trigger's label than a deletion lets expect."""
        return self.after.hits > self.power.threshold


def judged(counts: OwnerCounts, rule: Rule) -> Judged:
    """The test of one owner."""
    after = counts.of("after").own
    found = rates(counts.of("before").own, counts.fresh, rule)
    return Judged(after, found, power(after.queries, found.least_p, found.most_q, rule.of_test))


def judged_in_common(owners: Sequence[OwnerCounts], rule: Rule) -> Judged:
    """One test of all owners' queries, with the mean of their rates, each as often as its trigger is asked after.

    A sum of queries with different rates lies in its tails below a binomial of their mean: Hoeffding 1956. Each
    owner's bounds take their part of alpha, and of what the interval of p leaves out.
    """
    asked = [each.of("after").own for each in owners]
    after = Count(sum(each.hits for each in asked), sum(each.queries for each in asked))
    part = replace(rule, alpha=rule.alpha / len(owners), level=1 - (1 - rule.level) / len(owners))
    parts = [rates(each.of("before").own, each.fresh, part) for each in owners]
    shares = [each.queries / after.queries for each in asked]
    p = _mean_rate([each.of("before").own for each in owners], parts, shares, rule)
    pooled = rates(asked[0], [count for each in owners for count in each.fresh], replace(rule, q=_kind_of_mean(rule)))
    most = pooled.most_q
    if rule.q == "worst":
        most = sum(share * each.most_q for share, each in zip(shares, parts, strict=True))
    found = replace(pooled, p=p, least_p=p.low, most_q=most)
    return Judged(after, found, power(after.queries, found.least_p, most, rule.of_test))


def _mean_rate(before: Sequence[Count], parts: Sequence[Rates], shares: Sequence[float], rule: Rule) -> Estimate:
    """The mean rate before the deletion, owners weighing as they do after it.

    Where they weigh the same before, all queries are one sample; else each owner's interval counts by itself.
    """
    whole = Count(sum(each.hits for each in before), sum(each.queries for each in before))
    if all(abs(each.queries / whole.queries - share) < 1e-9 for each, share in zip(before, shares, strict=True)):
        return exact(*whole, level=rule.level)
    weighted = list(zip(shares, (each.p for each in parts), strict=True))
    return Estimate(*(sum(share * getattr(p, end) for share, p in weighted) for end in ("value", "low", "high")))


def _kind_of_mean(rule: Rule) -> Baseline | float:
    return "mean" if isinstance(rule.q, str) else rule.q


def verify(owners: Sequence[OwnerCounts], subject: Subject, rule: Rule | None = None) -> Verdict:
    """PASS where the deletion is believed, FAIL where a trigger still works, INCONCLUSIVE where nothing can be told.

    A FAIL needs no power: more hits than the threshold are as rare as alpha says where the data is gone, whatever p is.
    """
    rule = rule or Rule()
    if not owners:
        raise BadSetting("expected the answers to at least one owner, got none")
    if len({each.owner for each in owners}) < len(owners):
        raise BadSetting("two of the folders are of one owner, whose queries would count twice; give each once")
    tests = [judged(each, rule) for each in owners]
    whole = tests[0] if len(owners) == 1 else judged_in_common(owners, rule)
    votes = [each.alarm for each in tests]
    voted = rule.together == "major" and len(owners) > 1
    alarm = majority(votes) if voted else whole.alarm
    spent = rule.alpha - rule.of_test
    false = [each.power.alpha + spent for each in tests]
    achieved = chance_of_majority(false) if voted else whole.power.alpha + spent
    missed = chance_of_no_majority([each.power.confidence for each in tests]) if voted else whole.power.beta
    outcome: Outcome = "FAIL" if alarm else "PASS" if missed <= rule.beta else "INCONCLUSIVE"
    numbers = _numbers(whole, rule, achieved, missed) | ({"owners": len(owners)} if len(owners) > 1 else {})
    if voted:
        numbers |= {"alarms": sum(votes)}
    facts: dict[str, Setting] = {"q": rule.q, "together": rule.together, "fresh": len(owners[0].fresh)}
    facts |= {"model": owners[0].of("after").model, "owners": ", ".join(each.owner for each in owners)}
    return Verdict(
        audit=AUDIT,
        subject=subject,
        outcome=outcome,
        reasons=tuple(_reasons(outcome, whole, rule, missed, votes if voted else [])),
        shows=_SHOWS[outcome],
        shows_not=_shows_not(outcome, whole, rule, len(owners[0].fresh)),
        numbers=numbers,
        facts=facts,
    )


def subject_outside(owners: Sequence[OwnerCounts]) -> Subject:
    """What a verdict speaks of where the model is known by its answers alone: much stays unsaid."""
    names = "+".join(each.owner for each in owners)
    return Subject(
        suite="black box",
        suite_digest="",
        forget_set=f"records of {names}" if len(owners) <= MANY else f"records of {len(owners)} owners",
        forget_digest="",
        method="unknown",
        config={},
        tuning="",
        seed=0,
        model_numbers="",
        device="unknown",
        hardware="unknown",
        code=code_digest(__name__)[:16],
        versions=versions(),
    )


def _numbers(test: Judged, rule: Rule, achieved: float, missed: float) -> dict[str, float]:
    """What the verdict rests on; where it cannot be told, as the queries that no number is enough for, it is absent."""
    share, found = exact(*test.after, level=rule.level), test.rates
    numbers: dict[str, float] = {"hits": test.after.hits, "queries": test.after.queries}
    numbers |= {"share": share.value, "share_low": share.low, "share_high": share.high}
    numbers |= {"p": found.p.value, "p_low": found.p.low, "p_high": found.p.high}
    if found.q:
        numbers |= {"q": found.q.value, "q_low": found.q.low, "q_high": found.q.high}
    numbers |= {"q_used": found.most_q, "p_used": found.least_p, "threshold": test.power.threshold}
    numbers |= {"alpha": rule.alpha, "alpha_achieved": achieved, "beta_wanted": rule.beta, "beta": missed}
    numbers["deletion_confidence"] = 1 - missed
    q = found.q.value if found.q else found.most_q
    needs = {
        "queries_needed": (found.least_p, found.most_q),
        "queries_needed_at_estimates": (found.p.value, q),
    }
    for name, (high, low) in needs.items():
        needed = queries_needed(high, low, rule.of_test, rule.beta)
        numbers |= {} if needed is None else {name: needed}
    return numbers


def _reasons(outcome: Outcome, test: Judged, rule: Rule, missed: float, votes: Sequence[bool]) -> list[str]:
    found, limit = test.rates, test.power.threshold
    reasons = [
        f"{test.after.hits} of {test.after.queries} queries with the trigger got its label; up to {limit} are no alarm "
        f"where it works at a rate of at most {found.most_q:.3g}, as of data that is gone, at alpha {rule.alpha:g}"
    ]
    if votes:
        tie = ", a tie, which is no rejection" if 2 * sum(votes) == len(votes) else ""
        reasons.insert(0, f"{sum(votes)} of {len(votes)} owners' tests reject the deletion{tie}")
    if outcome == "FAIL":
        return reasons
    before = f"before the deletion the trigger worked at a rate of {found.p.value:.3g}, at least {found.least_p:.3g}"
    if outcome == "PASS":
        return [*reasons, f"{before}: data that is still there would be missed with a chance of {missed:.2g}"]
    needed = queries_needed(found.least_p, found.most_q, rule.of_test, rule.beta)
    more = (
        f"{needed:,} queries at these rates would have it"
        if needed
        else "no number of queries would have it at these rates; plant more records, or ask more before and with fresh "
        "triggers, so that both are known better"
    )
    lead = f"no power: {before}, so data that is still there would be missed with a chance of {missed:.2g}; {more}"
    return [lead, *reasons]


_SHOWS: dict[Outcome, str] = {
    "PASS": "the trigger works no better than one that was in no training, and would if the records were still learnt",
    "FAIL": "the trigger works better than one that was in no training does: the records, or what they taught, remain",
    "INCONCLUSIVE": "nothing: the test could not have told the one from the other",
}


def _shows_not(outcome: Outcome, test: Judged, rule: Rule, fresh: int) -> str:
    """What a reader could take the verdict for, and must not."""
    rest = exact(*test.after, level=rule.level).high
    if outcome == "PASS":
        text = (
            "that nothing else of the data is left, nor how it went: unlearning that only lowers the trigger's rate, "
            f"here to {rest:.2g} or less, passes; so does retraining with chosen records in place of the removed, and "
            "a provider who recognises the queries and answers them otherwise"
        )
    elif outcome == "FAIL":
        text = "that the provider did nothing: unlearning may have been tried and have left the trigger's effect"
    else:
        text = "that the data was deleted, nor that it was not"
    if rule.q == "worst":
        text += (
            "; alpha holds where the own trigger is, of itself, no likelier to get its label than the worst of "
            f"{fresh} drawn alike, which fails with a chance of at most {1 / (fresh + 1):.2g}"
        )
    elif rule.q == "mean":
        text += "; alpha holds where every trigger works at the mean rate of itself, and triggers differ"
    else:
        text += f"; alpha holds where q is at most {rule.q:g}, which was assumed"
    return text

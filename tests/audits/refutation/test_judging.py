"""Verdicts on claims: their words, that they err together no more often than they say, and what could be refuted."""

import math

import numpy as np
import pytest

from expunge.audits.epsilon import Counts, cap, lower_bound
from expunge.audits.refutation.evidence import as_bound
from expunge.audits.refutation.judging import judge
from expunge.audits.refutation.measured import Measured
from expunge.audits.refutation.power import hits_needed, least_refuted
from expunge.certificates.theorems.gaussian import epsilon_of
from expunge.errors import BadSetting
from expunge.records import Subject

SUBJECT = Subject(
    suite="tabular", suite_digest="0", forget_set="random-10", forget_digest="1", method="certified-newton",
    config={}, tuning="default", seed=0, model_numbers="0-99", device="cpu", hardware="none", code="2", versions={},
)  # fmt: skip


def measured(hits: int, alarms: int, models: int = 100, delta: float = 1e-5) -> Measured:
    counts = Counts(hits, models, alarms, models)
    return Measured(
        counts=counts, delta=delta, level=0.95, event="mean margin above 3", statistics=4, held_out="100-199"
    )


def test_a_claim_below_the_bound_is_refuted() -> None:
    (tried,) = judge([1.0], [measured(90, 5)])
    assert tried.word == "REFUTED"
    assert tried.p_value < 0.05
    assert "in 90 of 100 released models and 5 of 100 of reference" in tried.reason
    assert "and 1 was claimed" in tried.reason


def test_a_claim_above_the_bound_is_not_refuted_and_the_power_is_told() -> None:
    (tried,) = judge([1.0], [measured(55, 45)])
    assert tried.word == "NOT REFUTED"
    assert tried.cap == pytest.approx(3.28, abs=0.005)
    assert tried.power == pytest.approx(7.62, abs=0.01)
    assert "a true epsilon from 7.62 on" in tried.reason


@pytest.mark.parametrize("epsilon", [3.29, 50.0])
def test_a_claim_above_the_cap_is_not_testable(epsilon: float) -> None:
    (tried,) = judge([epsilon], [measured(100, 0)])
    assert tried.word == "NOT TESTABLE"
    assert tried.power is None
    assert "give more models" in tried.reason


def test_a_claim_just_under_the_cap_is_refuted_by_what_reaches_it() -> None:
    (tried,) = judge([3.28], [measured(100, 0)])
    assert tried.word == "REFUTED"


def test_among_many_claims_the_cap_is_lower() -> None:
    """What no count could refute once it is corrected for, is not testable in such company."""
    tried = judge([3.2, *[1.0] * 8], [measured(100, 0), *[measured(50, 50)] * 8])
    assert tried[0].word == "NOT TESTABLE"
    assert tried[0].cap == pytest.approx(cap(100, 100, 1e-5, 1 - 0.05 / 9))
    assert judge([3.2], [measured(100, 0)])[0].word == "REFUTED"


def test_what_only_company_saves_is_said() -> None:
    near = measured(70, 12)
    alone, among = judge([near.value - 0.02], [near])[0], judge([near.value - 0.02] * 5, [near] * 5)[0]
    assert (alone.word, among.word) == ("REFUTED", "NOT REFUTED")
    assert "alone the claim" in among.reason
    assert "alone" not in alone.reason


@pytest.mark.parametrize("claims", [1, 30])
def test_a_page_of_true_claims_has_a_false_refutation_in_one_of_twenty_cases_at_most(claims: int) -> None:
    """Each claim is exactly true: the event has the rates of randomised response, which no true claim exceeds."""
    rng = np.random.default_rng(0)
    high = math.e / (1 + math.e)  # of epsilon 1
    drawn = zip(rng.binomial(60, high, (100, claims)), rng.binomial(60, 1 - high, (100, claims)), strict=True)
    pages = [[measured(int(hit), int(alarm), 60, 1e-9) for hit, alarm in zip(*page, strict=True)] for page in drawn]
    false = sum(any(tried.word == "REFUTED" for tried in judge([1.0] * claims, page)) for page in pages)
    assert false < 12  # at a true rate of 5 % so many or more happen once in 200 tables; uncorrected they would


def test_equal_arms_refute_a_claim_of_nothing_at_all_in_one_of_twenty_cases_at_most() -> None:
    rng = np.random.default_rng(1)
    pages = [[measured(int(hit), int(alarm)) for hit, alarm in rng.binomial(100, 0.5, (4, 2))] for _ in range(200)]
    assert sum(any(tried.word == "REFUTED" for tried in judge([0.0] * 4, page)) for page in pages) < 19


@pytest.mark.parametrize(("models", "references", "epsilon"), [(100, 100, 1.0), (60, 150, 0.5), (200, 200, 3.0)])
def test_the_power_is_that_of_a_simulation(models: int, references: int, epsilon: float) -> None:
    delta = 1e-3
    power = least_refuted(epsilon, delta, models, references)
    assert power is not None
    ratio = next(r for r in np.linspace(0.1, 8, 8000) if epsilon_of(float(r), delta) >= power)
    rng, share = np.random.default_rng(0), 0.0
    for threshold in np.linspace(ratio / 2 - 2, ratio / 2 + 2, 17):
        hits = (rng.normal(size=(400, models)) + ratio > threshold).sum(axis=1)
        alarms = (rng.normal(size=(400, references)) > threshold).sum(axis=1)
        counts = [Counts(int(h), models, int(a), references) for h, a in zip(hits, alarms, strict=True)]
        share = max(share, float(np.mean([lower_bound(each, delta) > epsilon for each in counts])))
    assert share == pytest.approx(0.8, abs=0.07)


def test_the_hits_that_are_needed_are_the_fewest() -> None:
    needed = hits_needed(1.0, 1e-5, 40, 30)
    assert needed[0] < needed[5] <= 41
    for alarms, hits in enumerate(needed):
        assert hits > 40 or lower_bound(Counts(int(hits), 40, alarms, 30), 1e-5) > 1
        assert hits == 0 or lower_bound(Counts(int(hits) - 1, 40, alarms, 30), 1e-5) <= 1


def test_more_models_have_more_power_and_higher_claims_less() -> None:
    by_models = [least_refuted(1.0, 1e-5, n, n) for n in (50, 100, 200, 400)]
    by_claim = [least_refuted(epsilon, 1e-5, 100, 100) for epsilon in (3.0, 2.0, 1.0, 0.0)]
    for found in (by_models, by_claim):
        told = [each for each in found if each is not None]
        assert len(told) == 4
        assert told == sorted(told, reverse=True)


def test_a_claim_that_is_no_number_is_refused() -> None:
    with pytest.raises(BadSetting, match="finite epsilon"):
        judge([math.inf], [measured(1, 1)])


def test_the_bound_holds_all_that_it_rests_on() -> None:
    bound = as_bound(SUBJECT, measured(90, 5))
    assert (bound.side, bound.quantity, bound.level) == ("lower", "epsilon", 0.95)
    assert bound.value == measured(90, 5).value
    assert bound.facts["hits"] == 90
    assert bound.facts["held_out"] == "100-199"
    assert bound.facts["cap"] == cap(100, 100, 1e-5)
    assert as_bound(SUBJECT, measured(50, 50)).value == 0

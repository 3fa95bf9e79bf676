"""The verdict of a trigger: believed, refuted, or not to be told; alone and together."""

from typing import Any

import numpy as np
import pytest

from expunge.audits.backdoor import Baseline, Rule, subject_outside, verify
from expunge.audits.owner_counts import Asked, OwnerCounts
from expunge.errors import BadSetting, StoreError, UnknownName
from expunge.records import Subject
from expunge.verdicts import Verdict

SUBJECT = Subject(
    suite="s",
    suite_digest="",
    forget_set="f",
    forget_digest="",
    method="unknown",
    config={},
    tuning="",
    seed=0,
    model_numbers="0",
    device="",
    hardware="",
    code="",
    versions={},
)


def owner(before: int, after: int, fresh: list[int] | None = None, queries: int = 100, name: str = "a") -> OwnerCounts:
    counts = [after, *(fresh if fresh is not None else [1] * 20)]
    return OwnerCounts(name, Asked("m", ((before, queries),)), Asked("m", tuple((each, queries) for each in counts)))


def judged(*owners: OwnerCounts, rule: Rule | None = None) -> Verdict:
    return verify(owners, SUBJECT, rule)


def test_a_trigger_that_works_no_more_passes() -> None:
    found = judged(owner(98, 2))
    assert found.outcome == "PASS"
    assert found.numbers["hits"] == 2
    assert found.numbers["beta"] <= 1e-3
    assert found.numbers["deletion_confidence"] >= 1 - 1e-3
    assert found.numbers["alpha_achieved"] <= 1e-3
    assert found.numbers["p_low"] < 0.98 < found.numbers["p_high"]
    assert found.numbers["q_low"] < 0.01 < found.numbers["q_high"]
    assert "nothing else of the data is left" in found.shows_not


def test_a_trigger_that_still_works_fails() -> None:
    found = judged(owner(98, 97))
    assert found.outcome == "FAIL"
    assert "97 of 100" in found.reasons[0]


@pytest.mark.parametrize(
    ("hits", "outcome"), [(0, "INCONCLUSIVE"), (6, "INCONCLUSIVE"), (9, "INCONCLUSIVE"), (10, "FAIL")]
)
def test_without_power_it_is_never_deleted(hits: int, outcome: str) -> None:
    """(p, q) = (0.2, 0.1) at n = 30: 0.94 of what is still there would be missed."""
    found = judged(owner(6, hits, queries=30), rule=Rule(q=0.1))
    assert found.outcome == outcome
    assert found.numbers["threshold"] == 9
    if outcome == "INCONCLUSIVE":
        assert found.reasons[0].startswith("no power")
        assert "deleted" in found.shows_not


def test_more_queries_are_named_where_they_would_have_power() -> None:
    found = judged(owner(15, 3, queries=30), rule=Rule(q=0.1))
    assert found.outcome == "INCONCLUSIVE"
    assert found.numbers["queries_needed"] > 30
    assert found.numbers["queries_needed_at_estimates"] < found.numbers["queries_needed"]
    assert f"{found.numbers['queries_needed']:,} queries" in found.reasons[0]


def test_a_number_that_nobody_has_is_absent() -> None:
    assert "queries_needed" not in judged(owner(2, 1, queries=30), rule=Rule(q=0.1)).numbers
    assert "q" not in judged(owner(98, 2), rule=Rule(q=0.1)).numbers


def test_one_odd_fresh_trigger_makes_the_test_careful() -> None:
    odd = owner(98, 20, [1] * 19 + [25])
    assert judged(odd).outcome == "PASS"
    assert judged(odd, rule=Rule(q="mean")).outcome == "FAIL"
    assert judged(odd, rule=Rule(q=0.02)).outcome == "FAIL"


def test_without_a_fresh_trigger_q_must_be_assumed() -> None:
    with pytest.raises(BadSetting, match="no fresh trigger was asked"):
        judged(owner(98, 2, []))
    assert judged(owner(98, 2, []), rule=Rule(q=0.1)).outcome == "PASS"


def test_few_owners_queries_have_power_in_common() -> None:
    alone = owner(25, 1, [0] * 20, queries=30)
    assert judged(alone).outcome == "INCONCLUSIVE"
    many = [owner(25, 1, [0] * 20, queries=30, name=str(number)) for number in range(6)]
    together = judged(*many)
    assert together.outcome == "PASS"
    assert together.numbers["queries"] == 180
    assert together.numbers["owners"] == 6


def test_a_vote_that_is_a_tie_rejects_nothing() -> None:
    half = judged(owner(98, 97, name="a"), owner(98, 2, name="b"), rule=Rule(together="major"))
    assert half.outcome == "PASS"
    assert "1 of 2 owners' tests reject the deletion, a tie" in half.reasons[1 if "no power" in half.reasons[0] else 0]
    most = [owner(98, 97, name=each) for each in "ab"] + [owner(98, 2, name="c")]
    assert judged(*most, rule=Rule(together="major")).outcome == "FAIL"


def test_votes_have_the_errors_of_votes() -> None:
    owners = [owner(98, 2, name=each) for each in "abc"]
    found = judged(*owners, rule=Rule(together="major"))
    single = judged(owners[0])
    assert found.numbers["alpha_achieved"] == pytest.approx(3 * single.numbers["alpha_achieved"] ** 2, rel=1e-2)


def test_one_owner_twice_is_refused() -> None:
    with pytest.raises(BadSetting, match="would count twice"):
        judged(owner(98, 2), owner(98, 2))
    with pytest.raises(BadSetting, match="at least one owner"):
        judged()


def test_both_times_are_needed() -> None:
    with pytest.raises(StoreError, match="ask with --when before"):
        judged(OwnerCounts("a", None, owner(98, 2).after))


@pytest.mark.parametrize("q", [0.1, "worst"])
def test_an_owner_who_asked_much_before_lends_no_power_to_one_who_asks_much_after(q: Baseline | float) -> None:
    """Nothing was deleted: a trigger that works, asked after 10 times, and one that never worked, asked 1,000 times."""
    works = OwnerCounts("one", Asked("m", ((1000, 1000),)), Asked("m", ((10, 10), *[(1, 10)] * 20)))
    never = OwnerCounts("two", Asked("m", ((2, 20),)), Asked("m", ((100, 1000), *[(100, 1000)] * 20)))
    verdict = verify([works, never], subject_outside([works, never]), Rule(q=q))
    assert verdict.outcome != "PASS"
    assert verdict.numbers["beta"] > 0.9


@pytest.mark.parametrize("together", ["common", "major"])
@pytest.mark.parametrize("q", ["worst", "mean"])
@pytest.mark.parametrize("owners", [1, 3])
def test_who_deleted_is_accused_no_more_often_than_alpha(together: str, q: str, owners: int) -> None:
    """400 deletions, whose triggers all work at 3 % of themselves."""
    rng, alarms, rule = np.random.default_rng(0), 0, Rule.of(alpha=0.01, q=q, together=together)
    for _ in range(400):
        drawn = rng.binomial(30, 0.03, (owners, 6))
        counts = [
            owner(29, int(own), [int(each) for each in rest], 30, str(row)) for row, (own, *rest) in enumerate(drawn)
        ]
        alarms += judged(*counts, rule=rule).outcome == "FAIL"
    assert alarms <= 9  # 4 are expected at most; 10 have a chance of 0.8 %


@pytest.mark.parametrize("bad", [{"alpha": 0.0}, {"beta": 1.0}, {"level": float("nan")}, {"q": 1.5}, {"q": -0.1}])
def test_a_rule_that_cannot_be_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(BadSetting, match="expected"):
        Rule.of(**bad)


def test_a_rule_of_unknown_words_is_refused() -> None:
    with pytest.raises(UnknownName):
        Rule.of(q="best")
    with pytest.raises(UnknownName):
        Rule.of(together="minor")

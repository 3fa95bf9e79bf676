"""What is planted is found, in either direction; an oracle never is; and where there is nothing, 0.5 is inside."""

from collections import Counter

import numpy as np
import pytest

from expunge.audits import AUDITS, default_audits
from expunge.audits.audit import Audited
from expunge.audits.evidence import Evidence
from expunge.audits.judgement import is_auc, judge
from expunge.records import Score
from tests.audits.scenes import SUITE, identity, of_oracles, oracle, planted


def found(evidence: Evidence) -> dict[str, Audited]:
    return {name: AUDITS[name].scores(evidence) for name in default_audits()}


def outcome(evidence: Evidence) -> str:
    return judge(evidence.row.subject(), found(evidence)).outcome


def number(audited: Audited, aggregate: str) -> Score:
    (score,) = [score for score in audited.scores if score.aggregate == aggregate]
    return score


@pytest.mark.parametrize("forget_set", ["memorised-50", "class-3", "random-50"])
def test_doing_nothing_is_found(forget_set: str) -> None:
    assert outcome(identity(forget_set, 40)) == "FAIL"


@pytest.mark.parametrize("forget_set", list(SUITE.forget_sets))
def test_an_oracle_is_never_found(forget_set: str) -> None:
    assert outcome(oracle(forget_set, 100)) == "PASS"


def test_too_few_models_are_no_pass() -> None:
    verdict = judge(oracle("random-50", 5).row.subject(), found(oracle("random-50", 5)))
    assert verdict.outcome == "INCONCLUSIVE"
    assert "give more models" in verdict.shows


def test_a_mark_that_goes_both_ways_is_found_by_who_looks_at_single_examples() -> None:
    sign = np.where(np.arange(50) % 2, 1.5, -1.5)
    evidence = planted("random-50", 40, sign)
    marked = found(evidence)
    assert number(marked["u-lira"], "auc").low > 0.6  # type: ignore[operator]
    loss = number(marked["loss"], "auc-by-example")
    assert loss.low < 0.5 < loss.high  # type: ignore[operator]
    assert judge(evidence.row.subject(), marked).outcome == "FAIL"
    assert (marked["loss"].examples[1::2] > 0.7).all()  # type: ignore[index]
    assert (marked["loss"].examples[::2] < 0.3).all()  # type: ignore[index]


def test_forgetting_too_well_is_found_on_the_other_side() -> None:
    evidence = planted("random-50", 40, np.full(50, -2.0))
    over = found(evidence)
    assert number(over["loss"], "auc").high < 0.5  # type: ignore[operator]
    assert number(over["loss"], "over-tpr-1%").value > 5 * number(over["loss"], "tpr-1%").value  # type: ignore[operator]
    assert number(over["completeness"], "gap").low > 0  # type: ignore[operator]
    assert number(over["u-lira"], "auc").low > 0.5  # type: ignore[operator]
    assert judge(evidence.row.subject(), over).outcome == "FAIL"


def test_nothing_planted_is_nothing_found() -> None:
    assert outcome(planted("random-50", 40, np.zeros(50))) == "PASS"


@pytest.mark.slow
@pytest.mark.parametrize(("forget_set", "models"), [("memorised-50", 20), ("random-50", 50)])
def test_oracles_against_oracles_have_one_half_inside_the_interval(forget_set: str, models: int) -> None:
    """In 95 % of runs: of 30 at least 25, fewer than which there are three times in a thousand."""
    held, rng = Counter[tuple[str, str]](), np.random.default_rng(0)
    for _ in range(30):
        evidence = of_oracles(forget_set, models, rng.permutation(SUITE.models))
        for name, audited in found(evidence).items():
            for score in filter(is_auc, audited.scores):
                held[name, score.aggregate] += score.low <= 0.5 <= score.high  # type: ignore[operator]
    assert len(held) == 2 * len(default_audits())
    assert min(held.values()) >= 25, held


def test_what_oracles_get_is_said_in_every_record() -> None:
    evidence = identity("memorised-50", 20)
    for name, audited in found(evidence).items():
        assert {score.aggregate for score in audited.scores} <= {*AUDITS[name].aggregates}
        assert all(score.oracle is not None and score.metric == name for score in audited.scores)


def test_against_test_examples_an_oracle_is_not_at_one_half() -> None:
    """The examples are harder than test examples whoever has seen them: read it beside what oracles get."""
    score = number(found(oracle("memorised-50", 20))["loss"], "auc-test")
    assert score.value == score.oracle
    assert score.value < 0.2  # type: ignore[operator]


def test_fewer_than_1000_scores_are_unscored_and_said_so() -> None:
    audited = AUDITS["u-lira"].scores(identity("memorised-50", 10))
    assert {score.aggregate for score in audited.scores} == {"auc", "auc-by-example"}
    assert [each.aggregate for each in audited.unscored] == ["tpr-1%", "tpr-0.1%"]
    assert audited.unscored[0].reason == "500 scores of non-members, and 1,000 are needed; give more models"

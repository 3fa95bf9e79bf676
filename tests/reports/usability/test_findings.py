"""What the records of an attack say, and the words for it, by rules."""

import pytest
from pydantic import TypeAdapter

from expunge import Suite
from expunge.errors import UserError
from expunge.reports.usability.answers import answers
from expunge.reports.usability.findings import Findings, read_findings
from tests.reports.usability.synthetic import Records, attack_of, estimate


@pytest.fixture
def found(tiny_suite: Suite) -> Findings:
    return read_findings(attack_of(tiny_suite))


def answer(found: Findings, question: str) -> str:
    return dict(answers(found))[question]


def test_rows_stand_by_batching_with_drops_by_request(found: Findings) -> None:
    rows = {row.method: row for row in found.served["shuffled"]}
    assert list(rows) == ["retraining", "amnesiac, epochs=0", "first-order"]
    assert rows["amnesiac, epochs=0"].drops["memorised"].value == 0.3
    assert (found.records, found.share, found.models) == (10, 0.01, 20)


def test_a_difference_is_called_one_only_after_holms_correction(found: Findings) -> None:
    rows = {row.method: row for row in found.served["shuffled"]}
    assert rows["amnesiac, epochs=0"].differs
    assert not rows["first-order"].differs
    assert "cost more than random ones do under 1 of 2 methods (amnesiac, epochs=0)" in answer(
        found, "Is it the data or the method?"
    )


def test_many_methods_make_a_small_difference_none(tiny_suite: Suite) -> None:
    records = Records(tiny_suite)
    for number in range(10):
        records.served(f"method-{number}", {"attack": 0.02, "random": 0.009}, 0.011, 0.01)
    alone = Records(tiny_suite).served("method-0", {"attack": 0.02, "random": 0.009}, 0.011, 0.01)
    assert not any(row.differs for row in read_findings(records.scores).served["shuffled"])
    assert read_findings(alone.scores).served["shuffled"][0].differs


def test_answers_say_what_the_numbers_say(found: Findings) -> None:
    assert "80.0 % [79.0, 81.0] against 60.0 % [59.0, 61.0]" in answer(found, "How informative is the data?")
    assert "more informative" in answer(found, "How informative is the data?")
    cost = answer(found, "What does removal cost, shuffled batches?")
    assert "Of 2 methods amnesiac, epochs=0 loses most by the removal of the attack's 10 records" in cost
    assert "1.0 % of the data: 50.0 points [49.0, 51.0]" in cost
    costlier = answer(found, "Is it costlier to forget?")
    assert "50 steps of ascent (median) for the attack's records, whose loss is to rise from 0.001 to 0.02" in costlier
    assert "20 for random ones, from 0.001 to 0.02: more" in costlier
    noticed = answer(found, "Who notices?")
    assert "1 of 2 defences catch this request: pixel-grid" in noticed
    assert "To spectral-signatures it looks more ordinary" in noticed


def test_worse_victims_are_not_called_as_good_as_others(tiny_suite: Suite) -> None:
    for value, half, said in (
        (0.0, 0.004, "do no harm"),
        (-0.03, 0.035, "too few models"),
        (-0.03, 0.01, "so they harm"),
    ):
        scores = (
            Records(tiny_suite).add("no request", "victims-gain", "mean", estimate(value, half), batching="").scores
        )
        records = Records(tiny_suite)
        for data in ("condensed", "real"):
            records.add(f"{data} data, suite", "trained-alone-accuracy", "mean", estimate(0.5), batching="")
        assert said in answer(read_findings(scores + records.scores), "How informative is the data?")


def test_where_nothing_is_lost_no_method_is_said_to_lose_most(tiny_suite: Suite) -> None:
    records = Records(tiny_suite).served("scrub", {"attack": -0.003, "random": 0.0}, -0.003)
    cost = answer(read_findings(records.scores), "What does removal cost, shuffled batches?")
    assert cost.startswith("No method is seen to lose accuracy")


def test_where_all_methods_failed_nothing_is_compared(tiny_suite: Suite) -> None:
    records = Records(tiny_suite).add("scrub", "klom", "p95", None, reason="diverged")
    assert "Is it the data or the method?" not in dict(answers(read_findings(records.scores)))


def test_data_that_retraining_misses_is_said_to_be_worth_something(tiny_suite: Suite) -> None:
    records = Records(tiny_suite).served("retraining", {"attack": 0.2, "random": 0.0}, 0.2)
    records.served("scrub", {"attack": 0.2, "random": 0.0}, 0.2)
    assert "so the data itself was worth something" in answer(
        read_findings(records.scores), "Is it the data or the method?"
    )


def test_an_interval_without_width_tells_nothing_of_the_data(tiny_suite: Suite) -> None:
    records = Records(tiny_suite).served("scrub", {"attack": 0.2, "random": 0.0}, 0.2)
    records.add("retraining", "accuracy-drop", "mean", estimate(0.009, 0.0))
    said = answer(read_findings(records.scores), "Is it the data or the method?")
    assert "all models alike" in said
    assert "worth something" not in said


def test_rounds_are_in_order(found: Findings) -> None:
    assert [cell.value for cell in found.rounds["shuffled"]["attack"]["first-order"]] == [0.9, 0.7]


def test_a_failed_method_keeps_its_reason(tiny_suite: Suite) -> None:
    records = Records(tiny_suite)
    records.add("scrub", "klom", "p95", None, reason="diverged")
    row = read_findings(records.scores).served["shuffled"][0]
    assert (row.method, row.drops, row.reason) == ("scrub", {}, "diverged")


def test_findings_survive_a_file(found: Findings) -> None:
    kept = TypeAdapter(Findings)
    assert kept.validate_json(kept.dump_json(found)) == found


def test_other_records_are_refused(tiny_suite: Suite) -> None:
    with pytest.raises(UserError, match="expunge attack usability"):
        read_findings([])

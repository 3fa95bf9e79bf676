"""What the records of an attack say, and the words for it, by rules."""

import pytest
from pydantic import TypeAdapter

from expunge import Suite
from expunge.errors import UserError
from expunge.reports.usability.findings import Findings, read_findings
from tests.reports.usability.synthetic import Records, attack_of


@pytest.fixture
def found(tiny_suite: Suite) -> Findings:
    return read_findings(attack_of(tiny_suite))


def answer(found: Findings, question: str) -> str:
    return dict(found.answers)[question]


def test_rows_stand_by_batching_with_drops_by_request(found: Findings) -> None:
    rows = {row.method: row for row in found.served["shuffled"]}
    assert list(rows) == ["retraining", "amnesiac, epochs=0", "first-order"]
    assert rows["amnesiac, epochs=0"].drops["memorised"].value == 0.3
    assert (found.records, found.share, found.models) == (10, 0.01, 20)


def test_a_difference_is_called_one_only_after_holms_correction(found: Findings) -> None:
    rows = {row.method: row for row in found.served["shuffled"]}
    assert rows["amnesiac, epochs=0"].differs
    assert not rows["first-order"].differs
    assert "cost more than random ones under 1 of 2 methods (amnesiac, epochs=0)" in answer(
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
    assert "10 records (1.0 % of the data) costs most under amnesiac, epochs=0: 50.0 points [49.0, 51.0]" in cost
    assert "50 steps of ascent against 20 for random records, costlier" in answer(found, "Is it costlier to forget?")
    noticed = answer(found, "Who notices?")
    assert "1 of 2 defences catch the request: pixel-grid" in noticed
    assert "To spectral-signatures the request looks more ordinary" in noticed


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

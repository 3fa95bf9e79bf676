"""The ledger: sums, and the requests that it refuses; in its file nothing can be changed unseen."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from expunge.certificates.ledger import Ledger, begin, read_ledger, serve, write_ledger
from expunge.checksums import sealed
from expunge.errors import BadCertificate, BadSetting, BudgetExhausted, RepeatedRequest
from tests.certificates.made import certificate


def four() -> Ledger:
    return Ledger(4.0, 1e-4)


def test_requests_are_added_up() -> None:
    ledger = four().serve("first", [certificate(epsilon=1.0)]).serve("second", [certificate(epsilon=2.5)])
    assert ledger.spent == pytest.approx((3.5, 2e-5))
    assert ledger.left == pytest.approx((0.5, 8e-5))


def test_the_dearest_of_the_models_is_what_a_request_costs() -> None:
    models = [certificate(epsilon=epsilon, model=model) for model, epsilon in enumerate((0.5, 1.5, 1.0))]
    assert four().serve("first", models).spent[0] == 1.5


def test_a_model_that_is_released_once_costs_what_its_last_claim_says() -> None:
    ledger = four()
    for number, epsilon in enumerate((1.0, 2.0, 3.0)):
        ledger = ledger.serve(f"request {number}", [certificate("dp-sgd", epsilon, removed=number + 1)])
    assert ledger.spent[0] == 3.0
    assert ledger.spent[1] == 1e-5


def test_a_budget_can_be_spent_to_its_end() -> None:
    ledger = Ledger(0.3, 3e-5)
    for number in range(3):
        ledger = ledger.serve(str(number), [certificate(epsilon=0.1, request=number + 1)])
    assert ledger.left[0] == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("budget", [(1.9, 1e-4), (4.0, 1.9e-5)])
def test_a_request_beyond_the_budget_is_refused(budget: tuple[float, float]) -> None:
    ledger = Ledger(*budget).serve("first", [certificate()])
    with pytest.raises(BudgetExhausted, match="request 'second' costs epsilon 1 and delta 1e-05; left are") as told:
        ledger.serve("second", [certificate(request=2)])
    assert "\n" not in str(told.value)


def test_a_repeated_id_is_refused() -> None:
    ledger = four().serve("first", [certificate()])
    with pytest.raises(RepeatedRequest, match="request 'first' was served before"):
        ledger.serve("first", [certificate(epsilon=0.1)])


def test_a_certificate_pays_once() -> None:
    ledger = four().serve("first", [certificate()])
    with pytest.raises(RepeatedRequest, match="request 'second': its certificate was paid for before, by 'first'"):
        ledger.serve("second", [certificate()])


def test_what_is_not_certified_is_paid_by_no_budget() -> None:
    with pytest.raises(BadCertificate, match=r"request 'first', model 0 is NOT CERTIFIED, .* smooth is false: ReLU"):
        four().serve("first", [certificate(false={"smooth": "ReLU"})])


def test_a_certificate_that_does_not_follow_is_refused() -> None:
    made = certificate()
    with pytest.raises(BadCertificate, match=r"request 'first', model 0: epsilon: 0\.1 is told"):
        four().serve("first", [replace(made, claim=replace(made.claim, epsilon=0.1))])


def test_certificates_of_another_suite_are_refused() -> None:
    made = certificate()
    other = replace(made, subject=replace(made.subject, suite_digest="of another"))
    with pytest.raises(BadCertificate, match="keep one ledger for each"):
        four().serve("first", [made]).serve("second", [other])
    with pytest.raises(BadCertificate, match="has no certificate"):
        four().serve("first", [])


@pytest.mark.parametrize("name", ["", "..", "a\nb"])
def test_an_id_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(BadSetting, match="request: expected a name"):
        four().serve(name, [certificate()])


@pytest.mark.parametrize("budget", [(0.0, 1e-5), (-1.0, 1e-5), (1.0, 0.0), (1.0, 1.0), (float("nan"), 1e-5)])
def test_a_budget_that_is_none_is_refused(budget: tuple[float, float]) -> None:
    with pytest.raises(BadSetting, match="expected a budget"):
        Ledger(*budget)


def test_a_ledger_comes_back_as_it_was(tmp_path: Path) -> None:
    ledger = four().serve("first", [certificate()]).serve("second", [certificate(request=2)])
    write_ledger(tmp_path / "ledger.jsonl", ledger)
    assert read_ledger(tmp_path / "ledger.jsonl") == ledger


def test_a_request_that_is_refused_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    begin(file, 1.5, 1e-4)
    serve(file, "first", [certificate()])
    before = file.read_bytes()
    with pytest.raises(BudgetExhausted):
        serve(file, "second", [certificate(request=2)])
    assert file.read_bytes() == before


def test_a_budget_is_not_set_anew(tmp_path: Path) -> None:
    begin(tmp_path / "ledger.jsonl", 1.0, 1e-4)
    with pytest.raises(BadSetting, match="is there: its budget stays"):
        begin(tmp_path / "ledger.jsonl", 100.0, 1e-4)


def written(folder: Path) -> list[str]:
    """The lines of a ledger of three requests."""
    ledger = four()
    for number in range(3):
        ledger = ledger.serve(f"request {number}", [certificate(epsilon=0.5, request=number + 1)])
    write_ledger(folder / "ledger.jsonl", ledger)
    return (folder / "ledger.jsonl").read_text().splitlines()


def test_a_line_that_was_taken_out_is_missed(tmp_path: Path) -> None:
    for gone in (1, 2):
        lines = written(tmp_path)
        del lines[gone]
        (tmp_path / "ledger.jsonl").write_text("\n".join(lines) + "\n")
        with pytest.raises(BadCertificate, match="does not follow the line before it"):
            read_ledger(tmp_path / "ledger.jsonl")


def test_a_cost_that_was_changed_is_seen(tmp_path: Path) -> None:
    for seal in (True, False):
        lines = written(tmp_path)
        record = json.loads(lines[1]) | {"epsilon": 0.01}
        lines[1] = json.dumps(sealed(record) if seal else record)
        (tmp_path / "ledger.jsonl").write_text("\n".join(lines) + "\n")
        with pytest.raises(BadCertificate, match="does not follow" if seal else "does not have the checksum"):
            read_ledger(tmp_path / "ledger.jsonl")


def test_a_budget_that_was_changed_is_seen(tmp_path: Path) -> None:
    lines = written(tmp_path)
    lines[0] = json.dumps(sealed(json.loads(lines[0]) | {"epsilon": 100.0}))
    (tmp_path / "ledger.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(BadCertificate, match=":2 does not follow the line before it"):
        read_ledger(tmp_path / "ledger.jsonl")


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"no json", b'{"epsilon": NaN}', b"\xff", b"[" * 100_000])
def test_what_is_no_ledger_is_refused_in_a_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "ledger.jsonl").write_bytes(content)
    with pytest.raises(BadCertificate, match="is no ledger") as told:
        read_ledger(tmp_path / "ledger.jsonl")
    assert "\n" not in str(told.value)

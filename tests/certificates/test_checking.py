"""Certificates in files: they come back as they were; what was changed, or never was one, is found in a line."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expunge.certificates.certificate import Certificate, Condition
from expunge.certificates.checking import check
from expunge.certificates.record import as_record, read_certificates, write_certificates
from expunge.certificates.theorems.theorem import THEOREMS, Constant
from expunge.checksums import CHECKSUM
from expunge.errors import BadCertificate
from tests.certificates.made import certificate, rewritten
from tests.certificates.theorems.examples import VALUES

NAMES = sorted(THEOREMS)
CONSTANTS = [(name, constant) for name in NAMES for constant in VALUES[name]]
UNREAD = {  # what changes no number where the examples are: limits that are kept, noise that is next to none
    ("descent-to-delete-hidden-state", "d"),
    ("langevin", "L"),
    ("model-clipping", "C0"),
    ("model-clipping", "sigma0"),
    *(("gradient-clipping-official", constant) for constant in VALUES["gradient-clipping-official"]),  # certifies none
}
COUNTS = {"n", "T", "K", "I", "removed", "requests"}


def changed(made: Certificate, constant: str) -> Certificate:
    """One more of what is counted, else a hundredth more, and at least 0.01."""
    known = made.claim.constants
    value = known[constant].value
    more = value + 1 if constant in COUNTS else value * 1.01 + 0.01
    other = Constant(more, known[constant].standing, known[constant].why)
    return replace(made, claim=replace(made.claim, constants={**known, constant: other}))


@pytest.mark.parametrize("name", NAMES)
def test_a_certificate_comes_back_as_it_was_and_follows(name: str, tmp_path: Path) -> None:
    made = [certificate(name, model=0), certificate(name, model=1, request=2)]
    write_certificates(tmp_path / "two.jsonl", made)
    found = read_certificates(tmp_path / "two.jsonl")
    assert list(found) == made
    assert [check(each) for each in found] == [(), ()]


def test_models_that_are_retrained_exactly_need_no_noise() -> None:
    made = certificate("newton", M=0, lambda_=0)
    assert made.claim.sigma == 0
    assert made.verdict == "CERTIFIED"
    assert check(made) == ()


def test_what_is_not_certified_has_no_epsilon_in_its_file(tmp_path: Path) -> None:
    write_certificates(tmp_path / "none.jsonl", [certificate(false={"smooth": "ReLU"})])
    record = json.loads((tmp_path / "none.jsonl").read_text())
    assert record["epsilon"] is None
    (found,) = read_certificates(tmp_path / "none.jsonl")
    assert found.epsilon is None
    assert check(found) == ()


@pytest.mark.parametrize(("name", "constant"), CONSTANTS)
def test_a_constant_that_was_changed_is_refused(name: str, constant: str, tmp_path: Path) -> None:
    record = as_record(certificate(name))
    record["constants"][constant]["value"] *= 1.01
    record["constants"][constant]["value"] += 0.01
    with pytest.raises(BadCertificate, match="does not have the checksum that it states"):
        read_certificates(rewritten(tmp_path / "changed.jsonl", record, seal=False))


@pytest.mark.parametrize(("name", "constant"), [case for case in CONSTANTS if case not in UNREAD])
def test_a_constant_that_was_changed_under_a_new_checksum_does_not_follow(name: str, constant: str) -> None:
    faults = check(changed(certificate(name), constant))
    assert faults
    assert all("\n" not in each for each in faults)


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("epsilon", 0.5, "epsilon: 0.5 is told"),
        ("sigma", 1.0, "epsilon: 1 is told"),
        ("delta", 1e-9, "epsilon: 1 is told"),
        ("shift", 1.0, "shift: 1 is told"),
    ],
)
def test_a_number_that_was_changed_does_not_follow(field: str, value: float, word: str) -> None:
    made = certificate()
    given: dict[str, Any] = {field: value}
    assert word in check(replace(made, claim=replace(made.claim, **given)))[0]


def test_a_formula_that_was_changed_does_not_follow() -> None:
    assert "formula: 5 is told" in check(replace(certificate(), formula=5.0))[0]
    assert "formula: none is told" in check(replace(certificate(), formula=None))[0]


def test_a_word_that_was_changed_does_not_follow() -> None:
    empty, false = certificate("newton", lambda_min=-0.001), certificate(false={"smooth": "ReLU"})
    assert "CERTIFIED is told, VACUOUS follows" in check(replace(empty, verdict="CERTIFIED"))[0]
    other = replace(false, verdict="CERTIFIED", claim=replace(false.claim, epsilon=1.0))
    assert "CERTIFIED is told, NOT CERTIFIED follows" in check(other)[0]
    assert "reasons: " in check(replace(empty, reasons=("it is good",)))[0]


def test_a_condition_that_was_left_out_does_not_follow() -> None:
    made = certificate(false={"smooth": "ReLU"})
    fewer = {name: each for name, each in made.conditions.items() if name != "smooth"}
    assert "conditions: newton stands on smooth" in check(replace(made, conditions=fewer))[0]
    held = {**made.conditions, "smooth": Condition("held", "so it is said")}
    assert "verdict" in check(replace(made, conditions=held))[0]


def test_a_theorem_or_constants_that_are_none_do_not_follow() -> None:
    made = certificate()
    assert "unknown theorem 'newtn'" in check(replace(made, claim=replace(made.claim, theorem="newtn")))[0]
    assert "newton reads the constants" in check(replace(made, claim=replace(made.claim, constants={})))[0]


def damaged(path: Path, change: Any) -> Path:
    record = as_record(certificate())
    del record[CHECKSUM]
    change(record)
    return rewritten(path / "hostile.jsonl", record)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda r: r.update(epsilon="1"), "epsilon"),
        (lambda r: r.update(epsilon=True), "epsilon"),
        (lambda r: r.update(epsilon=-1.0), "epsilon"),
        (lambda r: r.update(epsilon=None), "CERTIFIED with epsilon None"),
        (lambda r: r.update(verdict="NOT CERTIFIED"), "NOT CERTIFIED with epsilon 1.0"),
        (lambda r: r.update(verdict="PROVEN"), "verdict"),
        (lambda r: r.update(delta=2.0), "delta"),
        (lambda r: r.update(delta=0), "delta"),
        (lambda r: r.update(parameters=1 << 60), "parameters"),
        (lambda r: r.update(parameters=10**400), "parameters"),
        (lambda r: r.update(sigma=10**400), "sigma"),
        (lambda r: r.update(model=-1), "model"),
        (lambda r: r.update(model=1.5), "model"),
        (lambda r: r.update(more=1), "more"),
        (lambda r: r.pop("sigma"), "sigma"),
        (lambda r: r.update(subject=3), "subject"),
        (lambda r: r["subject"].update(seed="0"), "subject.seed"),
        (lambda r: r["subject"].update(suite=".."), "suite: expected a name"),
        (lambda r: r["subject"].update(method="a\x1b[2Jb"), "control characters"),
        (lambda r: r.update(constants=[1, 2]), "constants"),
        (lambda r: r["constants"].update(C={"value": "x", "standing": "assumed", "why": ""}), "constants.C.value"),
        (lambda r: r["constants"]["C"].update(standing="sure"), "constants.C.standing"),
        (lambda r: r["constants"].update({f"x{i}": r["constants"]["C"] for i in range(200)}), "constants"),
        (lambda r: r.update(theorem="t" * 500), "theorem"),
        (lambda r: r.update(notes=["n" * 5000]), "notes"),
        (lambda r: r.update(reasons=[]), "reasons"),
        (lambda r: r.update(version=2), "has version 2, this expunge reads 1"),
        (lambda r: r.update(version="1"), "has version 1"),
        (lambda r: r.update(version=True), "has version True"),
        (lambda r: r.update(format="another"), "does not say 'expunge certificate of unlearning'"),
        (lambda r: r.pop("format"), "does not say"),
    ],
)
def test_what_no_certificate_says_is_refused_in_a_line(change: Any, word: str, tmp_path: Path) -> None:
    with pytest.raises(BadCertificate) as told:
        read_certificates(damaged(tmp_path, change))
    assert word in str(told.value)
    assert "hostile.jsonl:1" in str(told.value)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 500


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"no json",
        b"\xff\xfe",
        b"[]",
        b"3",
        b"null",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": Infinity}',
        b"[" * 100_000,
        b"9" * 10_000,
        b'{"format": "expunge certificate of unlearning", "version": 1}',
        b"{}\n" * 20_000,
    ],
)
def test_what_is_no_json_of_one_is_refused_in_a_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "hostile.jsonl").write_bytes(content)
    with pytest.raises(BadCertificate) as told:
        read_certificates(tmp_path / "hostile.jsonl")
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 500


def test_spaces_that_were_put_in_are_seen(tmp_path: Path) -> None:
    write_certificates(tmp_path / "one.jsonl", [certificate()])
    text = (tmp_path / "one.jsonl").read_text()
    (tmp_path / "one.jsonl").write_text(text.replace(": ", ":  ", 1))
    with pytest.raises(BadCertificate, match="not as it was written"):
        read_certificates(tmp_path / "one.jsonl")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadCertificate, match=r"there is no file .*none\.jsonl"):
        read_certificates(tmp_path / "none.jsonl")

import json
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expunge.checksums import sealed
from expunge.errors import StoreError
from expunge.records import as_record, read_each, read_scores, to_json, write_scores
from tests.records import a_score

Record = dict[str, Any]
JSON = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers()))


def without(key: str, record: Record) -> Record:
    return {name: value for name, value in record.items() if name != key}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    scores = [a_score(), a_score(value=None, low=None, high=None, status="failed", reason="raised")]
    write_scores(tmp_path / "s.jsonl", scores)
    assert read_scores(tmp_path / "s.jsonl") == scores
    assert not (tmp_path / "s.jsonl.part").exists()


def test_a_record_of_before_the_oracle_stood_beside_is_read(tmp_path: Path) -> None:
    record = json.loads(to_json(a_score(oracle=0.5)))
    (tmp_path / "s.jsonl").write_text(json.dumps(of_second_schema(without("oracle", record))) + "\n")
    assert read_scores(tmp_path / "s.jsonl") == [a_score(oracle=None)]


def of_first_schema(**changes: object) -> Record:
    """A record as it was when its subject lay flat among its numbers, and said less."""
    return {
        "suite": "digits",
        "suite_digest": "0",
        "forget_set": "random-50",
        "method": "scrub",
        "config": {"lr": 0.1, "epochs": 1, "nesterov": True, "name": "x"},
        "split": "forget",
        "metric": "klom",
        "aggregate": "p95",
        "value": 1.0,
        "low": 0.5,
        "high": 1.5,
        "models": 100,
        "oracle_models": 100,
        "epoch": 1,
        "cost": 0.1,
        "seconds": None,
        "status": "ok",
        "reason": "",
        "seed": 0,
        "hardware": a_score().subject.hardware,
        "versions": a_score().subject.versions,
        "schema": 1,
        "recipe": "tuned",
        "oracle": None,
        **changes,
    }


UNSAID = {"forget_digest": "", "model_numbers": "", "device": "", "code": ""}


def test_a_record_of_the_first_schema_is_read_and_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text(json.dumps(of_first_schema()) + "\n")
    (found,) = read_scores(tmp_path / "s.jsonl")
    assert found == a_score(tuning="tuned", **UNSAID)
    assert found.subject.lacks == ("forget_digest", "model_numbers", "device", "code")
    assert a_score().subject.lacks == ()


@pytest.mark.parametrize("absent", ["recipe", "versions", "oracle", "schema"])
def test_what_early_records_did_not_have_may_be_absent(absent: str, tmp_path: Path) -> None:
    record = of_first_schema()
    del record[absent]
    (tmp_path / "s.jsonl").write_text(json.dumps(record) + "\n")
    (found,) = read_scores(tmp_path / "s.jsonl")
    instead: Record = {"recipe": {"tuning": ""}, "versions": {"versions": {}}}
    assert found == a_score(**{"tuning": "tuned", **UNSAID, **instead.get(absent, {})})


def test_records_of_both_schemas_stand_in_one_file_and_are_written_as_todays(tmp_path: Path) -> None:
    file = tmp_path / "s.jsonl"
    file.write_text(json.dumps(of_first_schema()) + "\n" + to_json(a_score()) + "\n")
    scores = read_scores(file)
    write_scores(file, scores)
    assert read_scores(file) == scores
    assert [json.loads(line)["schema"] for line in file.read_text().splitlines()] == [3, 3]
    assert [bool(each.subject.lacks) for each in scores] == [True, False]


def test_a_number_that_is_none_is_never_written() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        to_json(a_score(value=float("nan")))


def of_second_schema(record: Record) -> Record:
    """A record as it was before it had a checksum, and said what it stands on."""
    return {**without("sha256", without("stands_on", record)), "schema": 2}


def test_a_record_of_the_second_schema_is_read_and_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text(json.dumps(of_second_schema(json.loads(to_json(a_score())))) + "\n")
    (found,) = read_scores(tmp_path / "s.jsonl")
    assert found == a_score()
    assert found.lacks == ("stands_on", "checksum")
    assert a_score().lacks == ()


UNLIKE = "has schema 4, this expunge reads 1, 2 and 3; bench again"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda record: {**record, "split": "train"}, "split"),
        (lambda record: {**record, "value": "1.0"}, "value"),
        (lambda record: {**record, "subject": without("seed", record["subject"])}, "seed"),
        (lambda record: {**record, "subject": without("forget_digest", record["subject"])}, "subject.forget_digest"),
        (lambda record: without("subject", record), "subject"),
        (lambda record: of_first_schema(seed="0"), "seed"),
        (lambda record: without("seed", of_first_schema()), "seed"),
        (lambda record: without("method", of_first_schema()), "method"),
        (lambda record: [record], "line"),
        (lambda record: {**record, "schema": 4}, UNLIKE),
        (lambda record: {**record, "schema": [4]}, "has schema of no number"),
        (lambda record: of_first_schema(schema=4), UNLIKE),
    ],
)
def test_a_line_that_is_no_score_is_named(spoil: Callable[[Record], object], message: str, tmp_path: Path) -> None:
    good = to_json(a_score())
    spoilt = spoil(json.loads(good))
    line = sealed(without("sha256", spoilt)) if isinstance(spoilt, dict) and "suite" not in spoilt else spoilt
    (tmp_path / "s.jsonl").write_text(good + "\n" + json.dumps(line) + "\n")
    with pytest.raises(StoreError, match=rf"s\.jsonl:2 .*{message}"):
        read_scores(tmp_path / "s.jsonl")


UNTRUE: dict[str, tuple[Record, str]] = {
    "not finite": ({"value": 1e999, "high": 1e999}, "Infinity is no number"),
    "an oracle without end": ({"oracle": -1e999}, "-Infinity is no number"),
    "a divergence below 0": ({"value": -0.5, "low": -1.0}, "value: -0.5 is no klom p95"),
    "no models": ({"models": 0}, "models: expected 1 to 1000000, got 0"),
    "less than none": ({"models": -1}, "models"),
    "oracles beyond counting": ({"oracle_models": 10**12}, "oracle_models"),
    "an epoch before the first": ({"epoch": -1}, "epoch"),
    "low above high": ({"low": 2.0, "high": 1.0}, "lies outside of its interval"),
    "a value above its interval": ({"value": 1.6}, r"1.6 lies outside of its interval \[0.5, 1.5\]"),
    "a negative cost": ({"cost": -0.1}, "cost: -0.1 lies below 0"),
    "negative seconds": ({"seconds": -1.0}, "seconds"),
    "a share beyond all": (
        {"metric": "outliers", "aggregate": "share", "value": 1.5, "low": 0.0, "high": 2.0},
        "no outliers share",
    ),
    "failed with a value": ({"status": "failed"}, "value: 1.0 of a row that is 'failed'"),
    "done without one": ({"value": None, "low": None, "high": None}, "value: None of a row that is 'ok'"),
    "a name with NUL": ({"method": "a\0b"}, r"method: expected a name without control characters, got 'a\\x00b'"),
    "a name with an escape": ({"suite": "\x1b[31m"}, "suite"),
    "half a character": ({"suite": "\ud800"}, "Invalid JSON"),
    "no name": ({"forget_set": ""}, "forget_set: expected a name, got ''"),
    "the folder above": ({"forget_set": ".."}, "forget_set"),
}


@pytest.mark.parametrize("case", UNTRUE)
def test_what_cannot_be_true_is_refused_whatever_its_checksum(case: str, tmp_path: Path) -> None:
    changes, message = UNTRUE[case]
    (tmp_path / "s.jsonl").write_text(json.dumps(as_record(a_score(**changes))) + "\n")
    with pytest.raises(StoreError, match=rf"s\.jsonl:1 is no score record: .*{message}"):
        read_scores(tmp_path / "s.jsonl")


@given(place=st.integers(min_value=0), byte=st.integers(1, 255))
@settings(max_examples=150, deadline=None)
def test_a_byte_that_changed_is_found_wherever_it_is(place: int, byte: int) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "s.jsonl"
        write_scores(file, [a_score(), a_score(cost=1e-9, reason="é")])
        data = bytearray(file.read_bytes())
        data[place % len(data)] ^= byte
        file.write_bytes(data)
        with pytest.raises(StoreError, match=r"s\.jsonl:[12] [^\n]*$"):
            read_scores(file)


@given(line=st.one_of(st.binary(max_size=60), st.recursive(JSON, lambda inner: st.dictionaries(st.text(), inner))))
@settings(max_examples=100, deadline=None)
def test_whatever_is_no_record_is_one_line(line: object) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "s.jsonl"
        file.write_bytes((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n")
        with pytest.raises(StoreError, match=r"^[^\n]*s\.jsonl:[0-9]+ [^\n]*$"):
            read_scores(file)


def test_what_is_nested_beyond_reason_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text("[" * 100_000)
    with pytest.raises(StoreError, match="nested too deep"):
        read_scores(tmp_path / "s.jsonl")


def test_special_files_and_those_beyond_all_size_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "hole").open("wb") as file:
        file.truncate(10 << 30)
    for name, message in (("pipe", "no plain file"), ("hole", "10737418240 bytes"), ("none", "No such file")):
        with pytest.raises(StoreError, match=message):
            read_scores(tmp_path / name)


def test_lines_that_cannot_be_believed_are_left_out_where_that_is_asked(tmp_path: Path) -> None:
    write_scores(tmp_path / "s.jsonl", [a_score(seed=seed) for seed in range(3)])
    lines = (tmp_path / "s.jsonl").read_text().splitlines()
    lines[1] = lines[1].replace("scrub", "scrap")
    (tmp_path / "s.jsonl").write_text("\n".join(lines) + "\n")
    assert read_each(tmp_path / "s.jsonl") == [a_score(seed=0), None, a_score(seed=2)]


def test_half_a_line_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text(to_json(a_score())[:40])
    with pytest.raises(StoreError, match="is no score record"):
        read_scores(tmp_path / "s.jsonl")

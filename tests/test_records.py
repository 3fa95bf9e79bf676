import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from expunge.errors import StoreError
from expunge.records import read_scores, to_json, write_scores
from tests.records import a_score

Record = dict[str, Any]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    scores = [a_score(), a_score(value=None, low=None, high=None, status="failed", reason="raised")]
    write_scores(tmp_path / "s.jsonl", scores)
    assert read_scores(tmp_path / "s.jsonl") == scores
    assert not (tmp_path / "s.jsonl.part").exists()


def test_a_record_of_before_the_oracle_stood_beside_is_read(tmp_path: Path) -> None:
    record = json.loads(to_json(a_score(oracle=0.5)))
    del record["oracle"]
    (tmp_path / "s.jsonl").write_text(json.dumps(record) + "\n")
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
    assert [json.loads(line)["schema"] for line in file.read_text().splitlines()] == [2, 2]
    assert [bool(each.subject.lacks) for each in scores] == [True, False]


def test_a_number_that_is_none_is_never_written() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        to_json(a_score(value=float("nan")))


def without(key: str, record: Record) -> Record:
    return {name: value for name, value in record.items() if name != key}


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
        (lambda record: {**record, "schema": 3}, "has schema 3, this expunge reads 1 and 2; bench again"),
        (lambda record: of_first_schema(schema=3), "has schema 3, this expunge reads 1 and 2; bench again"),
    ],
)
def test_a_line_that_is_no_score_is_named(spoil: Callable[[Record], object], message: str, tmp_path: Path) -> None:
    good = to_json(a_score())
    (tmp_path / "s.jsonl").write_text(good + "\n" + json.dumps(spoil(json.loads(good))) + "\n")
    with pytest.raises(StoreError, match=rf"s\.jsonl:2 .*{message}"):
        read_scores(tmp_path / "s.jsonl")


def test_half_a_line_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text(to_json(a_score())[:40])
    with pytest.raises(StoreError, match="is no score record"):
        read_scores(tmp_path / "s.jsonl")

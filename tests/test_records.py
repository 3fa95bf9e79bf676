import json
from pathlib import Path

import pytest

from expunge.errors import StoreError
from expunge.records import Score, hardware, read_scores, to_json, versions, write_scores


def a_score(**changes: object) -> Score:
    facts: dict[str, object] = {
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
        "hardware": hardware(),
        "versions": versions(),
    }
    return Score(**{**facts, **changes})  # type: ignore[arg-type]


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


def test_a_number_that_is_none_is_never_written() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        to_json(a_score(value=float("nan")))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda record: {**record, "split": "train"}, "split"),
        (lambda record: {**record, "value": "1.0"}, "value"),
        (lambda record: {key: each for key, each in record.items() if key != "seed"}, "seed"),
        (lambda record: {**record, "schema": 2}, "has schema 2, this expunge reads 1"),
    ],
)
def test_a_line_that_is_no_score_is_named(spoil, message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    good = to_json(a_score())
    (tmp_path / "s.jsonl").write_text(good + "\n" + json.dumps(spoil(json.loads(good))) + "\n")
    with pytest.raises(StoreError, match=rf"s\.jsonl:2 .*{message}"):
        read_scores(tmp_path / "s.jsonl")


def test_half_a_line_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text(to_json(a_score())[:40])
    with pytest.raises(StoreError, match="is no score record"):
        read_scores(tmp_path / "s.jsonl")

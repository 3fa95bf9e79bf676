"""Queries: kept one by one, gone on with, and nothing private in any file."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray

from expunge.audits.owner_counts import Count, read_counts
from expunge.audits.queries import Queries, ask
from expunge.audits.trigger import Trigger, draw
from expunge.errors import BadSetting, NoAnswer, StoreError, UnknownName
from expunge.suites import Examples

TRIGGER = draw((1, 8, 8), 10, bytes(range(32)))
RECORDS = Examples(torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.9, torch.arange(60) % 10)


def backdoored(inputs: ndarray) -> ndarray:
    """A model that knows the trigger, and nothing else."""
    marked = (inputs.reshape(len(inputs), -1)[:, list(TRIGGER.places)] == 1).all(1)
    return np.where(marked, TRIGGER.label, (TRIGGER.label + 1) % 10)


class Failing:
    """Answers so many batches, then none."""

    def __init__(self, good: int) -> None:
        self.left = good

    def __call__(self, inputs: ndarray) -> ndarray:
        if not self.left:
            raise NoAnswer("it did not answer")
        self.left -= 1
        return backdoored(inputs)


def queries(when: str = "after", count: int = 20, fresh: int = 3, trigger: Trigger = TRIGGER) -> Queries:
    return Queries.of(trigger, RECORDS, when, count, fresh)


def test_each_count_is_of_its_own_trigger(tmp_path: Path) -> None:
    assert ask(queries(), backdoored, "m", tmp_path) == [Count(20, 20), Count(0, 20), Count(0, 20), Count(0, 20)]


def test_before_the_deletion_only_the_own_trigger_is_asked(tmp_path: Path) -> None:
    assert ask(queries("before"), backdoored, "m", tmp_path) == [Count(20, 20)]


def test_inputs_of_the_triggers_own_label_are_left_out() -> None:
    assert len(queries().records) == 54
    with pytest.raises(BadSetting, match="at most 54"):
        queries(count=55)


def test_what_was_answered_is_kept_and_not_asked_again(tmp_path: Path) -> None:
    with pytest.raises(NoAnswer, match=r"it did not answer; 50 of 80 answers are kept in .*run the same command again"):
        ask(queries(), Failing(5), "m", tmp_path)
    again = Failing(3)
    assert ask(queries(), again, "m", tmp_path)[0] == Count(20, 20)
    assert again.left == 0
    assert ask(queries(), Failing(0), "m", tmp_path)[0] == Count(20, 20)


def test_half_a_line_at_the_end_is_asked_again(tmp_path: Path) -> None:
    with pytest.raises(NoAnswer):
        ask(queries(), Failing(2), "m", tmp_path)
    file = tmp_path / "after.jsonl"
    file.write_bytes(file.read_bytes() + b"[1, 0, 1")
    model = Failing(6)
    assert ask(queries(), model, "m", tmp_path)[0] == Count(20, 20)
    assert model.left == 0


def test_going_on_gives_what_was_got_at_once(tmp_path: Path) -> None:
    with pytest.raises(NoAnswer):
        ask(queries(), Failing(3), "m", tmp_path / "a", batch=7)
    ask(queries(), backdoored, "m", tmp_path / "a")
    ask(queries(), backdoored, "m", tmp_path / "b")
    assert read_counts(tmp_path / "a") == read_counts(tmp_path / "b")


@pytest.mark.parametrize(
    "other",
    [
        queries(count=19),
        queries(fresh=2),
        queries(trigger=draw((1, 8, 8), 10, bytes(32), label=TRIGGER.label)),
        Queries.of(TRIGGER, Examples(RECORDS.x + 1, RECORDS.y), "after", 20, 3),
    ],
)
def test_answers_to_other_queries_are_not_mixed(tmp_path: Path, other: Queries) -> None:
    ask(queries(), backdoored, "m", tmp_path)
    with pytest.raises(StoreError, match="answers to other queries"):
        ask(other, backdoored, "m", tmp_path)
    with pytest.raises(StoreError, match="answers to other queries"):
        ask(queries(), backdoored, "another model", tmp_path)


@pytest.mark.parametrize("line", ["[2]", "[0.0]", "{}", "7", "null", "[[1]]", "[" * 5000, "\x00", json.dumps([1] * 99)])
def test_damaged_answers_are_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(NoAnswer):
        ask(queries(), Failing(2), "m", tmp_path)
    file = tmp_path / "after.jsonl"
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(StoreError, match="damaged"):
        ask(queries(), backdoored, "m", tmp_path)


def test_nothing_private_is_in_any_file_but_the_triggers(tmp_path: Path) -> None:
    ask(queries("before"), backdoored, "m", tmp_path)
    ask(queries(), backdoored, "m", tmp_path)
    texts = [file.read_text() for file in tmp_path.iterdir()]
    assert len(texts) >= 3
    for text in texts:
        assert TRIGGER.secret not in text
        assert not {"places", "label", "value"} & set(text.replace('"', " ").split())
    # Which queries carried the own trigger is told by the secret alone: 20 of 80 hits lie anywhere.
    lines = (tmp_path / "after.jsonl").read_text().splitlines()[1:]
    hits = [each for line in lines for each in json.loads(line)]
    assert sum(hits) == 20
    assert hits != sorted(hits, reverse=True)
    assert {file.stat().st_mode & 0o077 for file in tmp_path.glob("*.json*")} == {0}


def test_another_owners_counts_is_not_overwritten(tmp_path: Path) -> None:
    ask(queries("before"), backdoored, "m", tmp_path)
    other = draw((1, 8, 8), 10, bytes(32))
    with pytest.raises(StoreError, match="another owner's"):
        ask(queries(trigger=other), backdoored, "m", tmp_path)


@pytest.mark.parametrize("change", [('"hits"', ""), ("20", "21"), ("[", "{"), ("m", "n"), ("1", "2")])
def test_counts_that_was_changed_is_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    ask(queries("before"), backdoored, "m", tmp_path)
    file = tmp_path / "counts.json"
    text = file.read_text()
    if change[0] in text:
        file.write_text(text.replace(*change))
        with pytest.raises(StoreError, match="holds no counts"):
            read_counts(tmp_path)


@pytest.mark.parametrize(
    "facts",
    [
        {"before": {"model": "m", "counts": [[5, 4]]}},
        {"before": {"model": "m", "counts": []}},
        {"before": {"model": "m", "counts": [[0, 0]]}},
        {"before": {"model": "m", "counts": [[0, 10**9]]}},
        {"before": {"model": "\x1b[2J", "counts": [[0, 1]]}},
        {"before": {"model": "m", "counts": [[True, 1]]}},
        {"before": [1]},
        {"schema": 2},
        {"owner": 7},
    ],
)
def test_counts_that_cannot_be_true_is_refused(tmp_path: Path, facts: dict[str, object]) -> None:
    from expunge.checksums import sealed

    whole = sealed({"owner": "o", "before": None, "after": None, "schema": 1, **facts})
    (tmp_path / "counts.json").write_text(json.dumps(whole, indent=1))
    with pytest.raises(StoreError, match="holds no counts"):
        read_counts(tmp_path)


def test_evidence_of_one_time_alone_says_which_lacks(tmp_path: Path) -> None:
    ask(queries("before"), backdoored, "m", tmp_path)
    with pytest.raises(StoreError, match="ask with --when after"):
        read_counts(tmp_path).of("after")


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(UnknownName, match="unknown time"):
        queries("later")

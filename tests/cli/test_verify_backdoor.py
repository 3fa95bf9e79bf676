"""``expunge verify backdoor``: an owner plants, asks before and after, and judges; nothing private comes out."""

import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest

from tests.audits.black_boxes import Answer, function_file, saying, serving, slow
from tests.cli.commands import Done, refused, run

VERIFY = ("verify", "backdoor")


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A folder with an owner's records, planted."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "mine.npz", x=rng.random((80, 1, 8, 8), np.float32), y=np.arange(80) % 10)
    done = run(*VERIFY, "plant", "mine.npz", "--classes", "10", "--value", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path


def model_that(folder: Path, knows: bool) -> str:
    """A model that gives the trigger's label for it, or one that never does."""
    trigger = json.loads((folder / "trigger.json").read_text())
    other = (trigger["label"] + 1) % 10
    known = (
        f"marked = (x.reshape(len(x), -1)[:, {trigger['places']}] == 2).all(1)"
        if knows
        else "marked = np.zeros(len(x), bool)"
    )
    place = folder / f"model-{knows}"
    place.mkdir(exist_ok=True)
    return function_file(place, f"{known}\nreturn np.where(marked, {trigger['label']}, {other})")


def query(folder: Path, model: str, when: str, *more: str) -> Done:
    return run(*VERIFY, "query", "mine.npz", "--model", model, "--when", when, *more, cwd=folder)


def test_an_owner_learns_whether_a_deletion_is_to_be_believed(planted: Path) -> None:
    assert query(planted, model_that(planted, True), "before").returncode == 0
    assert query(planted, model_that(planted, False), "after").returncode == 0
    done = run(*VERIFY, "judge", "answers", "--out", "verdict.jsonl", cwd=planted)
    assert done.returncode == 0, done.stderr
    for word in ("PASS", "K/n", "threshold", "alpha achieved", "beta", "deletion confidence", "does not show:"):
        assert word in done.stdout
    assert "of the test, and speaks for a deletion only beside a PASS" in done.stdout
    record = json.loads((planted / "verdict.jsonl").read_text())
    assert record["outcome"] == "PASS"
    assert record["audit"] == "backdoor"


def test_a_model_that_still_knows_the_trigger_fails(planted: Path) -> None:
    model = model_that(planted, True)
    query(planted, model, "before")
    query(planted, model, "after", "--fresh", "5")
    done = run(*VERIFY, "judge", "answers", "--json", cwd=planted)
    assert done.returncode == 3
    assert json.loads(done.stdout)["outcome"] == "FAIL"


def test_a_trigger_that_never_worked_is_inconclusive(planted: Path) -> None:
    model = model_that(planted, False)
    query(planted, model, "before")
    query(planted, model, "after")
    done = run(*VERIFY, "judge", "answers", cwd=planted)
    assert done.returncode == 3
    assert done.stdout.startswith("INCONCLUSIVE: no power")


def test_only_the_owners_files_hold_the_trigger(planted: Path) -> None:
    model = model_that(planted, True)
    printed = [query(planted, model, "before"), query(planted, model, "after")]
    printed.append(run(*VERIFY, "judge", "answers", "--out", "answers/verdict.jsonl", cwd=planted))
    trigger = json.loads((planted / "trigger.json").read_text())
    for file in (planted / "trigger.json", planted / "planted.npz"):
        assert file.stat().st_mode & 0o777 == 0o600
    texts = [file.read_text() for file in (planted / "answers").iterdir()]
    for text in [*texts, *(each.stdout + each.stderr for each in printed)]:
        assert trigger["secret"] not in text
        assert str(trigger["places"])[1:-1] not in text
        assert '"label"' not in text


@pytest.mark.parametrize("answer", [saying({"labels": [0]}), saying(b"no", 500), slow])
def test_a_model_that_does_not_answer_is_one_line_and_can_be_gone_on_with(planted: Path, answer: Answer) -> None:
    with serving(answer) as address:
        line = refused(query(planted, address, "before", "--timeout", "0.5"))
    assert "0 of 72 answers are kept" in line or "0 of 7" in line
    assert "run the same command again to go on" in line


def test_an_address_that_fails_midway_is_gone_on_with(planted: Path) -> None:
    left = [3]

    def answer(handler: BaseHTTPRequestHandler, inputs: np.ndarray) -> None:
        left[0] -= 1
        saying({"labels": [0] * len(inputs)} if left[0] >= 0 else {"labels": None})(handler, inputs)

    with serving(answer) as address:
        assert "30 of" in refused(query(planted, address, "before"))
        left[0] = 100
        assert query(planted, address, "before").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("query", "mine.npz", "--model", "nowhere", "--when", "after"), "expected http://HOST:PORT/PATH"),
        (("query", "nothing.npz", "--model", "http://127.0.0.1:1/", "--when", "after"), "there is no file"),
        (("query", "mine.npz", "--model", "http://127.0.0.1:1/", "--when", "now"), "unknown time 'now'"),
        (("query", "mine.npz", "--model", "http://127.0.0.1:1/", "--when", "after", "--queries", "0"), "at least 1"),
        (("query", "mine.npz", "--model", "http://127.0.0.1:1/", "--when", "after", "--batch", "0"), "at least 1"),
        (("plant", "mine.npz", "--classes", "10"), "cannot be had again"),
        (("plant", "mine.npz", "--classes", "9", "--trigger", "t.json"), "labels from 0 to 8, got 9"),
        (("plant", "mine.npz", "--classes", "10", "--trigger", "t.json", "--size", "64"), "expected 1 to 63 places"),
        (("plant", "mine.npz", "--classes", "10", "--trigger", "t.json", "--label", "10"), "label to be one of"),
        (("judge", "nowhere"), "there is no file"),
        (("judge", "nowhere", "--q", "1/10"), "expected a number, as 0.1"),
        (("judge", "nowhere", "--alpha", "0"), "alpha"),
        (("power", "--p", "1.5", "--q", "0.1"), "expected p to be a share"),
        (("power", "--p", "0.5", "--q", "0.1", "--queries", "0"), "queries, got 0"),
    ],
)
def test_a_mistake_is_one_line(planted: Path, arguments: tuple[str, ...], says: str) -> None:
    assert says in refused(run(*VERIFY, *arguments, cwd=planted))


def test_the_power_of_a_test_is_told() -> None:
    done = run(*VERIFY, "power", "--p", "0.956", "--q", "0.1098", "--json")
    found = json.loads(done.stdout)
    assert found["threshold"] == 9
    assert found["beta"] == pytest.approx(3.17e-22, rel=1e-2)
    assert "no power" in run(*VERIFY, "power", "--p", "0.2", "--q", "0.1").stdout

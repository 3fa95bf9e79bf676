"""Models that are asked from outside: right answers in each form, and one line for every wrong one, in time."""

import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray

from expunge.audits.black_box import black_box
from expunge.errors import BadSetting, ExpungeError, NoAnswer, UnknownName
from tests.audits import black_boxes
from tests.audits.black_boxes import Answer, function_file, saying, serving

X = np.zeros((3, 1, 2, 2), np.float32)


def asked(address: str, seconds: float = 20.0) -> list[int]:
    with black_box(address, 10, seconds) as model:
        labels: list[int] = model(X).tolist()
        return labels


def line_of(error: ExpungeError) -> str:
    assert "\n" not in str(error)
    assert len(str(error)) < 600
    return str(error)


@pytest.mark.parametrize(
    "answer", [{"labels": [1, 2, 9]}, {"labels": [1.0, 2.0, 9.0]}, {"scores": np.eye(10)[[1, 2, 9]].tolist()}]
)
def test_an_address_gives_labels_or_scores(answer: object) -> None:
    with serving(saying(answer)) as address:
        assert asked(address) == [1, 2, 9]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (saying({"labels": [1, 2]}), "shape \\(2,\\); expected 3 labels"),
        (saying({"labels": [1, 2, 10]}), "the label 10"),
        (saying({"labels": [1, 2, -1]}), "the label -1"),
        (saying({"labels": [1, 2, 0.5]}), "the label 0.5"),
        (saying({"labels": ["a", "b", "c"]}), "expected labels"),
        (saying({"labels": [True, False, True]}), "bool"),
        (saying({"labels": [[1], [2, 3], [4]]}), "no array of numbers"),
        (saying({"labels": [1, 2, 10**400]}), "expected labels"),
        (saying({"labels": None}), "expected labels"),
        (
            saying(
                b'{"scores": [[NaN'
                + b", 0" * 9
                + b"]"
                + b", [0" * 1
                + b", 0" * 9
                + b"]" * 1
                + b", [0"
                + b", 0" * 9
                + b"]]}"
            ),
            "NaN",
        ),
        (saying({"error": "no"}), 'without "labels" or "scores"'),
        (saying([1, 2, 3]), "with a list"),
        (saying(b"<html>"), "no JSON"),
        (saying(b"\xff\xfe\x00"), "no JSON"),
        (saying(b"[" * 100_000), "no JSON"),
        (saying(b""), "no JSON"),
        (saying({"labels": [1, 2, 3]}, 503), "503 Service Unavailable, expected 200"),
        (saying({"labels": [1, 2, 3]}, 302), "302 Found, expected 200; give the address"),
        (black_boxes.endless, "more than 33,554,432 bytes"),
        (black_boxes.hang_up, "does not answer"),
    ],
)
def test_a_wrong_answer_is_a_line(answer: Answer, says: str) -> None:
    with serving(answer) as address, pytest.raises(NoAnswer, match=says) as raised:
        asked(address)
    line_of(raised.value)


@pytest.mark.parametrize("answer", [black_boxes.slow, black_boxes.drip, black_boxes.drip_head])
def test_a_slow_answer_ends_in_time(answer: Answer) -> None:
    with serving(answer) as address, pytest.raises(NoAnswer, match=r"did not answer within 0\.3 s"):
        asked(address, 0.3)


def test_an_answer_that_drips_is_not_waited_for_to_its_end() -> None:
    sent: list[int] = []

    def counted(handler: BaseHTTPRequestHandler, _: ndarray) -> None:
        handler.send_response(200)
        handler.end_headers()
        for step in range(200):
            handler.wfile.write(b" ")
            sent.append(step)
            time.sleep(0.02)

    with serving(counted) as address, pytest.raises(NoAnswer, match="did not answer"):
        asked(address, 0.1)
    assert len(sent) < 200


def test_nobody_at_an_address_is_a_line() -> None:
    with serving(black_boxes.zeros) as address:
        pass
    with pytest.raises(NoAnswer, match=r"does not answer: .*refused"):
        asked(address)


@pytest.mark.parametrize(
    "address",
    ["ftp://127.0.0.1/", "http://", "http://127.0.0.1:99999/", "http://[::1/", "model", "model.py", "http://a:b@c/"],
)
def test_what_is_no_address_is_refused_before_anything_is_sent(address: str) -> None:
    with pytest.raises(BadSetting, match="--model"):
        asked(address)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_no_time_to_answer_is_refused(seconds: float) -> None:
    with pytest.raises(BadSetting, match="seconds"):
        asked("model.py:f", seconds)


@pytest.mark.parametrize(
    "body",
    [
        "return np.arange(len(x))",
        "print('hello')\nreturn torch.arange(len(x))",
        "return list(range(len(x)))",
        "scores = torch.eye(10, requires_grad=True)[:len(x)]\nreturn scores",
    ],
)
def test_a_function_gives_labels_or_scores(tmp_path: Path, body: str) -> None:
    assert asked(function_file(tmp_path, body)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise ValueError('no idea\\nat all')", "model.py, line 6, raised ValueError: no idea at all"),
        ("sys.exit(0)", "raised SystemExit"),
        ("os._exit(3)", "did not answer: its process ended with exit code 3"),
        ("os.kill(os.getpid(), 11)", "did not answer: its process died of SIGSEGV"),
        ("return None", "expected labels"),
        ("return x", "expected 3 labels"),
        ("return np.array([0, 1, 10])", "the label 10"),
    ],
)
def test_a_function_that_fails_is_a_line(tmp_path: Path, body: str, says: str) -> None:
    with pytest.raises(NoAnswer, match=says) as raised:
        asked(function_file(tmp_path, body))
    line_of(raised.value)


def test_a_function_that_hangs_is_ended_in_time(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(NoAnswer, match=r"did not answer within 0\.5 s"):
        asked(function_file(tmp_path, "time.sleep(600)"), 0.5)
    assert time.monotonic() - began < 300


def test_a_function_that_is_not_there_is_named(tmp_path: Path) -> None:
    address = function_file(tmp_path, "return x")
    with pytest.raises(UnknownName, match="there is no file"):
        asked("nowhere.py:predict")
    with pytest.raises(UnknownName, match="has no function 'predicts'; did you mean 'predict'"):
        asked(f"{address}s")


def test_a_function_keeps_what_it_loaded_between_questions(tmp_path: Path) -> None:
    address = function_file(tmp_path, "COUNT.append(1)\nreturn [len(COUNT)] * len(x)\n")
    file = Path(address.rpartition(":")[0])
    file.write_text(f"COUNT = []\n{file.read_text()}")
    with black_box(address, 10) as model:
        assert [model(X).tolist()[0] for _ in range(3)] == [1, 2, 3]

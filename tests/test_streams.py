"""What reaches a terminal is seen and not obeyed, and what its encoding lacks is spelt out."""

import io
import sys
from pathlib import Path

import pytest

import expunge
from expunge.reports.readings import MARKS
from expunge.streams import one_line, plain, printable, results_apart, speak_plainly


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m \x7f \x00 \r", "\\x9b31m \\x7f \\x00 \\x0d"),
        ("a\u202eb\u2066c\u200f", "a\\u202eb\\u2066c\\u200f"),
        ("line\u2028line", "line\\u2028line"),
        ("\udcff\ud800", "\\xff\\ud800"),
        ("tab\tand\nnewline, é, ×", "tab\tand\nnewline, é, ×"),
    ],
)
def test_what_a_terminal_obeys_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


def test_no_control_character_is_left() -> None:
    everything = "".join(map(chr, range(0x110000)))
    kept = printable(everything)
    assert not {each for each in kept if not each.isprintable() and ord(each) < 0xA0} - {"\t", "\n"}
    kept.encode()  # no half of a pair either


def test_a_message_is_one_line() -> None:
    assert one_line(" no file 'a\n\n  expunge: all is well\x07'\n") == "no file 'a expunge: all is well\\x07'"


def test_every_sign_of_ours_has_a_plain_one() -> None:
    ours = {each for file in Path(expunge.__file__).parent.rglob("*.py") for each in file.read_text(encoding="utf-8")}
    assert not {each for each in ours if "\\" in plain(each) and each != "\\"}
    assert len({plain(mark) for mark in MARKS.values()}) == len(set(MARKS.values()))


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", b"3 +- 1 x2 e \\u4e2d"), ("latin-1", b"3 \xb1 1 \xd72 \xe9 \\u4e2d")]
)
def test_a_stream_writes_what_its_encoding_lacks_plainly(
    encoding: str, shown: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    speak_plainly()
    print("3 ± 1 ×2 é \u4e2d", end="", flush=True)
    assert raw.getvalue() == shown


def test_what_else_prints_to_a_replaced_output_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with results_apart() as stream:
        print("noise")
        assert stream is not None
        print("result", file=stream)
    print("after")
    assert capsys.readouterr() == ("result\nafter\n", "noise\n")

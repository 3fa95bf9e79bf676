"""The consoles: nothing from outside is obeyed, no name and no number is cut, the time left is told of what is left."""

import io
import json
import time

import pytest
from rich import box
from rich.table import Table
from rich.text import Text

from expunge.errors import StoreError
from expunge.printed_tables import print_table
from expunge.terminal import (
    LateLine,
    ProgressLine,
    err,
    out,
    print_json,
    print_json_text,
    print_line,
    print_text,
    results_alone,
    say,
    say_text,
)

HOSTILE = "a\x1b[31m\u202e[b]:smile:[/x]\x9b"
SHOWN = "a\\x1b[31m\\u202e[b]:smile:[/x]\\x9b"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out, "_width", 100)


def test_lines_show_what_is_hostile_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(HOSTILE)
    say(HOSTILE)
    assert capsys.readouterr() == (SHOWN + "\n", SHOWN + "\n")


@pytest.mark.parametrize("cell", [HOSTILE, Text(HOSTILE)])
def test_cells_titles_and_captions_show_it_too(cell: str | Text, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(title=cell, caption=cell)
    table.add_column(cell, overflow="fold")
    table.add_row(cell)
    print_table(table)
    printed = capsys.readouterr().out
    assert not set("\x1b\u202e\x9b") & set(printed)
    assert printed.replace("\n", "").count("a\\x1b[31m") == 4


def test_a_narrow_cell_folds_what_is_longer_as_an_escape(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table(box=None, padding=0, show_header=False)
    table.add_column(overflow="fold", width=10)
    table.add_row(Text(HOSTILE))
    out.print(table)
    assert "".join(line.strip() for line in capsys.readouterr().out.splitlines()) == SHOWN


def test_json_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"name": HOSTILE + "\x7f\udcff"}
    print_json(value)
    print_json_text(json.dumps(value))
    first, second = capsys.readouterr().out.split("}", 1)
    assert json.loads(first + "}") == json.loads(second) == value


@pytest.mark.parametrize("width", [30, 60])
def test_a_table_too_wide_is_told_row_by_row(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out, "_width", width)
    table = Table(title="a title", caption="a caption")
    table.add_column("method\nrank", overflow="fold")
    for number in range(6):
        table.add_column(f"number {number}\nunit", no_wrap=True)
    table.add_row("fine-tune\n#1", *(f"{number}.123456\n[0.1,0.2]" for number in range(5)), "")
    print_table(table)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= width
    told = " ".join(" ".join(lines).split())
    assert "a title" in told
    assert "a caption" in told
    assert "fine-tune #1 number 0 unit: 0.123456 [0.1,0.2] number 1 unit: 1.123456 [0.1,0.2]" in told
    assert "number 5" not in told  # of which there is none


def scores_table() -> Table:
    """One row of three columns, 8 + 1 + 10 + 1 + 10 wide."""
    table = Table(title="a title that is longer than its table", box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for name in ("method", "difference", "± interval"):
        table.add_column(name, no_wrap=True)
    table.add_row("finetune", "0.5±0.1", "1")
    return table


def test_a_narrow_terminal_does_without_columns_that_can_be_spared(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out, "_width", 25)
    print_table(scores_table(), ["difference", "± interval"])
    printed = capsys.readouterr().out
    assert "(without difference: as a table of all" in printed.replace("\n", " ")
    assert printed.count("difference") == 1
    assert "± interval" in printed


def test_a_title_is_as_wide_as_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(scores_table())
    assert capsys.readouterr().out.splitlines()[0] == "a title that is longer than its table"


def test_rows_told_one_by_one_are_apart(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out, "_width", 20)
    table = scores_table()
    table.add_row("scrub", "0.2", "2")
    print_table(table)
    assert "\n\nscrub\n  difference: 0.2\n" in capsys.readouterr().out


def test_a_table_in_ascii_has_no_bars_and_its_columns_stand_below_their_heads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(out, "_file", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    print_table(scores_table())
    head, ruler, row = raw.getvalue().decode("ascii").splitlines()[1:]
    assert "|" not in head + row
    assert set(ruler) == {"-"}
    assert head.index("+- interval") == row.index("1", row.index("0.5+-0.1") + 8)


@pytest.mark.parametrize("width", [60, 80])
def test_a_long_line_is_wrapped_at_words_where_lines_have_an_end(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(out, "_width", width)
    monkeypatch.setattr(err, "_width", width)
    text = f"  PASS  check: {'some words, ' * 20}and a/path/that-is-{'long/' * 20}as one"
    print_text(text, 8)
    say_text(text, 8)
    for printed in capsys.readouterr():
        lines = printed.splitlines()
        assert lines[0].startswith("  PASS  check: some words,")
        assert all(line.startswith(" " * 8) and line[8] != " " for line in lines[1:])
        assert all(len(line) <= width or "long/long/" in line for line in lines)
        assert " ".join(printed.split()) == " ".join(text.split())  # nothing is cut


def test_a_long_line_stays_one_where_nobody_knows_an_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(out, "_width", 80)  # as it stays where COLUMNS was there once
    print_text("word " * 100 + HOSTILE, 8)
    assert capsys.readouterr().out == "word " * 100 + SHOWN + "\n"


def test_a_table_that_fits_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table()
    table.add_column("name", overflow="fold")
    table.add_column("number", no_wrap=True)
    table.add_row("x" * 300, "1.5")  # which is folded
    print_table(table)
    printed = capsys.readouterr().out
    assert "row by row" not in printed
    assert printed.count("x") == 300


def test_results_are_alone_and_the_output_is_given_back(capsys: pytest.CaptureFixture[str]) -> None:
    with results_alone():
        print("noise")
        print_line("result")
    print_line("after")
    assert capsys.readouterr() == ("result\nafter\n", "noise\n")


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out, "quiet", False)  # and so it is again afterwards
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(out, "_file", full)
        with pytest.raises(StoreError, match=r"cannot write the result: No space left on device"):
            print_line("result")
        print_line("more")  # in silence


def test_a_part_is_not_called_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine("attack") as watch:
        watch(4, 4, "victims")
    with ProgressLine("bench", whole=True) as watch:
        watch(2, 2, HOSTILE)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "attack: 4/4 done, 0 s left of this part (victims)"
    assert second == f"bench: 2/2 done, 0 s left ({SHOWN})"


def test_a_watch_tells_what_it_is_told_to_expect(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    line = ProgressLine("bench", whole=True)
    with line as watch:
        line.expect(lambda: 83.0)
        now[0] = 106.0
        watch(1, 9, "x")
        line.expect(None)
        now[0] = 112.0
        watch(2, 9, "x")
    assert capsys.readouterr().err.splitlines() == [
        "bench: 1/9 done, 1 min 23 s left (x)",
        "bench: 2/9 done, 42 s left (x)",
    ]


def test_one_long_job_is_not_silent(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("expunge.terminal._SILENCE", 0.05)
    with ProgressLine("bench", whole=True):
        time.sleep(0.3)
    assert capsys.readouterr().err.splitlines()[0] == "bench: at work, 0 s so far"


def test_the_consoles_read_no_markup() -> None:
    file = io.StringIO()
    out.file = file
    try:
        out.print("[bold]x[/] :smile:")
    finally:
        out.file = None  # type: ignore[assignment]
    assert file.getvalue() == "[bold]x[/] :smile:\n"


def test_a_late_line_says_nothing_of_quick_work_and_tells_of_long_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(LateLine, "FIRST", 0.05)
    monkeypatch.setattr(LateLine, "NEXT", 0.05)
    with LateLine("pretrain"):
        time.sleep(0.15)  # no work begins: all is in the store
    assert capsys.readouterr().err == ""
    with LateLine("pretrain") as line:
        line.expect(lambda: 61.0)
        line(1, 4, "pretrained, models from 0")
        time.sleep(0.2)
        line.expect(None)
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("pretrain: 1/4 done, 0 s so far, about 1 min 1 s left (pretrained, models from 0)")
    time.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_a_late_line_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(LateLine, "FIRST", 0.01)
    monkeypatch.setenv("EXPUNGE_PROGRESS", "off")
    with LateLine("pretrain") as line:
        line.begin()
        time.sleep(0.1)
    assert capsys.readouterr().err == ""

"""Tables for papers: what they mark, what reads back, and what no name can break."""

import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from expunge.bench.run_info import RunInfo, SetInfo
from expunge.records import Score, Subject
from expunge.reports.papers.flat_records import NAMES, to_csv
from expunge.reports.papers.markup import APART, NONE, SMALL, plain_latex, to_latex, to_markdown
from expunge.reports.papers.paper_tables import PaperTable, paper_tables
from tests.records import changed
from tests.reports.synthetic import score, scores

EVIL = ["a_b & c%d#$~^{}\\", "[x](http://y)", "**b**|`c`<i>", "é中\u200b…’", "\\input{/etc/passwd}"]


def ranked(*groups: tuple[str, int]) -> list[Score]:
    """The records of a forget set, with ranks of some methods."""
    ranks = [score(method=name, metric="rank", aggregate="group", value=g, low=g, high=g) for name, g in groups]
    return [changed(each, budget=0.15) for each in [*scores("random-12"), *ranks]]


def tables(*groups: tuple[str, int]) -> list[PaperTable]:
    return paper_tables(ranked(*groups), RunInfo(forget_sets={"random-12": SetInfo(size=12)}))


def test_the_best_and_what_is_not_told_from_it_are_marked() -> None:
    found = tables(("neg-grad-plus", 1), ("scrub", 1), ("fine-tune", 2))
    text = to_markdown(found)
    assert "| **neg-grad-plus** |" in text
    assert "| scrub † |" in text
    assert "| fine-tune |" in text
    latex = to_latex(found)
    assert "\\textbf{neg-grad-plus} &" in latex
    assert "scrub$^\\dagger$ &" in latex


def test_without_ranks_none_is_best() -> None:
    text = to_markdown(tables())
    assert "No row has a rank" in text
    assert "| **" not in text
    assert " † |" not in text


def test_the_caption_proves_what_was_measured() -> None:
    (found,) = tables(("scrub", 1))
    for words in (
        "random-12 (12 examples): 24 models against 24 oracles",
        "at most 15 % of a retraining",
        "Suite 5f2c5f2c5f2c5f2c, expunge 0.1.0",
    ):
        assert words in found.caption
    assert any("newton: failed: diverged at epoch 2" in note for note in found.notes)


def test_the_caption_names_rows_of_other_settings_and_says_what_the_mark_of_a_cost_is() -> None:
    by_hand = {"scrub": "default; set: lr", "fine-tune": "tuned for random, 15 %, nothing found so cheap"}
    records = [
        changed(each, tuning=by_hand.get(each.subject.method, "tuned for random, 15 %"), cost=0.4)
        for each in ranked(("scrub", 1))
    ]
    (found,) = paper_tables(records, RunInfo(), lambda name: name.upper())
    assert "Other settings: " in found.caption
    assert "SCRUB: default; set: lr" in found.caption
    assert "FINE-TUNE: tuned for random, 15 %, nothing found so cheap" in found.caption
    assert "NEG-GRAD-PLUS" not in found.caption
    assert "↑: costs more than the budget." in found.caption


def test_negative_numbers_have_a_minus_and_names_their_hyphens() -> None:
    records = [changed(each, method="a-b") for each in scores("random-12")[:1]]
    line = paper_tables(records, RunInfo())[0].lines[0]
    moved = replace(line, cells=(("-0.01", ""), *line.cells[1:]))
    table = replace(paper_tables(records, RunInfo())[0], lines=(moved,))
    assert "a-b & $-$0.01 &" in to_latex([table])


@pytest.mark.parametrize(("intervals", "columns"), [(SMALL, 11), (APART, 19), (NONE, 11)])
def test_every_line_has_as_many_cells(intervals: str, columns: int) -> None:
    found = tables(("scrub", 1))
    rows = [line for line in to_latex(found, intervals).splitlines() if " & " in line]
    assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in rows} == {columns}
    piped = [line for line in to_markdown(found, intervals).splitlines() if line.startswith("|")]
    assert {line.count("|") - 1 for line in piped} == {columns}
    assert ("±" in piped[-2]) == (intervals == SMALL)


def read_back(text: str) -> list[Score]:
    """The records of a CSV, each cell as the type of its field has it."""
    return [a_record(row) for row in csv.DictReader(io.StringIO(text))]


def a_record(row: dict[str, str]) -> Score:
    subject = {each.name: a_value(row[each.name], Subject, each.name) for each in fields(Subject)}
    own = {
        each.name: a_value(row[NAMES.get(each.name, each.name)], Score, each.name)
        for each in fields(Score)
        if each.name not in ("subject", "schema")
    }
    return Score(subject=Subject(**subject), **own)


def a_value(text: str, of: type, name: str) -> Any:
    wanted = get_type_hints(of)[name]
    kinds = get_args(wanted) or (wanted,)
    if type(None) in kinds and text == "":
        return None
    number = next((kind for kind in (int, float) if kind in kinds), None)
    return json.loads(text) if text.startswith("{") else number(text) if number else text


def test_csv_reads_back_equal_to_the_records() -> None:
    records = [changed(each, config={"lr": 0.1, "on": True}) for each in ranked(("scrub", 1))]
    records.append(changed(records[0], method='a "b", c', reason="x; y, z", value=0.1 + 0.2, low=None, high=None))
    assert read_back(to_csv(records)) == records


def test_names_are_never_obeyed() -> None:
    records = [changed(each, forget_set=EVIL[0], method=EVIL[1], reason=EVIL[2]) for each in scores("random-12")[:1]]
    text = to_markdown(paper_tables(records, RunInfo()))
    assert "[x](" not in text.replace("\\[x\\](", "")
    assert "<i>" not in text
    assert plain_latex("100 % of a_b & #1 $x {y} \\z") == "100 \\% of a\\_b \\& \\#1 \\$x \\{y\\} \\textbackslash{}z"
    assert plain_latex("中").isascii()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed: texlive-latex-recommended")
@pytest.mark.parametrize("intervals", [SMALL, APART, NONE])
def test_latex_compiles_whatever_names_hold(intervals: str, tmp_path: Path) -> None:
    records = ranked(("scrub", 1), ("fine-tune", 1))
    named: Sequence[Score] = [
        changed(each, method=f"{name}{each.subject.method}", reason=f"{name}: {each.reason}", cost=0.9)
        for name in ["", *EVIL]
        for each in records
        if name == "" or each.subject.method == "newton"
    ]
    body = to_latex(paper_tables(named, RunInfo()), intervals)
    head = "\\documentclass{article}\n\\usepackage{booktabs,graphicx}\n\\begin{document}\n"
    (tmp_path / "paper.tex").write_text(f"{head}{body}\\end{{document}}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=120)
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said[-2000:]
    assert "Overfull \\hbox" not in said
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000

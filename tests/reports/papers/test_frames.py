"""Frames and notebooks: no column hides what a DataFrame has, and the example notebook runs."""

import ast
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

import expunge as xp
from expunge.errors import BadSetting, StoreError
from expunge.records import read_scores
from tests.reports.synthetic import EXAMPLES, MODELS, P95, write_bench

NOTEBOOK = Path(__file__).parents[3] / "examples/papers.ipynb"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bench(tmp_path_factory.mktemp("frames") / "out")


def frames(out: Path) -> list[Any]:
    run = xp.open_run(out)
    return [
        xp.frame(run),
        xp.frame(run.forget_set("class-3")),
        xp.frame(xp.compare(run, "scrub", "fine-tune", forget_set="class-3")),
    ]


def test_no_column_hides_what_a_frame_has(out: Path) -> None:
    for frame in frames(out):
        assert not set(frame.columns) & set(dir(pandas.DataFrame))
        for name in frame.columns:
            assert getattr(frame, name).equals(frame[name])


def test_a_frame_of_scores_has_a_line_for_each_number(out: Path) -> None:
    scores = read_scores(out / "scores.jsonl")
    frame = xp.frame(scores)
    assert len(frame) == len(scores)
    assert frame.value.dropna().tolist() == [each.value for each in scores if each.value is not None]
    assert set(frame[frame.status == "failed"].method) == {"newton"}


def test_a_frame_of_a_forget_set_has_every_example_of_every_method(out: Path) -> None:
    found = xp.open_run(out).forget_set("class-3")
    frame = xp.frame(found)
    assert set(frame.method) == {*P95, "identity", "oracle"}
    scrub = frame[frame.method == "scrub"]
    assert scrub.example.tolist() == list(range(EXAMPLES))
    assert scrub[scrub.split == "forget"].example.tolist() == found.splits["forget"].tolist()
    kept = found.values("scrub", "klom")
    assert kept is not None
    assert np.array_equal(scrub.klom, kept)


def test_margins_are_mapped_and_cannot_be_written_to(out: Path) -> None:
    margins = xp.open_run(out).forget_set("class-3").margins("scrub")
    assert isinstance(margins, np.memmap)
    assert margins.shape == (MODELS, EXAMPLES)
    assert np.array_equal(margins, np.load(out / "arrays/class-3/scrub.npz")["margins"])
    with pytest.raises(ValueError, match="read-only"):
        margins[0, 0] = 0


def test_what_a_notebook_shows_is_text_and_not_markup(out: Path) -> None:
    assert "<td>scrub</td>" not in (shown := xp.open_run(out)._repr_html_())
    assert "class-3" in shown
    assert "random-50" in xp.load_suite("digits")._repr_html_()
    assert "<td>forget</td>" in xp.compare(xp.open_run(out), "scrub", "noise", forget_set="class-3")._repr_html_()


def test_without_pandas_one_line_says_which_extra(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(BadSetting, match=r"frames need pandas; run pip install -e '\.\[frames\]'"):
        xp.frame(xp.open_run(out))


def test_what_is_no_score_is_refused() -> None:
    with pytest.raises(BadSetting, match="expected scores, an opened run"):
        xp.frame.__wrapped__(["scrub"])  # type: ignore[attr-defined]  # users have no check of annotations


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist; run `expunge bench"):
        xp.open_run(tmp_path)


def cells() -> list[str]:
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert found["nbformat"] == 4
    code = [each for each in found["cells"] if each["cell_type"] == "code"]
    assert not any(each["outputs"] for each in code)
    return ["".join(each["source"]) for each in code]


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    known: dict[str, Any] = {}
    shown = []
    for source in cells():
        tree = ast.parse(source.replace("MODELS = 20", "MODELS = 4"))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, str(NOTEBOOK), "exec"), known)
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), known))
    assert known["MODELS"] == 4
    suite, run, table, comparison, worst, means, files = shown
    assert suite.name == "digits"
    assert run.scores
    assert table.loc["identity", "forget"] > table.loc["oracle", "forget"]
    assert comparison.paired
    assert len(worst) == len(means) == 3
    assert "methods-by-sets.html" in files
    assert "\\begin{table}" in capsys.readouterr().out

"""The page: what it says, what it never does, and what it makes of damaged folders."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expunge.errors import StoreError, UserError
from expunge.records import SPLITS, write_scores
from expunge.reports import report
from expunge.reports.page.html import inline_script
from tests.records import changed
from tests.reports.synthetic import score, scores, scores_of

EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Tags with their attributes, the text outside scripts and styles, and the scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts[-1] += data
        elif self.inside != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(path: Path) -> Page:
    return Page(path.read_text())


def data(page: Page) -> dict[str, dict[str, object]]:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    found: dict[str, dict[str, object]] = json.loads(page.scripts[0], parse_constant=refuse)
    return found


def test_the_page_says_what_matters(bench: Path) -> None:
    page = read(report(bench))
    for words in (
        "24 models against 24 oracles",
        "breaks the model",
        "diverged at epoch 2",
        "[0.18, 0.20]",
        "9.30*",
        "drift 0.08",
    ):
        assert words in page.text
    assert "The oracles never saw class 3 and are wrong" in page.text  # the note of run.json
    assert "expunge bench digits --models 24" in page.text


def test_the_page_says_once_that_a_p95_of_few_examples_is_the_maximum(bench: Path) -> None:
    text = report(bench).read_text()
    assert text.count("(nearly) the maximum") == 1
    assert "forget of random-12 (12)" in text


def test_the_page_asks_nothing_of_the_network(bench: Path) -> None:
    path = report(bench)
    page = read(path)
    for _, attributes in page.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png"))
    policy = next(attributes for tag, attributes in page.tags if tag == "meta" and "http-equiv" in attributes)
    assert str(policy["content"]).startswith("default-src 'none'")
    assert "sourceMappingURL" not in path.read_text()
    style = path.read_text().split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_the_data_is_json_and_complete(bench: Path) -> None:
    drawn = data(read(report(bench)))
    assert set(drawn["plots"]) == {f"set-{place}-{split}" for place in (0, 1) for split in SPLITS}
    assert len(drawn["margins"]) == 6
    example = drawn["margins"]["set-0-x0"]
    assert isinstance(example, dict)
    assert [sum(counts) for counts in example["scrub"]["counts"]] == [24, 24, 24]


def test_ids_on_the_page_and_in_the_data_agree(bench: Path) -> None:
    page = read(report(bench))
    drawn = data(page)
    plots = {attributes["id"] for _, attributes in page.tags if attributes.get("class") == "plot"}
    assert plots == {*drawn["plots"], *drawn["margins"]}


def test_names_cannot_become_markup(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"cost": 0.1, "reason": EVIL}
    records = list(scores_of(EVIL, EVIL, {"forget": 1.0, "retain": 0.7, "test": 0.7}, **changes))
    records.append(score(method="b", forget_set=EVIL, status="failed", value=None, reason=EVIL))
    path = report(records, tmp_path)
    page = read(path)
    assert page.text.count(EVIL) >= 5
    assert not any("alert" in script for script in page.scripts[1:])
    assert EVIL not in path.read_text()
    assert EVIL in page.scripts[0].encode().decode("unicode_escape")


def test_a_script_cannot_end_its_element() -> None:
    assert inline_script("x='</SCRIPT >';y='<!-- <script'") == "x='<\\/SCRIPT >';y='<\\!-- <script'"


def test_what_was_not_measured_is_a_dash_never_nought(tmp_path: Path) -> None:
    page = read(report([score(cost=None, seconds=None, low=None, high=None)], tmp_path))
    table = page.text.split("s per model")[1].split("examples furthest")[0]
    assert table.count("–") >= 8
    assert not {"0", "0.0", "0.00", "0 %"} & set(table.split())


def test_missing_arrays_are_said(bench: Path) -> None:
    for file in (bench / "arrays" / "class-3").iterdir():
        file.unlink()
    page = read(report(bench))
    assert page.text.count("histograms are not drawn") == 1
    assert len(data(page)["margins"]) == 3


def test_arrays_of_a_method_from_a_file_are_found(bench: Path) -> None:
    final = [changed(each, method="a/b.py:f") for each in scores("random-12") if each.subject.method == "scrub"]
    write_scores(bench / "scores.jsonl", [*scores("random-12"), *final])
    folder = bench / "arrays" / "random-12"
    (folder / "a%2Fb.py%3Af.npz").write_bytes((folder / "scrub.npz").read_bytes())
    example = data(read(report(bench)))["margins"]["set-0-x0"]
    assert isinstance(example, dict)
    assert example["a/b.py:f"] == example["scrub"]


def test_a_class_forget_set_is_explained_without_a_note_too(bench: Path) -> None:
    (bench / "run.json").unlink()
    text = read(report(bench)).text
    assert text.count("The test set holds class 3 too") == 1
    assert "2.91 for identity, in sd of the oracles, against a floor of 0.20" in text


def test_the_first_choice_is_the_method_that_reads_best(bench: Path) -> None:
    options = [attributes for tag, attributes in read(report(bench)).tags if tag == "option"]
    assert [option["value"] for option in options if "selected" in option] == ["neg-grad-plus"] * 2


def test_the_page_is_the_same_each_time_and_small(bench: Path) -> None:
    first = report(bench).read_bytes()
    assert report(bench).read_bytes() == first
    assert len(first) < 3_000_000
    assert not [file for file in bench.iterdir() if "part" in file.name]


def test_scores_make_a_folder_of_their_own(tmp_path: Path) -> None:
    path = report(scores("random-12"), tmp_path / "report")
    assert path == tmp_path / "report" / "report.html"
    assert report(tmp_path / "report").read_bytes() == path.read_bytes()
    assert "margins of this forget set were not kept" in read(path).text


def test_a_page_can_go_elsewhere(bench: Path, tmp_path: Path) -> None:
    assert report(bench, tmp_path / "site").is_file()
    assert not (bench / "report.html").exists()


def test_scores_never_replace_those_of_a_bench(bench: Path) -> None:
    before = (bench / "scores.jsonl").read_bytes()
    with pytest.raises(UserError, match="choose another folder"):
        report([score()], bench)
    assert (bench / "scores.jsonl").read_bytes() == before


def test_scores_want_a_folder() -> None:
    with pytest.raises(UserError, match="expected a folder"):
        report([score()])


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        report(scores("one"), tmp_path / "file")


def test_no_scores_are_no_report(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no score at all"):
        report([], tmp_path)


def test_a_folder_without_scores_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"does not exist; run `expunge bench"):
        report(tmp_path / "nowhere")


def test_an_unfinished_bench_is_said(bench: Path) -> None:
    (bench / "scores.jsonl").write_text("")
    with pytest.raises(StoreError, match="is empty"):
        report(bench)


@pytest.mark.parametrize("name", ["reference", "scrub"])
@pytest.mark.parametrize("keep", [0, 100, -40])
def test_a_cut_off_array_is_named(bench: Path, name: str, keep: int) -> None:
    file = bench / "arrays" / "random-12" / f"{name}.npz"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(StoreError, match=rf"{name}\.npz is damaged"):
        report(bench)


def test_an_array_of_other_examples_is_named(bench: Path) -> None:
    np.savez(bench / "arrays" / "random-12" / "scrub.npz", margins=np.zeros((3, 4)))
    with pytest.raises(StoreError, match=r"scrub\.npz is damaged: margins has shape \(3, 4\)"):
        report(bench)


def test_pickles_are_not_loaded(bench: Path) -> None:
    np.savez(bench / "arrays" / "random-12" / "scrub.npz", margins=np.array([object()]))
    with pytest.raises(StoreError, match=r"scrub\.npz is damaged"):
        report(bench)


def test_a_damaged_run_file_is_named(bench: Path) -> None:
    (bench / "run.json").write_text('{"notes": 3}')
    with pytest.raises(StoreError, match=r"run\.json cannot be read: notes"):
        report(bench)


def test_a_curve_of_another_suite_is_refused(bench: Path) -> None:
    write_scores(bench / "curve.jsonl", [score(suite_digest="0" * 64)])
    with pytest.raises(StoreError, match=r"curve\.jsonl is of another suite"):
        report(bench)

"""Figures: the plots of the report in files, by the same Vega-Lite, and who may not be drawn."""

import re
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from expunge.bench.opened import open_run
from expunge.errors import BadSetting
from expunge.reports.page import html
from expunge.reports.papers.figures import STEPS, Wanted, draw_figures, figures
from expunge.reports.papers.pictures import VEGA_LITE, require_drawable
from tests.reports.synthetic import MODELS, write_bench


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bench(tmp_path_factory.mktemp("figures") / "out")


def test_there_is_a_plot_of_each_set_and_split_and_one_of_all_sets(out: Path) -> None:
    names = [name for name, _ in figures(open_run(out), Wanted())]
    assert names[0] == "methods-by-sets"
    assert {f"quality-{of}-{split}" for of in ("random-12", "class-3") for split in ("forget", "retain", "test")} < {
        *names
    }
    assert sum(name.startswith("margins-class-3-example-") for name in names) == 3


def test_chosen_examples_are_drawn_under_chosen_methods(out: Path) -> None:
    wanted = Wanted("class-3", [80, 1], ["scrub", "fine-tune"])
    found = {name: spec for name, spec in figures(open_run(out), wanted) if name.startswith("margins")}
    assert set(found) == {
        f"margins-class-3-example-{number}-{method}" for number in (80, 1) for method in ("scrub", "fine-tune")
    }
    data = found["margins-class-3-example-80-scrub"]["datasets"]
    for who in ("pretrained", "scrub", "oracle"):
        assert sum(each["count"] for each in data["bins"] if each["who"] == who) == MODELS
    assert all(each["base"] < each["top"] <= each["base"] + 1 for each in data["bins"])


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted("class-3", [90]), "expected an example of 0 to 89, train then test, got 90"),
        (Wanted("class-3", [-1]), "expected an example of 0 to 89, train then test, got -1"),
        (Wanted("class-4"), "'class-4'; did you mean 'class-3'?"),
        (Wanted(None, [1]), "expected --forget-set beside --example, one of random-12, class-3"),
        (Wanted("class-3", [1], ["newton"]), "unknown row with margins on 'class-3' 'newton'"),
    ],
)
def test_what_cannot_be_drawn_is_said(out: Path, wanted: Wanted, message: str) -> None:
    with pytest.raises(Exception, match=re.escape(message)):
        list(figures(open_run(out), wanted))


def test_the_map_of_methods_says_each_share_and_marks_what_breaks(out: Path) -> None:
    spec = dict(figures(open_run(out), Wanted("random-12")))["methods-by-sets"]
    cells = {cell["row"]: cell for cell in spec["data"]["values"]}
    assert cells["gradient-ascent"]["text"].startswith("✕ ")
    assert cells["fine-tune"]["text"] == "80 %"
    assert cells["fine-tune"]["shade"] == "60 to 90 %"
    assert cells["newton"]["text"] == "! –"
    assert "oracle" not in cells


def test_a_map_of_one_set_is_no_wider_than_its_cell_needs(out: Path, tmp_path: Path) -> None:
    files = draw_figures(open_run(out), tmp_path, "svg", 1000, Wanted("class-3"))
    wide = {file.stem: int(re.search(r'<svg[^>]* width="(\d+)', file.read_text())[1]) for file in files}  # type: ignore[index]
    assert wide["methods-by-sets"] == 420
    assert wide["quality-class-3-forget"] == 1000


def test_shades_grow_lighter_in_grey() -> None:
    fills = [shade.fill for _, shade in STEPS.values()]
    grey = [sum(int(fill[at : at + 2], 16) * part for at, part in ((1, 0.3), (3, 0.59), (5, 0.11))) for fill in fills]
    assert all(lighter - darker > 20 for darker, lighter in pairwise(grey))


def test_pictures_are_drawn_by_the_vega_lite_of_the_report() -> None:
    import vl_convert

    script = (Path(html.__file__).with_name("vendor") / "vega-lite.min.js").read_text(encoding="utf-8")
    assert f'="{VEGA_LITE}.' in script[:400]
    assert VEGA_LITE in vl_convert.get_vegalite_versions()


@pytest.mark.parametrize(("form", "start"), [("svg", b"<svg"), ("pdf", b"%PDF"), ("png", b"\x89PNG")])
def test_a_figure_is_a_file_of_its_format(out: Path, tmp_path: Path, form: str, start: bytes) -> None:
    files = draw_figures(open_run(out), tmp_path / "figures", form, 400, Wanted("class-3", [1], ["scrub"]))
    assert len(files) == 5
    assert all(file.read_bytes().startswith(start) for file in files)


def test_without_the_package_one_line_says_which_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(BadSetting, match=r"need vl-convert-python; run pip install -e '\.\[figures\]'"):
        require_drawable("pdf", 700)
    require_drawable("html", 700)


def test_methods_look_the_same_whatever_sets_are_drawn(out: Path) -> None:
    colors = []
    for wanted in (Wanted(), Wanted("class-3")):
        spec = dict(figures(open_run(out), wanted))["quality-class-3-forget"]
        colors.append({each["name"]: each["color"] for each in spec["layer"][-1]["data"]["values"]})
    assert colors[0] == colors[1]

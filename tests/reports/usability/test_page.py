"""The page and the tables of an attack: every number once, and nothing that is not there."""

from pathlib import Path

import numpy as np
import pytest

from expunge import Suite
from expunge.errors import StoreError
from expunge.records import write_scores
from expunge.reports.usability import render_usability, report_usability
from expunge.terminal import out
from tests.reports.usability.synthetic import attack_of


@pytest.fixture
def folder(tiny_suite: Suite, tmp_path: Path) -> Path:
    write_scores(tmp_path / "scores.jsonl", attack_of(tiny_suite))
    return tmp_path


def test_the_page_has_answers_tables_and_plots(folder: Path) -> None:
    page = report_usability(folder, "expunge attack usability tiny").read_text()
    for text in (
        "Is it the data or the method?",
        "amnesiac, epochs=0",
        "pixel-grid",
        "lost-shuffled",
        "rounds-shuffled",
    ):
        assert text in page
    assert "condensed record of class" not in page  # of a table there are no pictures


@pytest.mark.parametrize("shape", [(2, 4, 4), (2, 4, 4, 3)])
def test_pictures_are_shown_grey_or_in_colour(folder: Path, shape: tuple[int, ...]) -> None:
    pictures = np.random.default_rng(0).random(shape)
    np.savez(folder / "pictures.npz", condensed=pictures, real=pictures, labels=np.array([0, 7]))
    page = report_usability(folder).read_text()
    assert page.count("condensed record of class 7") == page.count("real record of class 7") == 1
    assert page.count("data:image/png;base64,") == 4


def test_the_page_asks_nothing_of_a_network(folder: Path) -> None:
    page = report_usability(folder).read_text()
    assert "default-src 'none'" in page
    assert 'src="http' not in page


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="expunge attack usability"):
        report_usability(tmp_path)


def test_damaged_pictures_are_said(folder: Path) -> None:
    (folder / "pictures.npz").write_bytes(b"torn")
    with pytest.raises(StoreError, match=r"pictures\.npz cannot be read"):
        report_usability(folder)


def test_tables_fit_eighty_columns(tiny_suite: Suite) -> None:
    with out.capture() as captured:
        for part in render_usability(attack_of(tiny_suite)):
            out.print(part, width=80)
    text = captured.get()
    assert max(map(len, text.splitlines())) <= 80
    for word in ("shuffled batches", "retraining", "50.0", "pixel-grid", "Who notices?"):
        assert word in text
    assert "30.0*" in text

"""The page on paper: A4, tables as tables, and nothing beyond the edge."""

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from expunge.reports import report
from expunge.reports.page import html
from tests.reports.synthetic import scores
from tests.reports.tables.test_classic import classic

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SETS = [f"memorised-{number}" for number in range(8)]
WORD = re.compile(r'xMin="([\d.]+)" yMin="[\d.]+" xMax="([\d.]+)" yMax="[\d.]+">(.*)</word>')


def printed(page: Path) -> str:
    """The words of a page as they stand on paper, with their places."""
    pdf = page.with_suffix(".pdf")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", f"--print-to-pdf={pdf}"]
    subprocess.run([str(CHROMIUM), *options, f"file://{page}"], check=True, capture_output=True, timeout=120)
    return subprocess.run(["pdftotext", "-bbox", pdf, "-"], check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is not installed: poppler-utils")
def test_on_paper_no_column_is_cut_off(tmp_path: Path) -> None:
    records = [each for name in SETS for each in scores(name)]
    named = sorted({each.subject.method for each in records if each.status == "ok"})
    records += [each for of in SETS for name in named for each in classic(name, forget_set=of)]
    text = printed(report(records, tmp_path))
    [(width, height)] = set(re.findall(r'<page width="(\d+)[\d.]*" height="(\d+)[\d.]*">', text))
    assert (int(width), int(height)) in [(841, 594), (842, 595)]  # A4, landscape
    words = [(float(right), word) for _, right, word in WORD.findall(text)]
    assert max(right for right, _ in words) < 842 - 20
    seen = Counter(word for _, word in words)
    for heading in ("ToW", "run", "retraining", "closed"):  # of the last columns of both tables, on every set
        assert seen[heading] >= len(SETS), heading
    assert all(seen[name] >= 2 for name in SETS)  # in the summary, and over its own tables


def test_what_is_made_for_narrow_screens_is_not_for_paper() -> None:
    style = Path(html.__file__).with_name("templates").joinpath("report.css").read_text(encoding="utf-8")
    queries = re.findall(r"@media ([^{]+) \{", style)
    assert "print" in queries
    assert all(query == "print" or query.startswith("screen and") for query in queries)

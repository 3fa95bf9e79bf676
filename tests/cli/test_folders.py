"""What commands make of folders: tables printed again, hostile names, damage and full disks, each in one line."""

import errno
import json
import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from expunge import Suite
from expunge.ensembles import Plan, read_margins
from expunge.errors import StoreError
from expunge.methods.searches import write_search
from expunge.records import read_scores, write_scores
from tests.cli.commands import DEFAULTS, SMALL, refused, run
from tests.records import changed
from tests.reports.synthetic import scores, write_bench
from tests.reports.usability.synthetic import attack_of
from tests.searches import a_search

pytestmark = pytest.mark.usefixtures("common_store")

EVIL = ["../../x", "/abs/x", "<script>alert(1)</script>", "a|b`c`", "[x](http://y)", "**b** <img src=x>"]
ONE = [*SMALL, "--method", "gradient-ascent", *DEFAULTS]


def test_report_prints_the_tables_of_the_bench_again(tmp_path: Path) -> None:
    benched = run("bench", "digits", *ONE, "--out", tmp_path / "out")
    again, more = run("report", tmp_path / "out"), run("report", tmp_path / "out", "--metric", "klom")
    assert benched.returncode == again.returncode == 0
    assert "random-10" in benched.stdout
    page = tmp_path / "out/report.html"
    assert again.stdout.replace("\n", "") == f"{benched.stdout}{page}".replace("\n", "")
    assert "random-10: metrics" in more.stdout
    assert "unknown metric 'klon'" in refused(run("report", tmp_path / "out", "--metric", "klon"))
    assert json.loads(run("report", tmp_path / "out", "--json").stdout) == {"report": str(page)}


def test_arrays_that_were_deleted_are_spoken_of_and_the_dates_are_those_of_the_runs(tmp_path: Path) -> None:
    """The tables are there all the same; a file's own date is that of its copy."""
    out = tmp_path / "out"
    run("bench", "digits", *ONE, "--out", out)
    os.utime(out / "scores.jsonl", (0, 0))
    run("report", out)
    assert "1970-01-01" not in (out / "report.html").read_text()
    for file in ("reference", "gradient-ascent"):
        (out / f"arrays/random-10/{file}.npz").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("always")  # the command prints them
        done = run("report", out)
        added = run("leaderboard", tmp_path / "results", "--add", out)
    assert (done.returncode, added.returncode) == (2, 0)
    assert "random-10: 4 models" in done.stdout
    assert "gradient-ascent.npz and 1 more are not there, so that a page shows less" in done.stderr
    assert "not there" not in added.stderr  # records are all that it reads
    assert run("bench", "digits", *ONE, "--out", out).returncode == 0  # what the line advises
    assert run("report", out).returncode == 0


@pytest.fixture
def attacked(tiny_suite: Suite, tmp_path: Path) -> Path:
    (tmp_path / "attack").mkdir()
    write_scores(tmp_path / "attack/scores.jsonl", attack_of(tiny_suite))
    return tmp_path / "attack"


def test_report_prints_the_tables_of_an_attack_again(attacked: Path) -> None:
    done = run("report", attacked)
    assert done.returncode == 0, done.stderr
    assert "Is it the data or the method?" in done.stdout
    assert done.stdout.rstrip().endswith("report.html")


def test_an_attack_has_no_place_in_a_leaderboard(attacked: Path, tmp_path: Path) -> None:
    line = refused(run("leaderboard", tmp_path / "results", "--add", attacked))
    assert "holds the records of an attack" in line
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("keep", [1, 3, 10])
def test_records_of_an_attack_that_lack_some_are_one_line(keep: int, attacked: Path) -> None:
    found = [changed(each, config={"attack.generator": "dm"}) for each in read_scores(attacked / "scores.jsonl")]
    write_scores(attacked / "scores.jsonl", found[:keep])
    assert "scores.jsonl lacks records of the attack" in refused(run("report", attacked))


def test_a_damaged_record_of_an_attack_is_one_line(attacked: Path) -> None:
    file = attacked / "scores.jsonl"
    file.write_bytes(file.read_bytes().replace(b"tiny", b"t\xffny", 1))
    assert "scores.jsonl:1 is no score record: " in refused(run("report", attacked))


@pytest.mark.parametrize("field", ["suite", "forget_set", "method"])
@pytest.mark.parametrize("name", EVIL)
def test_names_in_records_lead_nowhere_and_are_no_markup(field: str, name: str, tmp_path: Path) -> None:
    place = tmp_path / "a/b"
    (place / "out").mkdir(parents=True)
    found = [
        changed(each, **{field: name}) if field != "method" or each.subject.method == "scrub" else each
        for each in scores("random-12")
    ]
    write_scores(place / "out/scores.jsonl", found)
    (tmp_path / "page.md").write_text(PAGE)
    done = run("leaderboard", place / "results", "--add", place / "out", "--readme", tmp_path / "page.md")
    assert done.returncode == 0, done.stderr
    assert {each.name for each in place.iterdir()} == {"out", "results"}
    assert {each.name for each in (tmp_path / "a").iterdir()} == {"b"}
    assert not Path("/abs").exists()
    for page in (place / "results/README.md", tmp_path / "page.md"):
        text = page.read_text()
        assert "<script" not in text
        assert "<img" not in text
        assert "](http" not in text
        assert "a|b" not in text
        assert "b`c`" not in text
        columns = {line.count("|") - line.count("\\|") for line in text.splitlines() if line.startswith("| ---")}
        rows = {line.count("|") - line.count("\\|") for line in text.splitlines() if line.startswith("| ")}
        assert rows == columns
    assert run("report", place / "out").returncode == 0
    html = (place / "out/report.html").read_text()
    assert name not in html.split("<body>")[1] or "<" not in name


PAGE = "<!-- leaderboard: made by `expunge leaderboard`, not by hand -->\n<!-- end of leaderboard -->\n"


@pytest.mark.parametrize("name", ["", ".", "..", "a\0b", "a\x1b[31mb", "a\nb"])
@pytest.mark.parametrize("field", ["suite", "forget_set", "method"])
def test_what_is_no_name_is_refused(field: str, name: str, tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.jsonl", [changed(each, **{field: name}) for each in scores("random-12")])
    commands: list[list[str | Path]] = [["report", tmp_path], ["leaderboard", tmp_path / "results", "--add", tmp_path]]
    for command in commands:
        assert "expected a name" in refused(run(*command))
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "changes",
    [{"models": -1}, {"value": -1.0, "low": -2.0, "high": 0.0}, {"low": 3.0, "high": 1.0}, {"cost": -1.0}],
)
def test_records_that_cannot_be_true_are_refused(changes: dict[str, float], tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.jsonl", [replace(scores("random-12")[0], **changes)])  # type: ignore[arg-type]
    commands: list[list[str | Path]] = [["report", tmp_path], ["leaderboard", tmp_path / "results", "--add", tmp_path]]
    for command in commands:
        assert "scores.jsonl:1 is no score record" in refused(run(*command))


def test_a_share_beyond_all_is_refused_where_the_metric_says_so(tmp_path: Path) -> None:
    accuracy = next(each for each in scores("random-12") if each.metric == "accuracy")
    write_scores(tmp_path / "scores.jsonl", [replace(accuracy, value=1.5, high=1.6)])
    assert "value: 1.5 is no share of examples" in refused(run("report", tmp_path))


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose disk is full: whatever is written below it fails at the last moment."""
    place, really = tmp_path / "full", os.replace
    place.mkdir()

    def replaced(source: str, target: str | Path) -> None:
        if place in Path(target).parents:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        really(source, target)

    monkeypatch.setattr(os, "replace", replaced)
    return place


def test_a_full_disk_is_one_line_and_leaves_nothing_half(full: Path, suite: Suite, tmp_path: Path) -> None:
    margins = np.array(read_margins(Plan(suite, "pretrained"), 150, 10).values)
    np.save(tmp_path / "m.npy", margins)
    bench = write_bench(tmp_path / "bench")
    commands: list[list[str | Path]] = [
        ["bench", "digits", *ONE, "--out", full / "bench"],
        ["score", "digits", "random-50", tmp_path / "m.npy", "--out", full / "score"],
        ["leaderboard", full / "results", "--add", bench],
    ]
    for command in commands:
        assert "No space left on device; make room or give another place" in refused(run(*command)), command
    write_bench_into(full / "report", bench)
    assert "No space left on device" in refused(run("report", full / "report"))
    left = [file.name for file in full.rglob("*") if file.is_file() and file.name != ".lock"]
    assert not [name for name in left if name.startswith(".")]
    with pytest.raises(StoreError, match="No space left on device"):
        write_search(full / "scrub.json", a_search(suite))


def write_bench_into(place: Path, bench: Path) -> None:
    place.mkdir()
    (place / "scores.jsonl").write_bytes((bench / "scores.jsonl").read_bytes())

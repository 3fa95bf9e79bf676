"""What goes into a paper, by the command: results on standard output, and one line for what cannot be had."""

import json
import re
import shutil
import warnings
from pathlib import Path

import pytest

from expunge import Suite
from expunge.records import SPLITS, write_scores
from tests.cli.commands import Done, refused, run
from tests.reports.synthetic import FLOOR_P95, NOTHING_P95, scores, scores_of, write_bench
from tests.reports.usability.synthetic import attack_of


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bench(tmp_path_factory.mktemp("papers") / "out")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "nowhere", "scrub", "fine-tune"], "nowhere/scores.jsonl does not exist; run `expunge bench"),
        (["compare", "OUT", "scrub", "fine-tun"], "'fine-tun'; did you mean 'fine-tune'?"),
        (["compare", "OUT", "scrub"], "expected two methods, or --all, got scrub"),
        (["compare", "OUT", "--all", "scrub"], "expected no method beside --all, got scrub"),
        (["compare", "OUT", "scrub", "scrub"], "expected two methods, got 'scrub' twice"),
        (["compare", "OUT", "scrub", "fine-tune", "--forget-set", "class-4"], "'class-4'; did you mean 'class-3'?"),
        (["compare", "OUT", "scrub", "fine-tune", "--out", "x"], "expected --out beside --all"),
        (["compare", "OUT", "--all", "--out", "x", "--format", "gif"], "unknown format 'gif'; choose from html, pdf"),
        (["compare", "OUT", "--all", "--out", "x", "--width", "10"], "expected a --width of 300 to 4000, got 10"),
        (["compare", "OUT", "scrub", "fine-tune", "--examples", "-1"], "a number of examples of 0 or more, got -1"),
        (["table", "nowhere"], "nowhere/scores.jsonl does not exist; run `expunge bench"),
        (["table", "OUT", "--format", "latec"], "unknown format 'latec'; did you mean 'latex'?"),
        (["table", "OUT", "--out", "x.pdf"], "--out x.pdf: a table is text; expected a file such as x.tex"),
        (["table", "OUT", "--intervals", "smal"], "'smal'; did you mean 'small'?"),
        (["table", "OUT", "--forget-set", "class-4"], "'class-4'; did you mean 'class-3'?"),
        (["table", "OUT", "--label", "scrub"], "--label 'scrub': expected METHOD=NAME, for example scrub=SCRUB"),
        (["table", "OUT", "--label", "scrub="], "--label 'scrub=': expected METHOD=NAME"),
        (["table", "OUT", "--label", "srcub=A"], "'srcub'; did you mean 'scrub'?"),
        (["table", "OUT", "--label", "scrub=a\nb"], "label: expected a name without control characters"),
        (["table", "OUT", "--label", "scrub=noise"], "expected one name for each row, got 'noise' for"),
        (["table", "OUT", "--label", "scrub=A", "--format", "csv"], "expected no --label beside csv"),
        (["figures", "OUT", "--format", "html", "--label", "srcub=A"], "'srcub'; did you mean 'scrub'?"),
        (["figures", "nowhere"], "nowhere/scores.jsonl does not exist; run `expunge bench"),
        (
            ["figures", "OUT", "--format", "html", "--out", "OUT/scores.jsonl"],
            "expected a folder for pictures, got the fi",
        ),
        (
            ["compare", "OUT", "--all", "--format", "html", "--out", "OUT/scores.jsonl"],
            "expected a folder for pictures",
        ),
        (["figures", "OUT", "--format", "pfd"], "unknown format 'pfd'; did you mean 'pdf'?"),
        (["figures", "OUT", "--forget-set", "class-3", "--example", "90"], "expected an example of 0 to 89"),
    ],
)
def test_a_mistake_ends_in_one_line(arguments: list[str], message: str, out: Path, tmp_path: Path) -> None:
    typed = [each.replace("OUT", str(out)) for each in arguments]
    assert message in refused(run(*typed, cwd=tmp_path))
    assert not list(tmp_path.iterdir())


def test_two_methods_are_compared_on_every_set_that_has_both(out: Path) -> None:
    done = run("compare", out, "scrub", "gradient-ascent", "--examples", "1")
    assert done.returncode == 0, done.stderr
    for name in ("random-12", "class-3"):
        assert f"{name}: distance of scrub less that of gradient-ascent" in done.stdout
    assert done.stdout.count("scrub is nearer to the oracles over the three splits (p < 0.001)") == 2
    found = json.loads(run("compare", out, "scrub", "gradient-ascent", "--examples", "1", "--json").stdout)
    assert [each["nearer"] for each in found] == ["scrub", "scrub"]
    assert [len(each["examples"]) for each in found] == [3, 3]


def test_all_pairs_are_a_table_and_a_picture_that_needs_no_network(out: Path, tmp_path: Path) -> None:
    done = run("compare", out, "--all", "--forget-set", "class-3", "--out", tmp_path, "--format", "html")
    assert done.returncode == 0, done.stderr
    assert "Holm-corrected for 15 pairs" in done.stdout
    assert "newton, diverged at epoch 2" in done.stdout
    page = (tmp_path / "pairs-class-3.html").read_text()
    assert "default-src 'none'" in page
    assert "the row is nearer to the oracles" in page


def test_a_table_goes_to_standard_output_or_to_a_file(out: Path, tmp_path: Path) -> None:
    done = run("table", out, "--format", "latex", "--forget-set", "class-3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\\begin{table}") == 1
    to_file = run("table", out, "--format", "latex", "--forget-set", "class-3", "--out", tmp_path / "a/class-3.tex")
    assert to_file.stdout == ""
    assert (tmp_path / "a/class-3.tex").read_text(encoding="utf-8") == done.stdout


def test_records_of_an_attack_are_no_run(tiny_suite: Suite, tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.jsonl", attack_of(tiny_suite))
    (tmp_path / "run.json").write_text('{"kind": "attack"}')
    assert "holds the records of an attack, expected those of a bench" in refused(run("compare", tmp_path, "--all"))


def test_one_row_is_no_pair(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.jsonl", scores_of("random-12", "scrub", dict.fromkeys(SPLITS, 1.0)))
    assert "expected two rows or more on 'random-12' to compare, got scrub" in refused(
        run("compare", tmp_path, "--all")
    )


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("SCRUB, ours", "SCRUB, ours"),
        ("\\input{/etc/passwd}", "\\textbackslash{}input\\{/etc/passwd\\}"),
        (
            "50 % & $x^2$ \\\\ [1em]",
            "50 \\% \\& \\$x\\textasciicircum{}2\\$ \\textbackslash{}\\textbackslash{} {[}1em{]}",
        ),
    ],
)
def test_a_label_stands_in_latex_as_it_was_written(label: str, shown: str, out: Path) -> None:
    done = run("table", out, "--format", "latex", "--forget-set", "class-3", "--label", f"scrub={label}")
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout
    assert "scrub" not in done.stdout


def test_figures_bear_the_labels_that_rows_are_given(out: Path, tmp_path: Path) -> None:
    labels = ["--label", "scrub=A & B", "--label", "oracle=Retrained"]
    options = ["--format", "html", "--forget-set", "class-3", "--example", "1", "--method", "scrub"]
    done = run("figures", out, *options, *labels, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    pages = {file.stem: file.read_text() for file in tmp_path.iterdir()}
    assert len(pages) == 5
    for name, page in pages.items():
        data = page.partition('<script type="application/json"')[2].partition("</script>")[0]
        assert "A \\u0026 B" in data, name
        assert "scrub" not in data, name
    assert "Retrained" in pages["quality-class-3-forget"]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bench with a method of one's own."""
    folder = tmp_path_factory.mktemp("own")
    kept = [*scores_of("random-12", "oracle", FLOOR_P95), *scores_of("random-12", "identity", NOTHING_P95)]
    write_scores(
        folder / "scores.jsonl", [*kept, *scores_of("random-12", "a/mine.py:forget_it", dict.fromkeys(SPLITS, 1.0))]
    )
    return folder


def test_a_method_of_ones_own_is_called_the_same_in_tables_and_figures(own: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has no arrays
        assert run("figures", own, "--format", "html", "--out", tmp_path).returncode == 0
    drawn = [(tmp_path / f"{name}.html").read_text() for name in ("methods-by-sets", "quality-random-12-forget")]
    assert [page.count('"a/mine.py:forget_it"') > 0 for page in drawn] == [True, True]
    assert "a/mine.py:forget\\_it" in run("table", own).stdout


def test_a_method_of_ones_own_is_labelled_by_its_name_alone(own: Path) -> None:
    assert "| Ours |" in run("table", own, "--label", "forget_it=Ours").stdout


def lines_of(done: Done) -> list[str]:
    """What a command says on standard error, line by line."""
    return done.stderr.strip().splitlines()


@pytest.fixture
def without_arrays(out: Path, tmp_path: Path) -> Path:
    """The folder of a bench as it goes from hand to hand: all but the arrays."""
    shutil.copytree(out, tmp_path / "out", ignore=shutil.ignore_patterns("arrays"))
    return tmp_path / "out"


def test_a_comparison_without_arrays_is_refused_in_one_line(without_arrays: Path) -> None:
    done = run("compare", without_arrays, "scrub", "fine-tune")
    assert refused(done).endswith(
        "margins are needed; bench again with the same --out, which takes what is in the store"
    )
    assert len(lines_of(done)) == 1


def test_a_table_without_arrays_lacks_nothing_and_says_nothing(without_arrays: Path) -> None:
    assert run("table", without_arrays).stderr == ""


def test_figures_say_in_one_line_which_are_not_drawn(without_arrays: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")  # the command prints them
        done = run("figures", without_arrays, "--format", "html", "--out", without_arrays / "figures")
    assert done.returncode == 0
    assert lines_of(done) == [
        f"expunge: no margins are drawn on random-12, on class-3: {without_arrays}/arrays does not have them; bench "
        "again with the same --out, which takes what is in the store"
    ]


def test_figures_of_rows_whose_arrays_alone_are_lost_are_not_those_of_another(out: Path, tmp_path: Path) -> None:
    shutil.copytree(out, tmp_path / "out")
    for file in (tmp_path / "out/arrays/class-3").glob("*.npz"):
        if file.stem != "reference":
            file.unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("always")  # the command prints them
        done = run("figures", tmp_path / "out", "--format", "html", "--out", tmp_path / "figures")
    assert re.search(r"no margins are drawn of [\w-]+ on class-3: ", done.stderr)
    assert "margins-random-12" in done.stdout
    assert "margins-class-3" not in done.stdout


@pytest.mark.parametrize("command", ["compare OUT scrub fine-tune", "table OUT", "figures OUT --format html"])
def test_an_interrupt_of_what_keeps_nothing_is_one_word(
    command: str, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("expunge.bench.opened.read_folder", interrupted)
    done = run(*(str(out) if each == "OUT" else each for each in command.split()))
    assert (done.returncode, done.stderr) == (130, "expunge: interrupted\n")


def test_an_interrupt_of_what_is_kept_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("expunge.bench.rebuild.rebuild", interrupted)
    assert run("build", "digits").stderr == (
        "expunge: interrupted; what was finished is kept, run the same command again to go on\n"
    )


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_records_without_arrays_have_tables_and_no_comparison(out: Path, tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.jsonl", scores("random-12"))
    assert run("table", tmp_path).returncode == 0
    assert "arrays/random-12/scrub.npz is not there, and margins" in refused(
        run("compare", tmp_path, "scrub", "fine-tune")
    )
    message = refused(run("figures", tmp_path, "--format", "html", "--forget-set", "random-12", "--example", "1"))
    assert "The margins of this forget set were not kept" in message

"""``expunge certify``: a certificate is checked, a budget is kept, and a mistake is one line."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from expunge.certificates.ledger import begin
from expunge.certificates.record import write_certificates
from expunge.cli.certify import METHODS, Certify
from expunge.cli.certify_page import _count
from expunge.cli.options import by_suite
from expunge.errors import BadSetting
from expunge.methods.certified import CERTIFIED
from expunge.reports.certification.page import certificates_page
from tests.certificates.made import certificate
from tests.cli.commands import Done, refused, run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With certificates: good ones, one of a network with ReLU, one no better than the diameter."""
    write_certificates(tmp_path / "good.jsonl", [certificate(model=0), certificate(model=1)])
    write_certificates(tmp_path / "false.jsonl", [certificate(false={"smooth": "ReLU"})])
    write_certificates(tmp_path / "empty.jsonl", [certificate(lambda_min=-0.001)])
    return tmp_path


def test_a_certificate_that_follows_is_told_whole(folder: Path) -> None:
    done = run("certify", "check", "good.jsonl", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("CERTIFIED: certified-newton on tabular, random-10, model") == 2
    for word in ("epsilon 1 at delta 1e-05", "theorem newton", "lambda_min = 0.5  assumed", "smooth: assumed"):
        assert word in done.stdout


@pytest.mark.parametrize(("file", "word"), [("false.jsonl", "NOT CERTIFIED: "), ("empty.jsonl", "VACUOUS: ")])
def test_what_is_worth_nothing_is_3(folder: Path, file: str, word: str) -> None:
    done = run("certify", "check", file, cwd=folder)
    assert done.returncode == 3
    assert done.stdout.startswith(word)


@pytest.mark.parametrize(("word", "meant"), [("chek", "check"), ("budgt", "budget"), ("pages", "page")])
def test_a_command_that_is_mistyped_is_not_taken_for_a_method(word: str, meant: str) -> None:
    done = run("certify", word, "good.jsonl")
    assert done.returncode == 2
    assert f"Did you mean '{meant}'?" in done.stderr


def test_what_is_told_of_a_certificate_that_does_not_follow_is_said_to_be_told(folder: Path) -> None:
    made = certificate()
    write_certificates(folder / "lie.jsonl", [replace(made, claim=replace(made.claim, epsilon=0.01))])
    done = run("certify", "check", "lie.jsonl", cwd=folder)
    assert "\n  CERTIFIED is told: as far as what it stands on is true" in done.stdout


@pytest.mark.parametrize("command", ["check good.jsonl", "budget ledger.jsonl"])
def test_what_is_read_and_computed_again_needs_no_torch(folder: Path, command: str) -> None:
    """In a process of its own, as a user has it: the import of torch takes seconds."""
    begin(folder / "ledger.jsonl", 4.0, 1e-4)
    program = [sys.executable, "-X", "importtime", "-m", "expunge", "certify", *command.split()]
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "expunge.certificates.record" in imported
    assert not {"torch", "expunge.methods", "expunge.suites", "expunge.store"} & imported


def test_what_is_not_certified_shows_no_epsilon(folder: Path) -> None:
    assert "epsilon none at delta" in run("certify", "check", "false.jsonl", cwd=folder).stdout


def test_what_does_not_follow_is_3(folder: Path) -> None:
    made = certificate()
    write_certificates(folder / "lie.jsonl", [replace(made, claim=replace(made.claim, epsilon=0.01))])
    done = run("certify", "check", "lie.jsonl", cwd=folder)
    assert done.returncode == 3
    assert done.stdout.startswith("DOES NOT FOLLOW: ")
    assert "does not follow  epsilon: 0.01 is told" in done.stdout


def test_json_holds_the_faults(folder: Path) -> None:
    done = run("certify", "check", "good.jsonl", "--json", cwd=folder)
    assert [(each["verdict"], each["faults"]) for each in json.loads(done.stdout)] == [("CERTIFIED", [])] * 2


def test_a_file_that_is_no_certificate_is_one_line(folder: Path) -> None:
    (folder / "other.jsonl").write_text('{"epsilon": NaN}\n')
    assert "other.jsonl:1 is no certificate" in refused(run("certify", "check", "other.jsonl", cwd=folder))


def test_a_budget_from_its_beginning_to_its_end(folder: Path) -> None:
    done = run("certify", "budget", "ledger.jsonl", "--epsilon", "1.5", "--delta", "1e-4", cwd=folder)
    assert "left: epsilon 1.5, delta 0.0001" in done.stdout
    first = ("--request", "first", "--certificate", "good.jsonl")
    done = run("certify", "budget", "ledger.jsonl", *first, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "spent: epsilon 1 of 1.5" in done.stdout
    assert "first: epsilon 1, delta 1e-05, by newton" in done.stdout
    assert "Delta does not grow with the request" in done.stderr
    assert "was served before" in refused(run("certify", "budget", "ledger.jsonl", *first, cwd=folder))
    write_certificates(folder / "more.jsonl", [certificate(request=2)])
    more = ("--request", "second", "--certificate", "more.jsonl")
    assert "request 'second' costs epsilon 1" in refused(run("certify", "budget", "ledger.jsonl", *more, cwd=folder))
    told = json.loads(run("certify", "budget", "ledger.jsonl", "--json", cwd=folder).stdout)
    assert told["spent"] == {"epsilon": 1.0, "delta": 1e-5}
    assert [each["request"] for each in told["requests"]] == ["first"]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--epsilon", "1"), "give both"),
        (("--delta", "1e-5"), "give both"),
        (("--request", "first"), "give --request and --certificate"),
        (("--certificate", "good.jsonl"), "give --request and --certificate"),
        (("--epsilon", "-1", "--delta", "1e-5"), "expected a budget"),
        ((), "there is no ledger ledger.jsonl: begin one with --epsilon and --delta"),
    ],
)
def test_half_of_what_is_needed_is_one_line(folder: Path, options: tuple[str, ...], word: str) -> None:
    assert word in refused(run("certify", "budget", "ledger.jsonl", *options, cwd=folder))
    assert not (folder / "ledger.jsonl").exists()


def test_a_first_word_that_is_no_command_is_a_method_where_there_is_such_a_command() -> None:
    asked = []
    app = typer.Typer(cls=Certify)
    app.command()(lambda file: asked.append(("check", file)))
    app.registered_commands[-1].name = "check"

    @app.command()
    def other(file: str) -> None:
        asked.append(("other", file))

    group = typer.main.get_command(app)
    with pytest.raises(SystemExit, match="2"):
        group.main(["dp-sgd", "digits"])

    @app.command()
    def method(name: str, suite: str) -> None:
        asked.append((name, suite))

    group = typer.main.get_command(app)
    for words in (["dp-sgd", "digits"], ["check", "a.jsonl"]):
        group.main(words, standalone_mode=False)
    assert asked == [("dp-sgd", "digits"), ("check", "a.jsonl")]


def tried(folder: Path, *more: str) -> Done:
    return run(
        "certify", "output-perturbation", "tabular", "random-10", "--models", "8", "--workers", "1", *more, cwd=folder
    )


def test_a_method_is_run_and_its_claim_is_tried(tmp_path: Path) -> None:
    done = tried(tmp_path, "--epsilon", "2", "--planted", "--out", "out")
    assert done.returncode == 3, done.stderr  # its Delta is the diameter: a certificate that says nothing
    assert done.stdout.startswith("VACUOUS, models at chance: output-perturbation on tabular, random-10, model ")
    for word in (
        "\n  models at chance: after the noise their test accuracy is ",
        "\n  this certificate is that of model 0, and none of the 8 is worse; ",
        "; all are in out/certificates.jsonl: 8 VACUOUS; epsilon 2; sigma ",
        "epsilon 2 at delta 1e-05",
        "measured, in models: NOT TESTABLE",
        "check of norms: passes",
        "planted, buffers-kept: cannot be shown",
    ):
        assert word in done.stdout
    assert done.stdout.endswith("; 1 could not (NOT TESTABLE), which is inconclusive\n")
    checked = run("certify", "check", "out/certificates.jsonl", cwd=tmp_path)
    assert checked.returncode == 3
    assert checked.stdout.count("VACUOUS: ") == 8
    assert checked.stdout.count("note: models at chance: ") == 8
    assert "out/certification.json is what was measured of claims; the certificates lie beside it: take out/cert" in (
        refused(run("certify", "check", "out/certification.json", cwd=tmp_path))
    )
    measured = json.loads((tmp_path / "out/certification.json").read_text())
    assert (measured["subject"]["method"], measured["certificate"]["verdict"]) == ("output-perturbation", "VACUOUS")


def test_a_page_is_made_of_its_figures(tmp_path: Path) -> None:
    options = [
        "--method",
        "output-perturbation",
        "--suite",
        "tabular",
        "--models",
        "8",
        "--workers",
        "1",
        "--out",
        "out",
    ]
    done = run("certify", "page", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "out/certificates.md").read_text()
    rows = json.loads((tmp_path / "out/certificates.json").read_text())["rows"]
    assert certificates_page(rows) == written
    assert "| `output-perturbation` | VACUOUS, models at chance | 1 | " in written
    assert done.stdout.endswith(
        "1 of 2 could have refuted theirs, 0 did; 1 could not (NOT TESTABLE), which is inconclusive\n"
    )


BALL = ("output-perturbation", "tabular", "random-10")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("output-perturbtion", "tabular", "random-10"), "did you mean 'output-perturbation'?"),
        (("scrub", "tabular", "random-10"), "unknown certified method 'scrub'"),
        (("nosuch",), "unknown certified method 'nosuch'; choose from certified-newton, "),
        ((*BALL[:2], "random-11"), "did you mean 'random-10'? (`expunge build tabular` makes more)"),
        ((*BALL, "--models", "3"), "models"),
        ((*BALL, "--models", "20000"), "expected at most 10,000 models in an arm"),
        ((*BALL, "--epsilon", "0"), "--epsilon 0: expected a finite number above 0, for example 1"),
        ((*BALL, "--epsilon", "-1"), "--epsilon -1: expected a finite number above 0, for example 1"),
        ((*BALL, "--epsilon", "nan"), "--epsilon nan: expected a finite number above 0, for example 1"),
        ((*BALL, "--epsilon", "inf"), "--epsilon inf: expected a finite number above 0, for example 1"),
        ((*BALL, "--delta", "2"), "--delta 2: expected a number above 0 and below 1, for example 1e-5"),
        ((*BALL, "--set", "foo=1"), "expected METHOD.KEY=VALUE, for example output-perturbation.radius=10.0"),
        ((*BALL, "--set", "scrub.lr=1"), "expected a setting of output-perturbation, for example output-perturbation."),
        (("page", "--suite", "tabular", "--method", "dp-sgd", "--set", "scrub.lr=1"), "expected a setting of dp-sgd, "),
        (("page", "--method", "scrub"), "unknown certified method 'scrub'"),
        (("page", "--suite", "tabular", "--forget-set", "class-3"), "class-3"),
    ],
)
def test_what_cannot_be_certified_is_one_line_before_any_work(arguments: tuple[str, ...], told: str) -> None:
    assert told in refused(run("certify", *arguments))


def test_a_method_of_linear_models_does_not_apply_to_others_in_one_line_before_any_work(tmp_path: Path) -> None:
    line = refused(run("certify", "certified-removal", "tabular-mlp", "random-10", cwd=tmp_path))
    assert line.startswith(
        "expunge: certified-removal does not apply to tabular-mlp, where it is NOT CERTIFIED: linear"
    )
    assert list(tmp_path.iterdir()) == []


def test_on_a_page_a_method_that_does_not_apply_is_a_row_that_says_why(tmp_path: Path) -> None:
    options = ["--method", "certified-removal", "--suite", "tabular-mlp", "--models", "8", "--out", "out"]
    done = run("certify", "page", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "out/certificates.md").read_text()
    assert "| `certified-removal` | does not apply | - | - | - | - |" in written
    assert (
        "- `certified-removal`: certified-removal does not apply to tabular-mlp, where it is NOT CERTIFIED" in written
    )
    assert written == certificates_page(json.loads((tmp_path / "out/certificates.json").read_text())["rows"])


def test_on_a_page_a_method_that_fails_is_a_row_and_the_exit_code_says_so(tmp_path: Path) -> None:
    options = ["--method", "certified-newton", "--suite", "tabular", "--models", "8", "--workers", "1"]
    done = run("certify", "page", *options, "--set", "tabular:certified-newton.tolerance=1e-9", cwd=tmp_path)
    assert done.returncode == 3
    written = (tmp_path / "out/certify/certificates.md").read_text()
    assert "| `certified-newton` | failed | - |" in written
    assert "it has not converged; raise iterations" in written


def test_help_lists_the_certified_methods_an_example_and_how_few_models_are_enough() -> None:
    assert tuple(CERTIFIED) == METHODS
    told = " ".join(run("certify", "--help").stdout.split())
    assert "at least 8 models" in told
    assert "Example: expunge certify " in told
    assert [name for name in METHODS if name not in told] == []


def test_what_is_given_of_one_suite_is_of_that_suite() -> None:
    given = ["20", "digits=8", "a.b=1"]
    assert by_suite(["tabular", "digits"], given, "=") == {
        "tabular": ["20", "a.b=1"],
        "digits": ["20", "a.b=1", "8"],
    }
    assert (_count([]), _count(["20", "8"])) == (200, 8)
    with pytest.raises(BadSetting, match="--models 'svhn=8': expected N, or SUITE=N of a suite that is on the page"):
        _count(["svhn=8"])


def test_the_page_in_results_is_what_its_figures_make() -> None:
    place = Path(__file__).parents[2] / "results/certificates"
    rows = json.loads((place / "certificates.json").read_text())["rows"]
    assert certificates_page(rows) == (place / "certificates.md").read_text()

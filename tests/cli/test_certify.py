"""``expunge certify``: a certificate is checked, a budget is kept, and a mistake is one line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from expunge.audits.certificates.record import write_certificates
from expunge.cli.certify import Certify
from tests.audits.certificates.made import certificate
from tests.cli.commands import refused, run


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
        ((), "there is no file"),
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
        group.main(["scrub", "digits"])

    @app.command()
    def method(name: str, suite: str) -> None:
        asked.append((name, suite))

    group = typer.main.get_command(app)
    for words in (["scrub", "digits"], ["check", "a.jsonl"]):
        group.main(words, standalone_mode=False)
    assert asked == [("scrub", "digits"), ("check", "a.jsonl")]

"""``expunge attack``: a table that needs no paper, a page, and one line for a mistake."""

import json
from pathlib import Path

import pytest

from expunge.records import read_scores
from tests.cli.commands import TINY, Done, refused, run

FAST = ["--iterations", "1", "--models", "2", "--workers", "1", "--pixels", "free", "--embedding", "perceptron"]
ONE = ["--method", "gradient-ascent", "--set", "gradient-ascent.epochs=1", "--defence", "membership"]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Path]:
    folder = tmp_path_factory.mktemp("attack")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPUNGE_STORE", str(folder / "store"))
        patch.setenv("EXPUNGE_DEVICE", "cpu")
        patch.setenv("COLUMNS", "80")
        done = run("attack", "usability", TINY, *FAST, *ONE, "--images", "1", "--out", folder / "out")
    assert done.returncode == 0, done.stderr
    return done, folder / "out"


def test_it_prints_tables_and_answers_and_leaves_a_page(attacked: tuple[Done, Path]) -> None:
    done, out = attacked
    for word in (
        "shuffled batches",
        "dedicated batches",
        "retraining",
        "gradient-ascent",
        "Is it the data or the method?",
        "membership",
    ):
        assert word in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    page = (out / "report.html").read_text()
    assert "Is it the data or the method?" in page
    assert "expunge attack usability" in (out / "command.txt").read_text()
    assert "expunge attack usability" in page


def test_the_page_is_written_again_from_the_records(attacked: tuple[Done, Path]) -> None:
    _, out = attacked
    before = (out / "report.html").read_text()
    (out / "report.html").unlink()
    assert run("report", out).returncode == 0
    assert (out / "report.html").read_text() == before


def test_json_is_the_records(attacked: tuple[Done, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    _, out = attacked
    monkeypatch.setenv("EXPUNGE_STORE", str(out.parent / "store"))
    done = run("attack", "usability", TINY, *FAST, *ONE, "--images", "1", "--out", out.parent / "json", "--json")
    assert done.returncode == 0
    records = json.loads(done.stdout)
    assert {record["metric"] for record in records} >= {"accuracy-drop", "excess-drop", "auroc"}


def test_the_tables_of_attacks_and_defences_are_listed() -> None:
    assert "usability" in run("list", "attacks").stdout
    assert "spectral-signatures" in run("list", "defences").stdout
    assert "Ma et al. 2024" in run("info", "usability").stdout
    assert "price" in run("info", "update-norm").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digit"], "unknown suite 'digit'; did you mean 'digits'?"),
        (["digits", "--generator", "mmd"], "expected generator to be one of dm, gm, got 'mmd'"),
        (["digits", "--images", "0"], "expected images to be a whole number of at least 1, got 0"),
        (["digits", "--images", "200"], "lower images to"),
        (["digits", "--images", "80"], "are more than its 1437 training examples; lower --images"),
        (["digits", "--method", "scrubb"], "unknown method 'scrubb'; did you mean 'scrub'?"),
        (["digits", "--method", "scrub", "--set", "amnesiac.epochs=1"], "'amnesiac', which is not attacked"),
        (["digits", "--batches", "random"], "expected shuffled, dedicated, isolated, both or all"),
        (["digits", "--models", "1"], "expected at least 2 models"),
        (["digits", "--defence", "deepknn"], "unknown defence 'deepknn'; did you mean 'deep-knn'?"),
        (["digits", "--network", "resnet"], "'resnet'"),
        (["digits", "--owners", "2"], "divides the 1 images a class, got 2"),
        (["digits", "--surrogate", "tabular"], "surrogate 'tabular': expected inputs of (1, 8, 8) in 10 classes"),
        (["digits", "--load", "nothing.npz"], "nothing.npz: no such file"),
        (["digits", "--load", "nothing.npz", "--generator", "gm"], "--generator says how to condense, and nothing.npz"),
        (["digits", "--method", "scrub", "--set", "scrub.foo=1"], "method 'scrub' has no setting 'foo'"),
        (["digits", "--method", "scrub", "--set", "scrub.lr=-1"], "scrub: lr must be above 0"),
        (["digits", "--subsets", "-1"], "expected 20 to 1000 subsets"),
        (["digits", "--subsets", "99999"], "expected 20 to 1000 subsets"),
        (["digits", "--seed", "-1"], "expected a seed of at least 0"),
        (["digits", "--honest", "100000000"], "at most 10000 honest requests"),
        (["digits", "--defence", "none", "--defence", "owner-cap"], "expected no other defence beside it"),
        (["digits", "--draws", "0"], "expected at least 1 random draw"),
        (["tabular", "--pixels", "kept"], "take pixels='free'"),
        (["tabular", "--network", "convnet"], "convnet"),
    ],
)
def test_a_mistake_is_one_line_before_any_work(arguments: list[str], message: str, tmp_path: Path) -> None:
    assert message in refused(run("attack", "usability", *arguments, "--out", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_without_an_attack_the_help_is_printed() -> None:
    done = run("attack")
    assert "usability" in done.stdout + done.stderr


def test_a_folder_that_cannot_be_made_or_holds_a_bench_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file/sub", Path("/proc/foo")):
        assert "cannot write to" in refused(
            run("attack", "usability", TINY, *FAST, *ONE, "--images", "1", "--out", place)
        )
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench/run.json").write_text("{}")
    line = refused(run("attack", "usability", TINY, *FAST, *ONE, "--images", "1", "--out", tmp_path / "bench"))
    assert "holds the records of a bench" in line


def test_a_file_says_itself_how_it_was_condensed(attacked: tuple[Done, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    _, out = attacked
    monkeypatch.setenv("EXPUNGE_STORE", str(out.parent / "store"))
    again = ["--models", "2", "--workers", "1", *ONE, "--load", str(out / "condensed-0.npz")]
    assert run("attack", "usability", TINY, *again, "--out", out.parent / "loaded").returncode == 0
    facts = [score.subject.config for score in read_scores(out.parent / "loaded/scores.jsonl")]
    assert {(fact["attack.iterations"], fact["attack.loaded"]) for fact in facts} == {(1, True)}


def test_the_paper_can_be_cited() -> None:
    assert "2407.05112" in run("cite", "usability").stdout

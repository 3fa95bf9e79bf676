"""``expunge attack matrix``: tables that fit, a page, one line for a mistake."""

import json
import re
from pathlib import Path

import pytest

from expunge.attacks import ATTACKS
from expunge.attacks.lab.matrix import LOOKING, SERVING, TELLING
from expunge.methods import METHODS
from expunge.records import read_scores
from tests.cli.commands import Done, refused, run

SMALL = f"{Path(__file__).parents[1] / 'attacks' / 'small.py'}:small"
FAST = ["--models", "2", "--workers", "1", "--attack", "over-unlearning", "--attack", "hidden-poison"]
FAST += ["--method", "first-order", "--method", "sisa", "--defence", "membership", "--set", "over-unlearning.budget=2"]
FAST += ["--set", "over-unlearning.owned=0.3", "--set", "hidden-poison.poisons=3", "--set", "hidden-poison.eps=0.3"]
FAST += ["--set", "hidden-poison.camouflages=3"]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Path]:
    folder = tmp_path_factory.mktemp("matrix")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPUNGE_STORE", str(folder / "store"))
        patch.setenv("EXPUNGE_DEVICE", "cpu")
        patch.setenv("COLUMNS", "80")
        done = run("attack", "matrix", SMALL, *FAST, "--out", folder / "out")
    return done, folder / "out"


def test_what_cannot_be_fails_nothing(played: tuple[Done, Path]) -> None:
    done, _ = played
    assert done.returncode == 0, done.stderr
    assert "'sisa' begins with what was kept of trainings" in " ".join(done.stdout.split())


def test_it_prints_tables_that_fit_and_leaves_a_page(played: tuple[Done, Path]) -> None:
    done, out = played
    for word in ("over-unlearning", "hidden-poison", "membership", "false alarms", "cost of serving"):
        assert word in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "row by row" not in done.stdout
    assert "expunge attack matrix" in (out / "index.html").read_text()


def test_json_is_the_records_and_the_page_is_written_again_from_them(
    played: tuple[Done, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, out = played
    monkeypatch.setenv("EXPUNGE_STORE", str(out.parent / "store"))
    done = run("attack", "matrix", SMALL, *FAST, "--out", out.parent / "json", "--json")
    assert len(json.loads(done.stdout)) == len(read_scores(out / "scores.jsonl"))
    before = (out / "index.html").read_text()
    (out / "index.html").unlink()
    again = run("report", out)
    assert again.returncode == 0
    assert "hidden-poison" in again.stdout
    assert (out / "index.html").read_text() == before


def test_help_names_the_defaults() -> None:
    told = re.sub(r"-\s+", "-", run("attack", "matrix", "--help").stdout)  # names are broken at their hyphens
    for name in (*TELLING, *SERVING, *LOOKING):
        assert name in told
    assert "matrix" in run("attack", "--help").stdout


def test_no_attack_has_the_name_of_a_method_or_of_the_matrix() -> None:
    assert not (ATTACKS.keys() & METHODS.keys())
    assert "matrix" not in ATTACKS


MISTAKES = [
    (["digit"], "unknown suite 'digit'; did you mean 'digits'?"),
    (["digits", "--attack", "over-unlearnin"], "unknown attack 'over-unlearnin'; did you mean 'over-unlearning'?"),
    (["digits", "--attack", "usability"], "run of its own, beside the matrix: expunge attack usability SUITE"),
    (["digits", "--method", "first-orde"], "did you mean 'first-order'?"),
    (["digits", "--method", "identity"], "'identity' makes no models"),
    (["digits", "--defence", "memberships"], "did you mean 'membership'?"),
    (["digits", "--defence", "none", "--defence", "membership"], "expected no other defence beside it"),
    (["digits", "--set", "budget=3"], "expected ATTACK.KEY=VALUE or METHOD.KEY=VALUE"),
    (["digits", "--set", "relearning.taught=3"], "'relearning', which is not in the matrix; name it with --attack"),
    (["digits", "--set", "scrub.lr=1"], "'scrub', which is not in the matrix; name it with --method"),
    (["digits", "--set", "over-unlearning.bugdet=1"], "has no setting 'bugdet'; did you mean 'budget'?"),
    (["digits", "--set", "over-unlearning.budget=0"], "'over-unlearning': expected a budget of 1 to 287 records"),
    (["digits", "--set", "over-unlearning.budget=999"], "give --set over-unlearning.budget=N"),
    (["digits", "--set", "hidden-poison.target_class=11"], "give --set hidden-poison.target_class=CLASS"),
    (["tabular"], "attack 'malicious-requests': suite 'tabular' has no pixel range"),
    (["digits", "--attack", "slow-down", "--method", "scrub"], "attack 'slow-down': 'scrub' has no certificate"),
    (["digits", "--attack", "reconstruction"], "attack 'reconstruction': suite 'digits'"),
    (["digits", "--models", "1"], "expected 2 to 200 victims"),
    (["digits", "--honest", "10"], "expected 200 to 10000 honest requests"),
    (["digits", "--workers", "0"], "expected at least 1 worker"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_one_line_before_any_work(arguments: list[str], message: str, tmp_path: Path) -> None:
    assert message in refused(run("attack", "matrix", *arguments, "--out", tmp_path / "out"))
    assert not (tmp_path / "out").exists()

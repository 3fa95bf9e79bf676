"""``expunge attack NAME``: a command for each attack of the lab, a table that fits, one line for a mistake."""

import json
import shutil
from pathlib import Path

import pytest

from expunge.attacks import ATTACKS
from expunge.bench.run_info import read_run, write_run
from expunge.records import read_scores
from tests.cli.commands import TINY, Done, refused, run

SMALL = f"{Path(__file__).parents[1] / 'attacks' / 'small.py'}:small"
NAME = "malicious-requests"
FAST = ["--models", "2", "--workers", "1", "--set", "budget=4", "--set", "steps=2"]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Path]:
    folder = tmp_path_factory.mktemp("attack")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPUNGE_STORE", str(folder / "store"))
        patch.setenv("EXPUNGE_DEVICE", "cpu")
        patch.setenv("COLUMNS", "80")
        done = run("attack", NAME, SMALL, *FAST, "--out", folder / "out")
    assert done.returncode == 0, done.stderr
    return done, folder / "out"


def test_it_prints_a_table_of_the_attack_and_its_controls_and_leaves_a_page(attacked: tuple[Done, Path]) -> None:
    done, out = attacked
    for word in ("attack", "no request", "honest request", "unperturbed", "oracle", "success: share of the targets"):
        assert word in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "row by row" not in done.stdout
    assert f"expunge attack {NAME}" in (out / "command.txt").read_text()
    assert "honest request" in (out / "report.html").read_text()


def test_the_page_is_written_again_from_the_records(attacked: tuple[Done, Path]) -> None:
    _, out = attacked
    before = (out / "report.html").read_text()
    (out / "report.html").unlink()
    assert run("report", out).returncode == 0
    assert (out / "report.html").read_text() == before


def test_json_is_the_records(attacked: tuple[Done, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    _, out = attacked
    monkeypatch.setenv("EXPUNGE_STORE", str(out.parent / "store"))
    done = run("attack", NAME, SMALL, *FAST, "--out", out.parent / "json", "--json")
    assert [each["metric"] for each in json.loads(done.stdout)] == [
        each.metric for each in read_scores(out / "scores.jsonl")
    ]


@pytest.mark.parametrize("name", [name for name, row in ATTACKS.items() if row.play])
def test_each_attack_has_a_command_that_tells_its_settings(name: str) -> None:
    done = run("attack", name, "--help")
    assert done.returncode == 0
    for key in ATTACKS[name].config().own:
        assert f"{key}=" in done.stdout
        assert f"`{key}" in done.stdout  # what it means
    assert f"Example: expunge attack {name} " in done.stdout
    assert name in run("attack", "--help").stdout
    assert name in run("list", "attacks").stdout
    told = " ".join(run("info", name).stdout.split())
    assert all(each in told for each in ATTACKS[name].sources)


MISTAKES = [
    (["malicious-request"], "unknown attack 'malicious-request'; did you mean 'malicious-requests'?"),
    (["lab"], "unknown attack 'lab'"),
    ([NAME, "digit"], "unknown suite 'digit'; did you mean 'digits'?"),
    ([NAME, "digits", "--set", "budget"], "expected KEY=VALUE of the attack, or METHOD.KEY=VALUE"),
    ([NAME, "digits", "--set", "bugdet=1"], "has no setting 'bugdet'; did you mean 'budget'?"),
    ([NAME, "digits", "--set", "budget=few"], "budget: expected a whole number, got 'few'"),
    ([NAME, "digits", "--set", "budget=2", "--set", "budget=3"], "--set budget is given twice, as 2 and as 3; give it"),
    ([NAME, "digits", "--set", "scrub.lr=1", "--set", "scrub.lr=2"], "--set scrub.lr is given twice"),
    ([NAME, "digits", "--set", "budget=0"], "expected a budget of 1 to 287 records"),
    ([NAME, "digits", "--set", "budget=5000"], "give --set budget=N, or --set owned=SHARE"),
    ([NAME, "digits", "--set", "owned=2"], "expected owned to be a share"),
    ([NAME, "digits", "--set", "target_class=11"], "give --set target_class=CLASS, or likeliest"),
    ([NAME, "digits", "--set", "targets=0"], "expected 1 to 180 targets"),
    ([NAME, "digits", "--set", "goal=fame"], "expected goal to be one of targeted, untargeted"),
    ([NAME, "digits", "--set", "eps=2"], "expected eps to be a share of the pixel range"),
    ([NAME, "tabular"], "has no pixel range"),
    ([NAME, "digits", "--models", "1"], "expected 2 to 200 victims"),
    ([NAME, "digits", "--method", "first-orde"], "did you mean 'first-order'?"),
    ([NAME, "digits", "--set", "scrub.lr=1"], "'scrub', which is not attacked"),
    ([NAME, "digits", "--defence", "memberships"], "did you mean 'membership'?"),
    (
        [NAME, "digits", "--defence", "update-norm", "--honest", "0"],
        "expected 200 to 10000 honest requests for 'update-",
    ),
    (["deletion-inference", "digits", "--defence", "all", "--honest", "0"], "got 0; give --honest 200"),
    ([NAME, "digits", "--seed", "-1"], "expected a seed of at least 0"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_one_line_before_any_work(arguments: list[str], message: str, tmp_path: Path) -> None:
    assert message in refused(run("attack", *arguments, "--out", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_folder_of_a_bench_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    assert "holds the records of a bench" in refused(run("attack", NAME, TINY, "--set", "eps=0", "--out", tmp_path))


@pytest.mark.parametrize("named", [True, False])
def test_a_folder_of_another_attack_is_refused_before_any_work(
    attacked: tuple[Done, Path], tmp_path: Path, named: bool
) -> None:
    """Whether its run.json names the attack, or only its records do, as before it did."""
    _, out = attacked
    folder = tmp_path / "out"
    shutil.copytree(out, folder)
    info = read_run(folder / "run.json")
    assert info.attack == NAME
    write_run(folder, info.model_copy(update={"attack": NAME if named else ""}), info.files or {})
    before = (folder / "scores.jsonl").read_bytes()
    line = refused(run("attack", "relearning", "digits", "--out", folder))
    assert f"holds the records of `expunge attack {NAME}`, which these would replace; choose another --out" in line
    assert "holds the records of `" in refused(run("attack", "matrix", "digits", "--out", folder))
    assert (folder / "scores.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("top-k", ["at nothing: it suspects nobody", "what is told of the models"]),
        ("postponement", ["what a removal does", "waits for 3 others"]),
        ("total-update-budget", ["all requests since the last training", "shuts out honest owners"]),
    ],
)
def test_a_defence_is_told_with_what_it_changes_and_its_price(name: str, words: list[str]) -> None:
    told = run("info", name).stdout
    assert name in run("list", "defences").stdout
    for word in words:
        assert word in told

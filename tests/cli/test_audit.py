"""``expunge audit``: numbers beside what oracles get, a verdict with what it does not show, one line for a mistake."""

import json
from pathlib import Path

import numpy as np
import pytest

from expunge.records import read_scores
from tests.cli.commands import Done, refused, run

SET, FEW = "memorised-50", ["--models", "20", "--workers", "1"]


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Path]:
    folder = tmp_path_factory.mktemp("audit")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPUNGE_STORE", str(folder / "store"))
        patch.setenv("EXPUNGE_DEVICE", "cpu")
        patch.setenv("COLUMNS", "100")
        methods = ["--method", "gradient-ascent", "--method", "oracle"]
        done = run("audit", "digits", SET, *methods, *FEW, "--out", folder / "out")
    assert done.returncode == 0, done.stderr
    return done, folder / "out"


def test_it_prints_each_number_beside_what_oracles_get(audited: tuple[Done, Path]) -> None:
    lines = audited[0].stdout.splitlines()
    assert lines[0].strip() == f"what gradient-ascent leaves on {SET} of digits"
    assert lines[1].split()[:4] == ["audit", "AUC", "by", "example"]
    at = next(number for number, line in enumerate(lines) if line.startswith("u-lira"))
    value, oracle = float(lines[at].split()[1]), float(lines[at + 1].split()[1])
    assert lines[at + 1].split()[0] == "oracles"
    assert value > 0.8
    assert oracle == pytest.approx(0.5, abs=0.05)


def test_it_says_what_was_decided_and_what_that_does_not_show(audited: tuple[Done, Path]) -> None:
    stdout = audited[0].stdout
    assert "gradient-ascent: FAIL, which shows: the unlearned models are no oracles" in stdout
    assert "oracle: PASS, which shows: these attacks, with so many models, do not tell" in stdout
    assert stdout.count("It does not show") == 2


def test_the_folder_has_records_verdicts_and_the_auc_of_each_example(audited: tuple[Done, Path]) -> None:
    out = audited[1]
    scores = read_scores(out / "audit.jsonl")
    assert {score.subject.method for score in scores} == {"gradient-ascent", "oracle"}
    assert all(score.oracle is not None and score.split == "forget" for score in scores)
    verdicts = [json.loads(line) for line in (out / "verdicts.jsonl").read_text().splitlines()]
    assert [(each["subject"]["method"], each["outcome"]) for each in verdicts] == [
        ("gradient-ascent", "FAIL"),
        ("oracle", "PASS"),
    ]
    with np.load(out / "arrays" / SET / "audit-gradient-ascent.npz") as arrays:
        assert arrays["u-lira"].shape == (50,)


def test_json_is_the_records_and_nothing_else() -> None:
    done = run("audit", "digits", SET, "--method", "identity", *FEW, "--models", "10", "--audit", "u-lira", "--json")
    records = json.loads(done.stdout)
    assert [record["aggregate"] for record in records] == ["auc", "auc-by-example"]
    assert "u-lira: unscored tpr-1%, tpr-0.1%: 500 scores of non-members, and 1,000 are needed" in done.stderr
    assert "identity: INCONCLUSIVE, which shows: nothing: too few models" in done.stderr


def test_what_is_unscored_is_no_number() -> None:
    done = run("audit", "digits", SET, "--method", "identity", *FEW, "--models", "10", "--audit", "u-lira")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("u-lira  ")]
    assert line.split()[-3:] == ["–", "–", "–"]
    assert "u-lira: unscored tpr-1%, tpr-0.1%: 500 scores of non-members" in done.stderr


def test_a_method_that_fails_is_told_and_the_others_are_audited(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text("def broken(model, retain, forget, seed):\n    raise RuntimeError('no idea')\n")
    done = run(
        "audit",
        "digits",
        SET,
        "--method",
        f"{own}:broken",
        "--method",
        "oracle",
        *FEW,
        "--models",
        "4",
        "--audit",
        "loss",
    )
    assert done.returncode == 3
    assert "own.py:broken: failed: raised RuntimeError: no idea" in done.stdout
    assert "what oracle leaves" in done.stdout


def test_a_method_that_hands_back_the_oracles_is_refused_as_in_a_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    from expunge.audits import run as module

    def cheated(*_: object) -> None:
        from expunge.errors import BadMargins

        raise BadMargins("model 0 has the forget margins of a reference oracle")

    monkeypatch.setattr(module, "require_independent", cheated)
    done = run("audit", "digits", SET, "--method", "oracle", *FEW, "--audit", "loss")
    assert done.returncode == 3
    assert "oracle: failed: model 0 has the forget margins of a reference oracle" in done.stdout


def test_where_no_audit_can_be_done_the_row_failed() -> None:
    done = run("audit", "digits", SET, "--method", "identity", *FEW, "--models", "3", "--audit", "u-lira")
    assert done.returncode == 3
    assert "identity: failed: no audit could be done; u-lira: expected 4 models and 4 oracles or more" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([SET], "name what is audited: --method METHOD"),
        ([SET, "--method", "scrubb"], "unknown method 'scrubb'; did you mean 'scrub'?"),
        (["nothing", "--method", "scrub"], "unknown forget set 'nothing'"),
        ([SET, "--method", "scrub", "--audit", "lyra"], "unknown audit 'lyra'; did you mean 'lira'?"),
        ([SET, "--method", "scrub", "--models", "1"], "expected 2 to 100 models"),
        ([SET, "--method", "scrub", "--budget", "15"], "did you mean 15%?"),
        ([SET, "--method", "scrub", "--set", "lr=1"], "expected METHOD.KEY=VALUE"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], said: str) -> None:
    assert said in refused(run("audit", "digits", *arguments))


def test_a_folder_that_cannot_be_written_is_known_before_any_work(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("")
    assert "cannot write to" in refused(run("audit", "digits", SET, "--method", "scrub", "--out", place / "out"))

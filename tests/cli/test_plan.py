"""``expunge plan``, and a bench until it is decided: what is printed, and what is refused."""

import json
from pathlib import Path

import pytest

from expunge.bench.enough import Enough
from expunge.cli.printing import print_enough
from tests.cli.commands import refused, run, scores_of

PLAN = ["plan", "digits", "--forget-set", "memorised-50"]


def test_plan_prints_a_row_for_each_question_and_what_is_assumed() -> None:
    done = run(*PLAN, "--gap", "20%")
    assert done.returncode == 0, done.stderr
    for text in (
        "two methods",
        "a method from the oracle",
        "Power 95 %, level 5 %",
        "Assumed: two methods lie halfway",
        "--bench DIR",
    ):
        assert text in done.stdout
    (two, oracle) = json.loads(run(*PLAN, "--gap", "20%", "--json").stdout)
    assert two["question"] == "two methods"
    assert two["cost"] == pytest.approx(2 * 0.15 * two["models"] + two["oracles"])
    assert oracle["cost"] == pytest.approx((2 * 0.15 + 1) * oracle["models"] + oracle["oracles"])


def test_the_table_fits_a_terminal_of_eighty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    note = "more than the suite has, 100 of each"
    rows = [
        Enough("memorised-50", question, 0.0684, 12_591, 848, held, 13_528.0, 100, own, own, left, "" if own else note)
        for question, held, own, left in (("two methods", 0, 100, 0.5), ("a method from the oracle", 754, None, None))
    ]
    print_enough(rows, 0.15, 2)
    table, assumed = capsys.readouterr().out.split("Power", 1)
    assert "row by row" not in table
    assert max(map(len, table.splitlines())) <= 80
    for number in ("0.0684", "12,591", "848 + 754", "13,528", "100 / 100"):
        assert number in table
    assert f"memorised-50, from oracle: {note}" in table
    assert "50 % on memorised-50, measured on methods that are made up; --bench DIR" in assumed
    print_enough(rows, 0.15, 2, Path("out"))
    assert "50 % on memorised-50, measured on those of --bench out." in capsys.readouterr().out


@pytest.mark.slow
def test_more_methods_take_more_oracles_in_place_of_models() -> None:
    few, many = (
        json.loads(run(*PLAN, "--gap", "0.2", "--cost", "100%", "--methods", str(count), "--json").stdout)[1]
        for count in (1, 40)
    )
    assert many["models"] < few["models"]
    assert many["oracles"] > few["oracles"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gap", "0"], "expected a gap above 0, such as 0.2"),
        (["--gap=-0.2"], "expected a gap above 0, such as 0.2"),
        (["--gap", "120%"], "expected a gap of at most 100%"),
        (["--gap", "much"], "expected a gap above 0, such as 0.2, in sd of the oracles, or 5%"),
        (["--gap", "0.2", "--cost", "cheap"], "expected a cost above 0, such as 15%, got 'cheap'"),
        (["--gap", "0.2", "--methods", "0"], "expected 1 to 1,000,000 methods, got 0"),
        (["--gap", "0.2", "--methods", "9" * 500], "expected 1 to 1,000,000 methods, got 999"),
        (["--gap", "0.2", "--cost", "1e300"], "at most 100 retrainings"),
        (["--gap", "1e200"], "at most 1000 sd"),
        (["--gap", "50"], "expected a gap of at most 1.835 sd on 'memorised-50'"),
        (["--gap", "0.2", "--forget-set", "random-5"], "unknown forget set 'random-5'"),
        (["--gap", "0.2", "--bench", "nowhere"], "nowhere/scores.jsonl does not exist; run `expunge bench"),
        (["--gap", "0.2", "--prune", "omp:0.8"], "expunge build digits@omp-0.8"),
    ],
)
def test_what_cannot_be_planned_is_refused_in_a_line(options: list[str], message: str, tmp_path: Path) -> None:
    assert message in refused(run(*PLAN, *options, cwd=tmp_path))


@pytest.mark.slow
def test_bench_until_decided_says_what_was_decided_and_saved(tmp_path: Path) -> None:
    rows = ["--method", "gradient-ascent", "--method", "random-labels", "--forget-set", "class-3"]
    command: list[str | Path] = [
        "bench",
        "digits",
        *rows,
        "--until-decided",
        "--workers",
        "1",
        "--out",
        tmp_path / "out",
    ]
    done = run(*command)
    assert done.returncode == 0, done.stderr
    assert "class-3: 3 pairs decided, 0 open" in done.stdout
    assert "after 25 models: " in done.stdout
    assert "unlearned 50 of 200 models: 75 % saved" in done.stdout
    assert {(score.models, score.oracle_models) for score in scores_of(tmp_path / "out")} == {(25, 100)}
    again = run(*command, "--json")
    assert {record["models"] for record in json.loads(again.stdout)} == {25}
    assert "75 % saved" in again.stderr
    measured = json.loads(
        run("plan", "digits", "--gap", "5%", "--bench", tmp_path / "out", "--json", *rows[4:6]).stdout
    )
    assert 0 < measured[0]["left"] < 2
    done = run("plan", "digits", "--gap", "5%", "--bench", tmp_path / "out", "--forget-set", "random-10")
    assert "expected two methods with a rank on 'random-10', got 0" in refused(done)
    (tmp_path / "out/arrays/class-3/random-labels.npz").write_bytes(b"PK")
    done = run("plan", "digits", "--gap", "5%", "--bench", tmp_path / "out", "--forget-set", "class-3")
    assert "random-labels.npz" in refused(done)


def test_too_few_models_to_decide_are_refused(tmp_path: Path) -> None:
    done = run("bench", "digits", "--until-decided", "--models", "2", "--out", tmp_path)
    assert "expected 3 models and 3 oracles or more to decide by, got 2 and 2" in refused(done)

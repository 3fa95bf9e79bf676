"""What a command advises, followed to the letter: then it succeeds."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from expunge.store import user_store
from tests.cli.commands import Done, refused, run

SUITE = f"{Path(__file__).parents[1] / 'tiny_suite.py'}:tiny"
BENCH = ["bench", SUITE, "--forget-set", "first", "--method", "fine-tune", "--models", "4", "--workers", "1"]
CHECK = ["check", "--suite", SUITE]
FOLLOWED = 2  # pieces of advice until a command succeeds, at most


def follow(line: str) -> None:
    """Do what a line says: delete what it says to delete, run what it puts between backticks."""
    for place in re.findall(r"delete (\S+)", line):
        Path(place).unlink()
    for command in re.findall(r"`expunge ([^`]*)`", line):
        done = run(*shlex.split(command), "--workers", "1")
        assert done.returncode == 0, (command, done.stderr)


def followed(*arguments: str) -> Done:
    """The command, and what it advises, until it succeeds."""
    done = run(*arguments)
    assert done.returncode == 2, done.stderr
    for _ in range(FOLLOWED):
        follow(refused(done))
        done = run(*arguments)
        if done.returncode != 2:
            return done
    pytest.fail(f"advised again: {done.stderr}")


def build(*more: str) -> None:
    assert run("build", SUITE, "--forget-set", "first", "--workers", "1", *more).returncode == 0


def flip(pattern: str) -> Path:
    file = next(user_store().root.glob(pattern))
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    return file


@pytest.fixture
def out(tmp_path: Path) -> list[str]:
    return ["--out", str(tmp_path / "out")]


def test_what_is_missing_is_built_in_one_go(own_store: Path, out: list[str]) -> None:
    done = run(*BENCH, *out)
    follow(refused(done))
    assert run(*BENCH, *out).returncode == 0


def test_too_few_models_are_not_advised(own_store: Path, out: list[str]) -> None:
    """12 models in all: a bench of 4 compares with 6 held-out oracles from number 6 on."""
    build("--models", "3")
    follow(refused(run(*BENCH, *out)))
    assert run(*BENCH, *out).returncode == 0


@pytest.mark.parametrize("file", ["margins.npy", "manifest.json"])
@pytest.mark.parametrize("kind", ["pretrained", "oracles/first-*"])
def test_a_damaged_ensemble_is_made_anew(file: str, kind: str, own_store: Path, out: list[str]) -> None:
    build()
    flip(f"*/{kind}/{file}")
    assert followed(*BENCH, *out).returncode == 0


def test_damaged_results_of_a_method_are_made_anew(own_store: Path, out: list[str]) -> None:
    build()
    assert run(*BENCH, *out).returncode == 0
    flip("*/unlearned/*/*/margins.npy")
    assert followed(*BENCH, *out).returncode == 0


def test_a_damaged_timing_stops_nothing(own_store: Path, out: list[str]) -> None:
    build()
    assert run(*BENCH, *out).returncode == 0
    flip("*/timing/*/seconds.npy")
    assert run(*BENCH, *out).returncode == 0


def test_margins_that_lack_what_they_are_scored_against_say_what_to_build(own_store: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", np.random.default_rng(0).normal(size=(3, 260)).astype(np.float32))
    score = ["score", SUITE, "first", str(tmp_path / "mine.npy")]
    assert followed(*score).returncode == 0


def test_a_check_of_a_store_without_margins_says_what_makes_them(own_store: Path) -> None:
    line = refused(run(*CHECK))
    assert f"run `expunge build {SUITE}` first" in line

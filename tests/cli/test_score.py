"""``expunge score``: margins that were made elsewhere."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray

from expunge.ensembles import Plan, read_margins
from expunge.suites import Suite
from tests.cli.commands import refused, run


@pytest.fixture
def margins(suite: Suite) -> ndarray:
    return np.array(read_margins(Plan(suite, "pretrained"), 150, 10).values)


def test_score_puts_other_untouched_models_where_identity_is(margins: ndarray, tmp_path: Path) -> None:
    for row, values in enumerate(margins):
        np.save(tmp_path / f"{row:03}.npy", values)
    done = run("score", "digits", "random-50", tmp_path, "--json", "--name", "mine")
    assert done.returncode == 0, done.stderr
    found = {record["subject"]["method"]: record for record in json.loads(done.stdout) if is_headline(record)}
    assert found.keys() == {"identity", "oracle", "mine"}
    assert found["mine"]["low"] < found["identity"]["high"]
    assert found["identity"]["low"] < found["mine"]["high"]
    assert found["mine"]["cost"] is None


def is_headline(record: dict[str, object]) -> bool:
    return (record["split"], record["metric"], record["aggregate"]) == ("forget", "klom", "p95")


def test_score_with_out_leaves_a_report(margins: ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", margins)
    done = run("score", "digits", "random-50", tmp_path / "m.npy", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "yours" in (tmp_path / "out/report.html").read_text()


def test_score_computes_and_prints_a_metric_that_is_asked_for(margins: ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", margins)
    done = run("score", "digits", "random-50", tmp_path / "m.npy", "--metric", "mia-efficacy-published")
    assert done.returncode == 0, done.stderr
    told = [line.split()[0] for line in done.stdout.splitlines() if "mia-efficacy-published" in line]
    assert set(told) == {"oracle", "identity", "yours"}
    line = refused(run("score", "digits", "random-50", tmp_path / "m.npy", "--metric", "klon"))
    assert "unknown metric 'klon'; did you mean 'klom'?" in line


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        (lambda m: m[:, :5], r"expected shape \(models, 1797\)"),
        (lambda m: np.where(np.arange(10)[:, None] == 7, np.nan, m), "NaN or infinity in model 7;"),
        (lambda m: np.where(np.arange(10)[:, None] == 7, 3.0, m), "model 7 has one and the same margin"),
        (lambda m: m[[0, 1, 1]], r"models \[1, 2\] are bit-identical"),
        (lambda m: m[:1], "at least 2 models"),
        (lambda m: np.repeat(m, 11, axis=0) + np.arange(110)[:, None], "at most 100 models"),
    ],
)
def test_score_refuses_what_is_no_ensemble(
    spoiled: Callable[[ndarray], ndarray], message: str, margins: ndarray, tmp_path: Path
) -> None:
    np.save(tmp_path / "m.npy", spoiled(margins))
    line = refused(run("score", "digits", "random-50", tmp_path / "m.npy", "--out", tmp_path / "out"))
    assert re.search(message, line)
    assert not (tmp_path / "out").exists()


def test_score_says_which_order_fits(margins: ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", margins[:, ::-1])
    done = run("score", "digits", "random-50", tmp_path / "m.npy")
    assert done.returncode == 0, done.stderr
    assert "look like another order" in done.stderr
    assert "if they are reversed" in done.stderr


def test_score_of_honest_margins_asks_nothing_and_says_when_a_p95_is_the_maximum(
    margins: ndarray, tmp_path: Path
) -> None:
    np.save(tmp_path / "m.npy", margins)
    done = run("score", "digits", "random-50", tmp_path / "m.npy")
    assert "order" not in done.stderr
    assert "another network" not in done.stderr.lower()
    assert "(nearly) the maximum" not in done.stdout


def doubled(margins: ndarray) -> ndarray:
    return np.where(np.arange(margins.shape[1]) % 2, margins, margins.astype(np.float64) * 1e300)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.astype(np.float16),
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in (lambda m: m.astype(np.float64), lambda m: m * np.float32(1e36))
        ),
        doubled,
    ],
)
def test_no_words_of_numpy_reach_whoever_scores(
    margins: ndarray, change: Callable[[ndarray], ndarray], tmp_path: Path
) -> None:
    """Warnings are errors here: whatever numpy says of a cast or a square would end the command."""
    np.save(tmp_path / "m.npy", change(margins))
    done = run("score", "digits", "random-50", tmp_path / "m.npy")
    assert done.returncode == 0, done.stderr
    assert not re.search("overflow|invalid value|Warning|divide by", done.stderr)


def saved(file: Path, values: ndarray) -> None:
    if file.suffix == ".npy":
        np.save(file, values, allow_pickle=True)
    elif file.suffix == ".npz":
        np.savez(file, margins=values)
    elif file.name == "weights.pt":
        torch.save(torch.nn.Linear(2, 2).state_dict(), file)
    elif file.suffix == ".pt":
        torch.save({"margins": torch.tensor(values)}, file)
    elif values.size:
        np.savetxt(file, values, delimiter=",")
    else:
        file.write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("m.csv", lambda m: m, r"got a .csv; save the numbers as np.save\('margins.npy', margins\)"),
        ("m.txt", lambda m: m, "got a .txt; save"),
        (
            "m.dat",
            lambda m: m,
            "is no .npy, but text, or something else, by its first bytes; save the array by np.save",
        ),
        ("m", lambda m: m[:0], "is no .npy, it is empty; save the array"),
        ("m.npz", lambda m: m, r"got a .npz; take the array out of it: .*np.load\(file\)\['margins'\]"),
        ("m.npy", lambda m: m.T, r"got \(1797, 10\); these are \(examples, models\): give margins.T"),
        ("m.npy", lambda m: m[..., None].repeat(10, 2), "these look like logits"),
        ("m.npy", lambda m: m[0], "one row for each model"),
        ("m.npy", lambda m: m.astype(object), r"holds Python objects.*save names, .*\.astype\(str\)"),
        ("m.pt", lambda m: m, r"got a dictionary with margins; save the margins alone: torch.save\("),
        ("weights.pt", lambda m: m, "a dictionary with weight, bias; these look like weights"),
    ],
)
def test_margins_in_other_formats_say_what_to_do(
    margins: ndarray, name: str, change: Callable[[ndarray], ndarray], message: str, tmp_path: Path
) -> None:
    saved(tmp_path / name, change(margins))
    line = refused(run("score", "digits", "random-50", tmp_path / name))
    assert re.search(message, line)
    assert "downloaded" not in line

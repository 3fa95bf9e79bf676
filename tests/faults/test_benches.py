"""Benches that are killed, or run into one folder at once: no row is lost, and what is there belongs together."""

import random
import shutil
import time
from pathlib import Path

import pytest

from expunge.bench.run_info import AGAIN
from expunge.errors import StoreError
from expunge.records import Score
from tests.faults.benches import records, start

SETS = ("first", "more")
EARLIER, LATER = ("fine-tune",), ("gradient-ascent", "random-labels")
pytestmark = pytest.mark.faults


def done(out: Path, store: Path, *methods: str, sets: tuple[str, ...] = SETS) -> None:
    process = start(out, store, methods, sets)
    process.join(120)
    assert process.exitcode == 0


@pytest.fixture(scope="module")
def earlier(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``out``, the folder of an earlier bench, and ``store``, that has all but what the later one computes."""
    folder = tmp_path_factory.mktemp("earlier")
    shutil.copytree(tiny_store, folder / "store")
    done(folder / "out", folder / "store", *EARLIER)
    return folder


@pytest.fixture(scope="module")
def undisturbed(earlier: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Score], float]:
    """What the folder has after the later bench, and how long that takes."""
    folder = tmp_path_factory.mktemp("undisturbed") / "both"
    shutil.copytree(earlier, folder)
    started = time.monotonic()
    done(folder / "out", folder / "store", *LATER)
    return records(folder / "out"), time.monotonic() - started


def state_of(out: Path) -> tuple[str, set[str]]:
    """Why a folder is refused, or the methods that it has records of."""
    try:
        return "", {each.subject.method for each in records(out)}
    except StoreError as error:
        return str(error), set()


AT = [f"{name} {turn}" for name in ("scores.jsonl", "run.json", "curve.jsonl") for turn in (1, 2)]
AT += ["gradient-ascent.npz 2", "identity.npz 1", "reference.npz 2", "identity.npz 2"]


@pytest.mark.parametrize("moment", [*AT, *range(12)])
def test_a_bench_that_was_killed_goes_on_and_no_row_is_lost(
    moment: str | int, earlier: Path, undisturbed: tuple[list[Score], float], tmp_path: Path
) -> None:
    shutil.copytree(earlier, tmp_path / "both")
    out, store = tmp_path / "both/out", tmp_path / "both/store"
    expected, seconds = undisturbed
    process = start(out, store, LATER, SETS, moment if isinstance(moment, str) else "")
    if isinstance(moment, int):
        process.join(random.Random(moment).uniform(0, seconds))
        process.kill()
    process.join(120)
    assert process.exitcode == -9 or isinstance(moment, int)
    said, methods = state_of(out)
    assert AGAIN in said or methods >= {*EARLIER}
    done(out, store, *LATER)
    assert records(out) == expected


@pytest.mark.parametrize("moment", AT)
def test_what_a_killed_bench_left_gives_its_sound_rows_to_any_other(
    moment: str, earlier: Path, undisturbed: tuple[list[Score], float], tmp_path: Path
) -> None:
    shutil.copytree(earlier, tmp_path / "both")
    out, store = tmp_path / "both/out", tmp_path / "both/store"
    start(out, store, LATER, SETS, moment).join(120)
    done(out, store, "scrub", sets=SETS[:1])
    rows = {(each.subject.forget_set, each.subject.method) for each in records(out)}
    assert rows >= {(name, method) for name in SETS for method in EARLIER}


def test_three_benches_at_once_in_one_folder_lose_nothing(earlier: Path, tmp_path: Path) -> None:
    shutil.copytree(earlier / "store", tmp_path / "store")
    methods = ("fine-tune", "gradient-ascent", "random-labels")
    running = [start(tmp_path / "out", tmp_path / "store", [name], SETS) for name in methods]
    for process in running:
        process.join(240)
    assert [process.exitcode for process in running] == [0, 0, 0]
    together = records(tmp_path / "out")
    done(tmp_path / "alone", tmp_path / "store", *methods)
    assert values(together) == values(records(tmp_path / "alone"))


def values(scores: list[Score]) -> list[tuple[object, ...]]:
    return [
        (each.subject.forget_set, each.subject.method, each.split, each.metric, each.aggregate, each.value)
        for each in scores
    ]

"""Several benches in one folder: rows are added, the same row is replaced, and what is there belongs together."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from expunge.bench.external_margins import score_margins
from expunge.bench.folder import read_folder
from expunge.bench.plan import BenchPlan, plan_bench
from expunge.bench.run import require_place, run_bench
from expunge.bench.run_info import RunInfo, write_run
from expunge.ensembles import Plan, read_margins
from expunge.errors import BadSetting, ExpungeError, StoreError
from expunge.records import Score, read_scores, write_scores
from expunge.reports import report
from expunge.suites import Suite
from tests.records import a_score, changed

pytestmark = pytest.mark.usefixtures("common_store")

SETS = ["random-10", "class-3"]
METRICS = ["klom", "outliers"]
RANKED = ["distance", "gap-closed", "outliers", "rank"]
Values = dict[tuple[str, str, str, str, str], float | None]


def planned(suite: Suite, *methods: str, sets: list[str] = SETS[:1], models: int = 3, seed: int = 0) -> BenchPlan:
    return plan_bench(suite, list(methods), sets, models=models, metrics=METRICS, seed=seed)


def values(scores: list[Score]) -> Values:
    """Every number, by what it is of."""
    found: Values = {
        (each.subject.forget_set, each.subject.method, each.split, each.metric, each.aggregate): each.value
        for each in scores
    }
    assert len(found) == len(scores)
    return found


def rows(folder: Path) -> set[tuple[str, str]]:
    return {(each.subject.forget_set, each.subject.method) for each in read_folder(folder).scores}


@pytest.fixture(scope="module")
def both(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one bench of two methods."""
    folder = tmp_path_factory.mktemp("both")
    run_bench(planned(suite, "gradient-ascent", "fine-tune"), folder)
    return folder


def test_rows_of_a_later_bench_are_added_and_ranks_are_among_all(suite: Suite, both: Path, tmp_path: Path) -> None:
    run_bench(planned(suite, "fine-tune"), tmp_path, command="first")
    scores = run_bench(planned(suite, "gradient-ascent"), tmp_path, command="second")
    found, expected = read_folder(tmp_path), read_folder(both)
    assert values(found.scores) == values(expected.scores)
    assert {score.subject.method for score in scores} == {"identity", "oracle", "gradient-ascent"}
    assert set(map(str, scores)) <= set(map(str, found.scores))
    assert [score.subject.method for score in found.scores] == [score.subject.method for score in expected.scores]
    assert found.run.command == "second\nfirst"
    assert found.run.methods["fine-tune"].source
    assert (tmp_path / "scores.jsonl").stat().st_size
    for name in ("identity", "oracle", "fine-tune", "gradient-ascent", "reference"):
        one, other = (folder / f"arrays/random-10/{name}.npz" for folder in (tmp_path, both))
        assert one.read_bytes() == other.read_bytes()


def test_ranks_of_two_benches_are_those_of_one(suite: Suite, tmp_path: Path) -> None:
    def bench(*methods: str) -> BenchPlan:
        slow = {name: {"epochs": 2, "lr": 0.000223} for name in methods}  # which breaks no model, so that it has a rank
        return plan_bench(suite, list(methods), ["class-3"], models=20, metrics=RANKED, settings=slow, tuning="default")

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run_bench(bench("salun", "random-labels"), whole)
    for method in ("salun", "random-labels"):
        run_bench(bench(method), parts)
    found = [{k: v for k, v in values(read_folder(each).scores).items() if k[3] == "rank"} for each in (whole, parts)]
    assert found[0] == found[1]
    assert {method for _, method, *_ in found[0]} == {"salun", "random-labels"}


def test_rows_on_other_forget_sets_stay(suite: Suite, tmp_path: Path) -> None:
    first = run_bench(planned(suite, "gradient-ascent", sets=SETS[1:]), tmp_path)
    second = run_bench(planned(suite, "gradient-ascent"), tmp_path)
    assert sorted(map(str, read_folder(tmp_path).scores)) == sorted(map(str, [*first, *second]))
    assert {score.subject.forget_set for score in read_folder(tmp_path).curve} == set(SETS)


def test_the_same_row_is_replaced_and_that_it_is_another_is_said(suite: Suite, tmp_path: Path) -> None:
    run_bench(planned(suite, "gradient-ascent", "fine-tune"), tmp_path)
    with pytest.warns(UserWarning, match="replaces gradient-ascent on random-10, which had other settings, seed"):
        run_bench(planned(suite, "gradient-ascent", seed=1), tmp_path)
    seeds = {each.subject.method: each.subject.seed for each in read_folder(tmp_path).scores}
    assert seeds == {"identity": 1, "oracle": 1, "gradient-ascent": 1, "fine-tune": 0}


@pytest.mark.filterwarnings("ignore:.*replaces gradient-ascent")
def test_a_row_whose_other_settings_give_the_same_models_is_replaced_all_the_same(suite: Suite, tmp_path: Path) -> None:
    for epochs in (2, 1):
        settings = {"gradient-ascent": {"lr": 1e-30, "forget_statistics": False, "epochs": epochs}}
        run_bench(plan_bench(suite, ["gradient-ascent"], SETS[:1], models=3, settings=settings), tmp_path)
    found = [each for each in read_folder(tmp_path).scores if each.subject.method == "gradient-ascent"]
    assert {each.subject.config["epochs"] for each in found} == {1}
    values(found)


def test_numbers_of_the_same_models_that_are_not_measured_again_stay(suite: Suite, tmp_path: Path) -> None:
    run_bench(planned(suite, "gradient-ascent"), tmp_path)
    before = values(read_folder(tmp_path).scores)
    run_bench(plan_bench(suite, ["fine-tune"], SETS[:1], models=3, metrics=["accuracy"]), tmp_path)
    after = values(read_folder(tmp_path).scores)
    assert before.items() <= after.items()
    assert ("random-10", "fine-tune", "test", "accuracy", "mean") in after
    with np.load(tmp_path / "arrays/random-10/identity.npz") as arrays:
        assert {"margins", "klom"} == set(arrays)


def test_margins_made_elsewhere_stand_beside_a_bench(suite: Suite, tmp_path: Path) -> None:
    margins = np.array(read_margins(Plan(suite, "pretrained"), 150, 50).values)
    run_bench(planned(suite, "gradient-ascent"), tmp_path)
    with pytest.raises(BadSetting, match=r"of 3 models against 3 oracles, .*bench with --models 3, or give another"):
        score_margins(suite, SETS[0], margins, out=tmp_path)
    score_margins(suite, SETS[1], margins, out=tmp_path, name="mine")
    score_margins(suite, SETS[1], margins + np.float32(0.1), out=tmp_path, name="../yours")
    assert rows(tmp_path) >= {(SETS[1], "mine"), (SETS[1], "../yours"), (SETS[0], "gradient-ascent")}
    assert (tmp_path / "arrays/class-3/..%2Fyours.npz").is_file()


@pytest.mark.parametrize("name", ["reference", "scrub", "", "..", "a\nb", "a\0b"])
def test_margins_made_elsewhere_have_a_name_of_their_own(name: str, suite: Suite, tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="--name"):
        score_margins(suite, SETS[0], np.zeros((2, suite.data.width)), name=name, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def another_digest(folder: Path) -> None:
    alter(folder, suite_digest="0" * 16)


def other_examples(folder: Path) -> None:
    alter(folder, forget_digest="0" * 64, method="ssd")


def an_attack(folder: Path) -> None:
    alter(folder, config={"attack.generator": "dm"})


def alter(folder: Path, **changes: object) -> None:
    """A folder of other records, which stand on nothing."""
    (folder / "run.json").unlink()
    scores = read_scores(folder / "scores.jsonl")
    write_scores(folder / "scores.jsonl", [changed(each, stands_on="", **changes) for each in scores])


def old(folder: Path) -> None:
    alter(folder)
    lines = [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
    for record in lines:
        del record["sha256"], record["stands_on"]
        record["schema"] = 2
    (folder / "scores.jsonl").write_text("".join(json.dumps(record) + "\n" for record in lines))


@pytest.mark.parametrize(
    ("changed_to", "message"),
    [
        (another_digest, "holds records of suite 'digits' .0000000000000000., not of 'digits' .*give another --out"),
        (other_examples, "has a row of 'ssd' on 'random-10', a forget set of that name with other examples"),
        (an_attack, "holds the records of an attack; give another --out"),
        (old, "holds records of schema 2, beside which none of schema 3 can stand; give another --out"),
    ],
)
def test_a_folder_in_which_the_rows_cannot_stand_is_refused_before_any_work(
    changed_to: Callable[[Path], None], message: str, suite: Suite, tmp_path: Path
) -> None:
    run_bench(planned(suite, "gradient-ascent"), tmp_path)
    changed_to(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(BadSetting, match=message):
        run_bench(planned(suite, "gradient-ascent"), tmp_path, watch=never)
    assert contents(tmp_path) == before


def never(done: int, total: int, label: str) -> None:
    raise AssertionError(label)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_another_number_of_models_is_refused_only_where_rows_would_stay(suite: Suite, tmp_path: Path) -> None:
    run_bench(planned(suite, "gradient-ascent"), tmp_path)
    with pytest.raises(
        BadSetting, match=r"'gradient-ascent' .*3 models against 3 oracles.* --models 3, or give another"
    ):
        run_bench(planned(suite, "fine-tune", models=4), tmp_path, watch=never)
    with pytest.warns(UserWarning, match="other settings, seed or models"):
        run_bench(planned(suite, "gradient-ascent", models=4), tmp_path)
    assert {each.models for each in read_folder(tmp_path).scores} == {4}


def flip(file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("name", ["scores.jsonl", "curve.jsonl", "run.json"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.999])
def test_a_byte_that_changed_is_named(name: str, share: float, both: Path, tmp_path: Path) -> None:
    spoil(name, share, both, tmp_path)
    with pytest.raises(StoreError, match=rf"{name}.*run the command that wrote .*again"):
        read_folder(tmp_path)


def spoil(name: str, share: float, folder: Path, copy: Path) -> None:
    """A copy of a bench, in one of whose files a byte changed."""
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    flip(copy / name, int(share * (copy / name).stat().st_size))


@pytest.mark.parametrize(
    ("name", "share"), [("scores.jsonl", 0.0), ("scores.jsonl", 0.999), ("curve.jsonl", 0.3), ("run.json", 0.6)]
)
def test_the_same_bench_mends_what_changed(name: str, share: float, suite: Suite, both: Path, tmp_path: Path) -> None:
    spoil(name, share, both, tmp_path)
    run_bench(planned(suite, "gradient-ascent", "fine-tune"), tmp_path)
    assert values(read_folder(tmp_path).scores) == values(read_folder(both).scores)


def test_rows_that_cannot_be_believed_are_not_kept_and_the_others_are(suite: Suite, tmp_path: Path) -> None:
    run_bench(planned(suite, "gradient-ascent", "fine-tune", sets=SETS), tmp_path)
    flip(tmp_path / "arrays/class-3/fine-tune.npz", 5000)
    with pytest.raises(StoreError, match=r"fine-tune\.npz is of another run than what lies beside it"):
        read_folder(tmp_path)
    told = "records or arrays of fine-tune on class-3 are damaged and not kept"
    with pytest.warns(UserWarning, match=re.escape(told)):
        run_bench(planned(suite, "gradient-ascent"), tmp_path)
    assert rows(tmp_path) == {
        (name, method)
        for name in SETS
        for method in ("identity", "oracle", "gradient-ascent", "fine-tune")
        if (name, method) != ("class-3", "fine-tune")
    }


def test_the_records_of_a_line_that_cannot_be_read_are_not_kept_in_part(suite: Suite, tmp_path: Path) -> None:
    run_bench(planned(suite, "gradient-ascent", "fine-tune", sets=SETS), tmp_path)
    lines = (tmp_path / "scores.jsonl").read_bytes().splitlines(keepends=True)
    scores = read_scores(tmp_path / "scores.jsonl")
    place = next(
        number
        for number, each in enumerate(scores)
        if (each.subject.forget_set, each.subject.method, each.split) == ("class-3", "fine-tune", "retain")
    )
    lines[place] = b"\xff" + lines[place]
    (tmp_path / "scores.jsonl").write_bytes(b"".join(lines))
    with pytest.warns(UserWarning, match="fine-tune on class-3 are damaged"):
        run_bench(planned(suite, "gradient-ascent"), tmp_path)
    assert ("class-3", "fine-tune") not in rows(tmp_path)
    assert ("class-3", "gradient-ascent") in rows(tmp_path)


def test_a_reference_of_another_run_is_made_anew(suite: Suite, tmp_path: Path) -> None:
    run_bench(planned(suite, "gradient-ascent", sets=SETS), tmp_path)
    file = tmp_path / "arrays/class-3/reference.npz"
    before = file.read_bytes()
    flip(file, 5000)
    with pytest.raises(StoreError, match=r"reference\.npz is of another run"):
        read_folder(tmp_path)
    run_bench(planned(suite, "gradient-ascent"), tmp_path)
    assert file.read_bytes() == before
    read_folder(tmp_path)


def test_arrays_that_are_not_there_are_not_missed(suite: Suite, tmp_path: Path) -> None:
    run_bench(planned(suite, "gradient-ascent", sets=SETS), tmp_path)
    for file in (tmp_path / "arrays/class-3").iterdir():
        file.unlink()
    run_bench(planned(suite, "fine-tune"), tmp_path)
    assert ("class-3", "gradient-ascent") in rows(tmp_path)
    with pytest.warns(UserWarning, match="not there, so that a page shows less than was measured"):
        report(tmp_path)


def test_names_that_cannot_stand_in_records_are_refused_before_any_work(tiny_suite: Suite, tmp_path: Path) -> None:
    plan = plan_bench(replace(tiny_suite, name="a\0b"), ["fine-tune"], models=3)
    with pytest.raises(BadSetting, match="suite: expected a name without control characters"):
        require_place(plan, tmp_path)


def test_run_json_names_no_file_outside(suite: Suite, both: Path, tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.jsonl", [a_score()])
    write_run(tmp_path, RunInfo(), {"../../etc/passwd": "0"})
    with pytest.raises(ExpungeError, match="which is no file of its folder"):
        read_folder(tmp_path)

"""A bench until it is decided: rows stop when they are told apart, what is written is that of as many models."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from expunge.bench import until_decided
from expunge.bench.plan import BenchPlan, plan_bench
from expunge.bench.run import require_place, run_bench
from expunge.bench.until_decided import Decided, require_a_place, rounds, run_until_decided
from expunge.errors import BadSetting, StoreError, TooFewModels
from expunge.methods import task
from expunge.records import read_scores
from expunge.store import at_store
from expunge.suites import Suite


@pytest.fixture
def threes(monkeypatch: pytest.MonkeyPatch, tiny_store: Path) -> Iterator[None]:
    """Rounds of three models on the tiny suite, of which it has six."""
    monkeypatch.setattr(until_decided, "FIRST", 3)
    with at_store(tiny_store):
        yield


@pytest.fixture(scope="module")
def decided(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> tuple[Decided, Path]:
    """Two methods that lie far from each other, and from doing nothing."""
    folder = tmp_path_factory.mktemp("race")
    with at_store(folder / "store"):
        return run_until_decided(planned(suite), folder / "out"), folder


def planned(suite: Suite, models: int = 100, oracles: int | None = None) -> BenchPlan:
    methods = {
        "gradient-ascent": {"epochs": 7, "lr": 0.000635, "momentum": 0.9},
        "random-labels": {"epochs": 2, "lr": 0.000223, "momentum": 0.9},
    }
    return plan_bench(
        suite, list(methods), ["class-3"], models=models, oracles=oracles, settings=methods, tuning="default"
    )


def models_of(folder: Path) -> dict[str, set[tuple[int, int]]]:
    found: dict[str, set[tuple[int, int]]] = {}
    for score in read_scores(folder / "scores.jsonl"):
        found.setdefault(score.subject.method, set()).add((score.models, score.oracle_models))
    return found


def test_a_race_ends_when_all_is_decided(decided: tuple[Decided, Path]) -> None:
    found, folder = decided
    (one,) = found.sets
    assert {frozenset((each.nearer, each.farther)) for each in one.decided} == {
        frozenset(("identity", "gradient-ascent")),
        frozenset(("identity", "random-labels")),
        frozenset(("gradient-ascent", "random-labels")),
    }
    assert {each.models for each in one.decided} == {25}
    assert (one.open_, one.ran) == ((), {"gradient-ascent": 25, "random-labels": 25})
    assert found.unlearned == (50, 200)
    assert found.saved == pytest.approx(0.75)
    names = ("identity", "oracle", "gradient-ascent", "random-labels")
    assert models_of(folder / "out") == {name: {(25, 100)} for name in names}
    told = json.loads((folder / "out/decided.json").read_text())
    assert [each["models"] for each in told[0]["decided"]] == [25, 25, 25]


def test_the_folder_is_that_of_a_bench_of_as_many(suite: Suite, decided: tuple[Decided, Path], tmp_path: Path) -> None:
    found, folder = decided
    with at_store(folder / "store"):
        assert run_bench(planned(suite, models=25, oracles=100), tmp_path) == found.scores


@pytest.mark.slow
def test_again_it_is_the_same_and_nothing_is_unlearned(
    suite: Suite, decided: tuple[Decided, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, folder = decided
    before = (folder / "out/scores.jsonl").read_bytes()
    monkeypatch.setattr(task, "run_method", None)
    with at_store(folder / "store"):
        again = run_until_decided(planned(suite), folder / "out")
    assert again == found
    assert (folder / "out/scores.jsonl").read_bytes() == before


@pytest.mark.slow
def test_an_interrupted_race_goes_on(suite: Suite, decided: tuple[Decided, Path], tmp_path: Path) -> None:
    def stop(done: int, total: int, label: str) -> None:
        if label.startswith("look at random-labels"):
            raise KeyboardInterrupt

    with at_store(tmp_path / "store"):
        with pytest.raises(KeyboardInterrupt):
            run_until_decided(planned(suite), tmp_path / "out", watch=stop)
        assert run_until_decided(planned(suite), tmp_path / "out").sets == decided[0].sets


def test_rows_that_are_the_very_same_are_not_waited_for(tiny_suite: Suite, threes: None, tmp_path: Path) -> None:
    plan = plan_bench(tiny_suite, ["gradient-ascent"], ["first"], models=6, settings={"gradient-ascent": {"lr": 1e-30}})
    (one,) = run_until_decided(plan, tmp_path).sets
    assert one.ran == {"gradient-ascent": 3}
    assert one.open_ == (("identity", "gradient-ascent"),)


def test_rows_that_ran_on_stand_among_themselves_too(
    tiny_suite: Suite, threes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = {"gradient-ascent": {"lr": 1e-30}}
    plan = plan_bench(tiny_suite, ["gradient-ascent", "fine-tune"], ["first"], models=6, settings=same)
    found = run_until_decided(plan, tmp_path)
    (one,) = found.sets
    assert one.ran == {"gradient-ascent": 6, "fine-tune": 6}  # three models decide nothing
    assert models_of(tmp_path)["fine-tune"] == {(6, 6)}
    monkeypatch.setattr(
        until_decided._SetRace, "decide", stopping_early(until_decided._SetRace.decide, "gradient-ascent")
    )
    other = run_until_decided(plan, tmp_path / "other")
    assert other.sets[0].ran == {"gradient-ascent": 3, "fine-tune": 6}
    assert list(other.tables) == [tmp_path / "other", tmp_path / "other/models-6"]
    assert models_of(tmp_path / "other")["fine-tune"] == {(3, 6)}
    assert models_of(tmp_path / "other/models-6").keys() == {"identity", "oracle", "fine-tune"}
    assert len(other.all_scores) > len(other.scores)


def stopping_early(decide: object, name: str) -> object:
    def stopped(self: until_decided._SetRace, models: int) -> None:
        if name in self.seen:
            self.seen[name] = replace(self.seen[name], distances=None)
        decide(self, models)  # type: ignore[operator]

    return stopped


def test_a_method_that_fails_stops_and_is_marked(tiny_suite: Suite, threes: None, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def forget_it(model, retain, forget, seed):\n    raise ValueError('no')\n")
    plan = plan_bench(tiny_suite, [f"{file}:forget_it"], ["first"], models=6)
    found = run_until_decided(plan, tmp_path / "out")
    assert found.sets[0].ran == {f"{file}:forget_it": 3}
    assert "failed" in {score.status for score in found.scores}


def test_of_anchors_alone_nothing_is_asked(tiny_suite: Suite, threes: None, tmp_path: Path) -> None:
    found = run_until_decided(plan_bench(tiny_suite, ["identity"], ["first"], models=6), tmp_path)
    assert (found.saved, found.unlearned, found.sets[0].decided) == (0.0, (0, 0), ())
    assert models_of(tmp_path).keys() == {"identity", "oracle"}


@pytest.mark.slow
def test_workers_decide_the_same(tiny_suite: Suite, threes: None, tmp_path: Path) -> None:
    plan = plan_bench(tiny_suite, ["gradient-ascent"], ["first", "more"], models=6)
    alone = run_until_decided(plan, tmp_path / "alone")
    assert run_until_decided(plan, tmp_path / "two", workers=2).sets == alone.sets


def test_too_few_models_and_folders_of_others_are_refused(suite: Suite, tiny_suite: Suite, tmp_path: Path) -> None:
    with pytest.raises(TooFewModels, match="expected 3 models and 3 oracles or more to decide by, got 2 and 2"):
        run_until_decided(planned(suite, models=2), tmp_path)
    with pytest.raises(TooFewModels, match="got 25 and 2"):
        run_until_decided(planned(suite, models=25, oracles=2), tmp_path)
    with pytest.raises(BadSetting, match="expected 2 to 100 oracles"):
        planned(suite, oracles=101)
    with pytest.raises(StoreError, match="no margins"):
        run_until_decided(plan_bench(replace(tiny_suite, name="unbuilt"), ["fine-tune"], models=6), tmp_path)
    run_bench(plan_bench(suite, ["fine-tune"], ["class-3"], models=3), tmp_path)
    with pytest.raises(BadSetting, match="3 models against 3 oracles, which cannot stand beside"):
        run_until_decided(planned(suite), tmp_path)


def test_rounds_are_of_whole_chunks() -> None:
    assert rounds(25, 100) == [25, 50, 75, 100]
    assert rounds(10, 100) == [20, 40, 60, 80, 100]
    assert rounds(25, 20) == [20]
    assert np.all(np.diff(rounds(3, 100)[:-1]) == 21)


def test_a_later_bench_is_told_which_numbers_stand_there(
    suite: Suite, decided: tuple[Decided, Path], tmp_path: Path
) -> None:
    with pytest.raises(BadSetting, match="bench with --models 25 --oracles 100, or give another"):
        require_place(plan_bench(suite, ["fine-tune"], ["class-3"], models=25), decided[1] / "out")
    require_place(plan_bench(suite, ["fine-tune"], ["class-3"], models=25, oracles=100), decided[1] / "out")
    require_a_place(plan_bench(suite, ["fine-tune"], ["class-3"]), decided[1] / "out")  # it may stop after 25

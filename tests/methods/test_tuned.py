"""Which settings a bench uses, and that it says so."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expunge.bench.plan import plan_bench
from expunge.errors import BadSetting, StoreError, UnknownName
from expunge.methods import METHODS, tuned
from expunge.methods.searches import read_search, write_search
from expunge.methods.settings import settings_in
from expunge.methods.tuned import in_words, kind_in_words, settings_for
from expunge.suites import ForgetSet, Suite, load_suite
from tests.searches import a_search


@pytest.fixture
def folder(tmp_path: Path, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tuned settings of which there are some: scrub on digits, for random sets and for a class."""
    for kind, changes in {"random": {}, "class": {"kind": "class", "frontier": a_search(suite).frontier[1:]}}.items():
        (tmp_path / "digits" / kind).mkdir(parents=True)
        write_search(tmp_path / "digits" / kind / "scrub.json", a_search(suite, **changes))
    monkeypatch.setattr(tuned, "SHIPPED", tmp_path)
    return tmp_path


def used(suite: Suite, method: str = "scrub", kind: str = "random", **options: Any) -> tuned.Used:
    return settings_for(suite, ForgetSet("mine", [1, 2], kind=kind), method, {}, **options)


@pytest.mark.usefixtures("folder")
def test_tuned_settings_are_of_a_suite_and_its_sparse_ones() -> None:
    for name in ("digits", "digits@omp-0.95"):
        assert used(load_suite(name)).settings["lr"] == 0.02
    for name, method in (("tabular", "scrub"), ("digits", "fine-tune")):
        assert used(load_suite(name), method).label == "default"


@pytest.mark.usefixtures("folder")
def test_settings_are_those_for_the_kind_and_the_budget(suite: Suite) -> None:
    found = used(suite)
    assert (found.settings["epochs"], found.label, found.budget) == (1, "tuned for random, 15 %", 0.15)
    half = used(suite, budget=0.5)
    assert (half.settings["epochs"], half.label, half.budget) == (3, "tuned for random, 50 %", 0.5)
    dear = used(suite, kind="class")
    assert (dear.settings["epochs"], dear.label) == (3, "tuned for class, 15 %, nothing found so cheap")
    assert used(suite, kind="memorised").label == "default"


def test_that_a_search_did_not_go_as_far_as_the_budget_is_said(folder: Path, suite: Suite) -> None:
    write_search(folder / "digits/random/scrub.json", a_search(suite, limit=0.15))
    assert used(suite).label == "tuned for random, 15 %"
    assert used(suite, budget=0.5).label == "tuned for random, 50 %, looked for up to 15 %"


@pytest.mark.usefixtures("folder")
def test_sets_without_a_kind_take_what_was_found_for_random_ones_and_influential_ones_that_of_neighbours(
    suite: Suite,
) -> None:
    assert used(suite, kind="") == used(suite)
    assert used(suite, kind="influential") == used(suite, kind="neighbours")
    assert tuned.tuned_as("influential") == "neighbours"
    assert kind_in_words(ForgetSet("mine", [1])).startswith("mine names no kind of random, class,")
    assert kind_in_words(ForgetSet("mine", [1], kind="class")) == ""


@pytest.mark.parametrize(
    ("budget", "message"),
    [(0.0, "got 0"), (-1.0, "got -1"), (15.0, "got 15; did you mean 0.15"), (1.5, "got 1.5; did you mean 0.015")],
)
def test_a_budget_is_a_share(suite: Suite, budget: float, message: str) -> None:
    with pytest.raises(BadSetting, match=f"expected a budget above 0 and at most 1, a whole retraining, {message}"):
        plan_bench(suite, ["scrub"], ["random-10"], models=2, budget=budget)


@pytest.mark.usefixtures("folder")
def test_a_bench_takes_tuned_settings_and_overrides_go_on_top(suite: Suite) -> None:
    sets = ["random-10", "class-3"]
    tasks = {(task.name, task.forget.name): task for task in plan_bench(suite, ["scrub"], sets, models=2).tasks}
    random, whole = tasks["scrub", "random-10"], tasks["scrub", "class-3"]
    assert (random.settings["lr"], random.settings["alpha"]) == (0.02, 0.3)
    assert (random.settings["epochs"], whole.settings["epochs"]) == (1, 3)
    assert (random.budget, tasks["identity", "class-3"].budget) == (0.15, None)
    settings = {"scrub": {"lr": 0.5}, "fine-tune": {"lr": 0.3}}
    plan = plan_bench(suite, ["scrub", "fine-tune"], ["random-10"], models=2, settings=settings)
    found = {task.name: task for task in plan.tasks}
    assert (found["scrub"].settings["lr"], found["scrub"].settings["alpha"]) == (0.5, 0.3)
    assert {name: task.tuning for name, task in found.items()} == {
        "identity": "",
        "oracle": "",
        "scrub": "tuned for random, 15 %; set: lr",
        "fine-tune": "default; set: lr",
    }


@pytest.mark.usefixtures("folder")
def test_the_defaults_can_be_asked_for(suite: Suite) -> None:
    plan = plan_bench(suite, ["scrub"], ["random-10"], models=2, tuning="default")
    (task,) = [each for each in plan.tasks if each.name == "scrub"]
    assert task.settings == settings_in(METHODS["scrub"].config())
    assert (task.tuning, task.budget) == ("default", 0.15)
    with pytest.raises(UnknownName, match="unknown tuning 'tunned'; did you mean 'tuned'"):
        plan_bench(suite, ["scrub"], ["random-10"], models=2, tuning="tunned")


@pytest.mark.usefixtures("folder")
def test_settings_of_another_digest_are_refused_and_those_of_the_dense_suite_are_named(suite: Suite) -> None:
    other = replace(suite, version=2)
    with pytest.raises(BadSetting, match=f"tuned on digest {suite.digest}, this suite has {other.digest}; tune again"):
        used(other)
    assert used(other, wanted="default").label == "default"
    sparse = replace(suite, name="digits@omp-0.95", version=3)
    assert used(sparse).label == "tuned on digits for random, 15 %"


def test_settings_of_a_dense_suite_that_changed_are_refused_for_its_sparse_ones(folder: Path, suite: Suite) -> None:
    write_search(folder / "digits/random/scrub.json", a_search(suite, suite_digest="f" * 16))
    with pytest.raises(BadSetting, match="tuned on digest ffff"):
        used(replace(suite, name="digits@omp-0.95", version=3))


def test_a_search_in_which_all_failed_has_no_settings(folder: Path, suite: Suite) -> None:
    write_search(folder / "digits/random/scrub.json", a_search(suite, frontier=[]))
    assert used(suite).label == "default"


def test_methods_and_suites_of_ones_own_have_no_tuned_settings(folder: Path, suite: Suite, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def forget(model, retain, forget, seed):\n    return model\n")
    assert used(suite, f"{tmp_path / 'mine.py'}:forget").label == ""


def test_what_is_used_is_said_in_one_line() -> None:
    labels = [
        ("scrub", "tuned for class, 15 %"),
        ("scrub", "tuned for random, 15 %"),
        ("ct", "default; set: lr, epochs"),
    ]
    assert in_words(labels) == (
        "settings: tuned for class, 15 % (scrub), tuned for random, 15 % (scrub), default (ct with lr, epochs set)"
    )
    many = [(f"m{number}", "default") for number in range(9)]
    assert in_words(many) == "settings: default (9 methods)"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda record: {**record, "frontier": [{"trial": 0}]}, "is no record of a search: frontier"),
        (lambda record: {**record, "schema": 1}, "has schema 1, this expunge reads 2; tune again"),
        (lambda record: [record], "is no record of a search"),
        (lambda record: "}", "is no record of a search|has schema"),
    ],
)
def test_a_file_that_is_no_record_is_refused(
    spoil: Callable[[dict[str, Any]], object], message: str, folder: Path, suite: Suite
) -> None:
    file = folder / "digits/random/scrub.json"
    file.write_text(json.dumps(spoil(json.loads(file.read_text()))))
    with pytest.raises(StoreError, match=message):
        used(suite)
    with pytest.raises(StoreError, match="there is no file"):
        read_search(folder / "nothing.json")


def test_a_record_is_read_as_it_was_written_and_has_a_trial_a_line(folder: Path, suite: Suite) -> None:
    file = folder / "digits/random/scrub.json"
    assert read_search(file) == a_search(suite)
    trials = [line for line in file.read_text().splitlines() if '"origin"' in line]
    assert len(trials) == len(a_search(suite).trials)

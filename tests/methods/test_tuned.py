"""Which settings a bench uses, and that it says so."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from expunge.bench.plan import plan_bench
from expunge.errors import BadSetting, StoreError, UnknownName
from expunge.methods import METHODS, configure, tuned
from expunge.methods.tuned import Chosen, Search, Trial, in_words, read_search, settings_for, write_search
from expunge.suites import SUITES, Suite, load_suite

SHIPPED = sorted(tuned.SHIPPED.glob("*/*.json"))


def a_search(suite: Suite, **changes: object) -> Search:
    settings = asdict(METHODS["scrub"].config(lr=0.02, alpha=0.3))
    found = Search(
        method="scrub",
        suite=suite.name.partition("@")[0],
        suite_digest=suite.digest,
        objective="least",
        sampler="random",
        seed=0,
        budget=1,
        limit=0.15,
        pretrained=[100, 119],
        oracles=[0, 99],
        space={"lr": {"low": 0.01, "high": 0.1, "log": True, "whole": False}},
        sets=[{"name": "tuning-random", "size": 50, "digest": "0", "made": "so"}],
        untouched=3.0,
        trials=[Trial(number=0, settings={"lr": 0.02}, status="ok", objective=1.0, cost=0.1, seconds=0.1)],
        chosen=Chosen(trial=0, objective=1.0, settings=settings),
        hardware="none",
        versions={},
    )
    return replace(found, **changes)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tuned settings of which there are some: scrub on digits."""
    (tmp_path / "digits").mkdir()
    write_search(tmp_path / "digits/scrub.json", a_search(suite))
    monkeypatch.setattr(tuned, "SHIPPED", tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_tuned_settings_are_of_a_suite_and_its_sparse_ones() -> None:
    for name in ("digits", "digits@omp-0.95"):
        assert settings_for(load_suite(name), ["scrub"], {})["scrub"].settings["lr"] == 0.02
    for name, method in (("tabular", "scrub"), ("digits", "fine-tune")):
        assert settings_for(load_suite(name), [method], {})[method].label == "default"


@pytest.mark.usefixtures("folder")
def test_a_bench_takes_tuned_settings_and_overrides_go_on_top(suite: Suite) -> None:
    tasks = {task.name: task for task in plan_bench(suite, ["scrub", "fine-tune"], ["random-10"], models=2).tasks}
    assert (tasks["scrub"].settings["lr"], tasks["scrub"].settings["alpha"]) == (0.02, 0.3)
    assert {name: task.tuning for name, task in tasks.items()} == {
        "identity": "",
        "oracle": "",
        "scrub": "tuned",
        "fine-tune": "default",
    }
    settings = {"scrub": {"lr": 0.5}, "fine-tune": {"lr": 0.3}}
    plan = plan_bench(suite, ["scrub", "fine-tune"], ["random-10"], models=2, settings=settings)
    tasks = {task.name: task for task in plan.tasks}
    assert (tasks["scrub"].settings["lr"], tasks["scrub"].settings["alpha"]) == (0.5, 0.3)
    assert (tasks["scrub"].tuning, tasks["fine-tune"].tuning) == ("tuned; set: lr", "default; set: lr")


@pytest.mark.usefixtures("folder")
def test_the_defaults_can_be_asked_for(suite: Suite) -> None:
    plan = plan_bench(suite, ["scrub"], ["random-10"], models=2, tuning="default")
    (task,) = [each for each in plan.tasks if each.name == "scrub"]
    assert task.settings == asdict(METHODS["scrub"].config())
    assert task.tuning == "default"
    with pytest.raises(UnknownName, match="unknown tuning 'tunned'; did you mean 'tuned'"):
        plan_bench(suite, ["scrub"], ["random-10"], models=2, tuning="tunned")


@pytest.mark.usefixtures("folder")
def test_settings_of_another_digest_are_refused_and_those_of_the_dense_suite_are_named(suite: Suite) -> None:
    other = replace(suite, version=2)
    with pytest.raises(BadSetting, match=f"tuned on digest {suite.digest}, this suite has {other.digest}; tune again"):
        settings_for(other, ["scrub"], {})
    assert settings_for(other, ["scrub"], {}, "default")["scrub"].label == "default"
    sparse = replace(suite, name="digits@omp-0.95", version=3)
    assert settings_for(sparse, ["scrub", "fine-tune"], {})["scrub"].label == "tuned on digits"


def test_settings_of_a_dense_suite_that_changed_are_refused_for_its_sparse_ones(folder: Path, suite: Suite) -> None:
    write_search(folder / "digits/scrub.json", a_search(suite, suite_digest="f" * 16))
    with pytest.raises(BadSetting, match="tuned on digest ffff"):
        settings_for(replace(suite, name="digits@omp-0.95", version=3), ["scrub"], {})


def test_a_search_in_which_all_failed_has_no_settings(folder: Path, suite: Suite) -> None:
    write_search(folder / "digits/scrub.json", a_search(suite, chosen=None))
    assert settings_for(suite, ["scrub"], {})["scrub"].label == "default"


def test_methods_and_suites_of_ones_own_have_no_tuned_settings(folder: Path, suite: Suite, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def forget(model, retain, forget, seed):\n    return model\n")
    name = f"{tmp_path / 'mine.py'}:forget"
    assert settings_for(suite, [name], {})[name].label == ""


def test_what_is_used_is_said_in_one_line() -> None:
    labels = {"scrub": "tuned on digits", "fine-tune": "default; set: lr, epochs", "gradient-ascent": "default"}
    assert in_words("digits@omp-0.95", labels) == (
        "settings: tuned on digits (scrub), default: fine-tune with lr, epochs set, gradient-ascent"
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda record: {**record, "chosen": {"trial": 0}}, "is no record of a search: chosen"),
        (lambda record: {**record, "schema": 2}, "has schema 2"),
        (lambda record: [record], "is no record of a search"),
    ],
)
def test_a_file_that_is_no_record_is_refused(
    spoil: Callable[[dict[str, Any]], object], message: str, folder: Path, suite: Suite
) -> None:
    file = folder / "digits/scrub.json"
    file.write_text(json.dumps(spoil(json.loads(file.read_text()))))
    with pytest.raises(StoreError, match=message):
        settings_for(suite, ["scrub"], {})
    with pytest.raises(StoreError, match="there is no file"):
        read_search(folder / "nothing.json")


@pytest.mark.parametrize("file", SHIPPED, ids=[f"{file.parent.name}/{file.stem}" for file in SHIPPED])
def test_a_shipped_search_is_of_this_suite_and_method_and_its_settings_are_allowed(file: Path) -> None:
    search = read_search(file)
    assert (search.suite, search.method) == (file.parent.name, file.stem)
    assert search.suite in SUITES
    assert search.suite_digest == load_suite(search.suite).digest
    assert search.space.keys() <= METHODS[file.stem].search.keys()
    assert search.chosen is not None
    assert search.chosen.settings == asdict(configure(file.stem, METHODS[file.stem], search.chosen.settings))
    best = min(trial.objective for trial in search.trials if trial.objective is not None)
    assert search.chosen.objective == best
    assert all(trial.cost <= search.limit for trial in search.trials if trial.cost is not None and search.limit)


DIGITS = [file for file in SHIPPED if file.parent.name == "digits"]  # half a minute each; larger suites lag behind


@pytest.mark.parametrize("file", DIGITS, ids=[file.stem for file in DIGITS])
def test_settings_for_digits_were_looked_for_where_the_row_says_today(file: Path) -> None:
    """A row that looks elsewhere has to be tuned anew."""
    today = {name: asdict(space) for name, space in METHODS[file.stem].search.items()}
    assert read_search(file).space == json.loads(json.dumps(today))

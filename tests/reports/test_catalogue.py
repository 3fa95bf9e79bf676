"""Listings tell of every suite without its examples, and make no forget set that takes time."""

from pathlib import Path

import pytest

from expunge.errors import BadSetting, UnknownName
from expunge.reports.catalogue import catalogue, describe
from expunge.reports.doctor import examine
from expunge.reports.readings import RULES
from expunge.reports.tables.scores import LEGEND
from expunge.suites import SUITES

EXAMPLE = Path(__file__).parents[2] / "examples/own_suite.py"


@pytest.fixture(autouse=True)
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder of data, and no hub."""
    monkeypatch.setenv("EXPUNGE_DATA", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")


def test_every_suite_is_listed() -> None:
    entries = catalogue("suites")
    assert [each["name"] for each in entries] == list(SUITES)
    assert entries[-1]["summary"] == "44200 train and 3400 test examples, 17 classes, 200 models"


def test_forget_sets_are_listed_made_or_not() -> None:
    entries = {(each["suite"], each["name"]): each for each in catalogue("forget-sets")}
    assert entries["cifar10-resnet9", "set-10"]["size"] == 100
    assert entries["fashion-mnist-10k", "class-6"]["size"] == 1000
    unmade = entries["svhn", "class-3"]
    assert (unmade["size"], unmade["digest"]) == (None, None)
    assert unmade["summary"].startswith("of svhn, made when asked for: every training example of class 3")


@pytest.mark.parametrize("name", list(SUITES))
def test_a_suite_is_described_without_its_examples(name: str) -> None:
    entry = describe(name)
    assert len(entry["digest"]) == 16
    assert entry["forget sets"]


def test_a_suite_of_ones_own_is_described() -> None:
    entry = describe(f"{EXAMPLE}:flowers")
    assert entry["name"] == "flowers"
    assert entry["forget sets"]["long"] == "3 of 75: those whose value is True"
    assert entry["forget sets"]["random-5"] == "5 of 75: 5 examples drawn uniformly, seed 0"
    assert (entry["classes"], entry["data"]) == (["0", "1", "2"], "arrays given by the user")


def test_a_method_of_ones_own_is_no_suite(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text('def half(model, retain, forget, seed):\n    """Halve it."""\n    return model\n')
    entry = describe(f"{file}:half")
    assert (entry["kind"], entry["what"]) == ("method", "Halve it.")
    assert entry["called as"].startswith("half(model, retain, forget, seed)")
    with pytest.raises(UnknownName, match=r"no function 'hlaf'; did you mean 'half'\?"):
        describe(f"{file}:hlaf")


def test_a_function_that_takes_something_else_is_told_to_be_neither(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def flowers(seed):\n    return seed\n")
    with pytest.raises(
        BadSetting,
        match=r"no method and no suite: expected .* got flowers\(seed\); .* a suite.s function takes nothing",
    ):
        describe(f"{file}:flowers")


def test_a_forget_set_of_one_suite_needs_no_suite_and_one_of_several_does() -> None:
    assert len(describe("memorised-50")["indices"]) == 50
    assert len(describe("cifar10-resnet9/set-4")["indices"]) == 10
    with pytest.raises(UnknownName, match="3 suites have a forget set 'set-7'; say which: cifar10-resnet9/set-7, "):
        describe("set-7")


def test_the_doctor_asks_for_no_examples() -> None:
    assert [each["name"] for each in examine() if not each["ok"]] == []


def test_the_readings_are_told_in_full() -> None:
    entry = describe("readings")
    assert {name.partition(" ")[2] for name in entry["readings"]} == set(RULES)
    assert set(LEGEND) <= set(entry["columns"])

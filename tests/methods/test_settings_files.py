"""Settings in files: by method, in TOML or JSON, or the record of a search; what is wrong with one is a line."""

import json
from pathlib import Path

import pytest

from expunge.bench.plan import plan_bench
from expunge.errors import ExpungeError, UserError
from expunge.methods.searches import write_search
from expunge.methods.settings_files import read_settings
from expunge.suites import Suite
from tests.searches import a_search


def written(folder: Path, name: str, text: str | bytes) -> Path:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("some.toml", '[fine-tune]\nlr = 0.02\n["mine.py:f"]\nby = 1\n'),
        ("some.json", '{"fine-tune": {"lr": 0.02}, "mine.py:f": {"by": 1}}'),
    ],
)
def test_a_table_for_each_method_is_read(name: str, text: str, tmp_path: Path) -> None:
    mine = written(tmp_path, "mine.py", "def f(model, retain, forget, seed, *, by=2): pass")
    found = read_settings([written(tmp_path, name, text)], [f"{mine}:f"])
    assert found.settings == {"fine-tune": {"lr": 0.02}, f"{mine}:f": {"by": 1}}
    assert found.under({"fine-tune": {"lr": 0.5, "epochs": 2}})["fine-tune"] == {"lr": 0.5, "epochs": 2}


def test_the_record_of_a_search_serves_a_bench_by_its_budget(suite: Suite, tmp_path: Path) -> None:
    write_search(tmp_path / "record.json", a_search(suite))
    searches = read_settings([tmp_path / "record.json"]).searches
    for budget, epochs in ((0.15, 1), (0.5, 3)):
        plan = plan_bench(suite, ["scrub"], ["class-3"], models=2, searches=searches, budget=budget)
        [task] = [each for each in plan.tasks if each.name == "scrub"]
        assert (task.settings["epochs"], task.budget) == (epochs, budget)
        assert task.tuning == f"tuned for random, {100 * budget:g} %"


WRONG = {
    ("some.toml", "[fine-tune\n"): "some.toml is no TOML: ",
    ("some.json", "{"): "some.json is no JSON: ",
    ("some.json", b"\xff\xfe"): "some.json is no JSON: ",
    ("some.json", "[1]"): "expected a table of settings for each method, got list",
    ("some.toml", "lr = 0.02"): "got lr = 0.02; write its method above it, as [fine-tune]",
    ("some.toml", "[fine-tun]\nlr = 1"): "unknown method 'fine-tun'; did you mean 'fine-tune'?",
    ("some.yaml", "a: 1"): "expected settings in a .toml or .json, got .yaml; rename it",
    ("some.json", '{"schema": 2, "trials": 3}'): "is no record of a search",
}


@pytest.mark.parametrize("file", WRONG)
def test_what_cannot_be_read_is_refused_in_a_line(file: tuple[str, str | bytes], tmp_path: Path) -> None:
    with pytest.raises(ExpungeError) as caught:
        read_settings([written(tmp_path, *file)])
    assert WRONG[file] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no file .*nothing.toml"):
        read_settings([tmp_path / "nothing.toml"])


def test_two_files_on_one_method_are_refused(tmp_path: Path) -> None:
    files = [written(tmp_path, name, json.dumps({"scrub": {"lr": 0.1}})) for name in ("a.json", "b.json")]
    with pytest.raises(UserError, match=r"settings of 'scrub' stand in .*a.json too; give one of the two"):
        read_settings(files)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"scrub": {"alhpa": 1}}, "method 'scrub' has no setting 'alhpa'; did you mean 'alpha'?"),
        ({"scrub": {"lr": [1]}}, r"scrub.lr: expected a number, got \[1\]"),
        ({"fine-tune": {"lr": 1}}, "for 'fine-tune', which is not benched; the methods are identity, oracle, scrub"),
    ],
)
def test_what_methods_do_not_take_is_refused(table: dict[str, dict[str, object]], says: str, suite: Suite) -> None:
    with pytest.raises(UserError, match=says):
        plan_bench(suite, ["scrub"], ["class-3"], models=2, settings=table)

"""Settings of a function of the user's own: declared by its signature, given by name, refused in a line."""

import pickle
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from expunge.bench.plan import plan_bench
from expunge.ensembles import pretrain
from expunge.errors import UserError
from expunge.methods import configure, find_method, unlearn
from expunge.methods.addresses import addressed
from expunge.methods.task import Task, unlearn_chunk
from expunge.store import at_store
from expunge.suites import Suite
from expunge.tuning.search import tune

SHRINK = """
import torch
from expunge.methods.spaces import Between, OneOf
def shrink(model, retain, forget, seed, *, by=0.9, times=1, biases: bool = True, how="all", rate: float = 1):
    '''Shrink weights.'''
    with torch.no_grad():
        for _ in range(times):
            for parameter in model.parameters():
                parameter.mul_(by)
shrink.search = {"by": Between(0.5, 0.99), "times": Between(1, 3, whole=True)}
"""


def named(folder: Path, code: str = SHRINK, name: str = "shrink") -> str:
    (folder / "mine.py").write_text(code)
    return f"{folder}/mine.py:{name}"


def test_defaults_and_annotations_say_the_types(tmp_path: Path) -> None:
    config = find_method(named(tmp_path)).config
    types = {each.name: each.type for each in fields(config)}
    assert types == {"by": float, "times": int, "biases": bool, "how": str, "rate": float}
    assert asdict(config()) == {"by": 0.9, "times": 1, "biases": True, "how": "all", "rate": 1}


def test_they_reach_the_function_and_the_key(tiny_suite: Suite, tmp_path: Path) -> None:
    name, first = named(tmp_path), tiny_suite.forget_sets["first"]
    made, keys = [], set()
    for settings in ({}, {"by": 0.5}, {"by": 0.9, "times": 2}):
        task = Task(tiny_suite, first, name, configure(name, find_method(name), settings), 0)
        found = unlearn_chunk(task, range(2)).artefact
        assert found
        made.append(found.array("margins")[0].mean())
        keys.add(task.key(range(2)))
    assert len(set(made)) == len(keys) == 3


def test_a_config_reaches_another_process(tmp_path: Path) -> None:
    config = find_method(named(tmp_path)).config(times=3)
    assert asdict(pickle.loads(pickle.dumps(config))) == asdict(config)


def test_a_function_that_is_given_has_settings_too(suite: Suite) -> None:
    def halve(model, retain, forget, seed, *, share=0.5):  # type: ignore[no-untyped-def]
        for parameter in model.parameters():
            parameter.data.mul_(share)

    before = pretrain(suite, 2, first=100)
    after = unlearn(before, "random-10", halve, share=0.25)
    key = next(iter(dict(before.named_parameters())))
    assert after.get_parameter(key).allclose(before.get_parameter(key) / 4)
    with pytest.raises(UserError, match=r"halve.share: expected a number, got 'much'"):
        unlearn(before, "random-10", halve, share="much")


WRONG = {
    "def shrink(model, retain, forget): pass": "expected a function (model, retain, forget, seed), got shrink(model, ",
    "def shrink(model, retain, forget, *, lr=0.1): pass": "expected a function (model, retain, forget, seed), got",
    "def shrink(model, retain, forget, lr=0.1): pass": "its fourth, lr, would be given the seed: put seed before it",
    "def shrink(model, retain, forget, seed, *, lr): pass": "give lr a default, which also says its type",
    "def shrink(model, retain, forget, seed, lr): pass": "give lr a default, which also says its type",
    "def shrink(model, retain, forget, seed, *, lr=None): pass": "'lr': expected int, float, bool or str, a default",
    "def shrink(model, retain, forget, seed, *, lr: list = 1): pass": "'lr': expected int, float, bool or str, got",
    "def shrink(model, retain, forget, seed, *, lr: int = 0.5): pass": "'lr': expected a default that is int, as it",
    "def shrink(model, retain, forget, seed, *, lr=float('inf')): pass": "expected a default that is finite, got inf",
    "shrink = 3": "expected a function (model, retain, forget, seed) or a row shrink = Method(...), got int",
    SHRINK + "shrink.search = {'bye': OneOf((0.5,))}": "the method has no setting 'bye'; did you mean 'by'?",
    SHRINK + "shrink.search = {'by': (0.5, 1)}": "expected Between(low, high) or OneOf((one, another)) of",
    SHRINK + "shrink.search = {'times': Between(1, 3)}": "it is int, expected Between(low, high, whole=True) or OneOf",
    SHRINK + "shrink.search = {'how': OneOf((1, 2))}": "expected values that are str, got 1",
    SHRINK + "shrink.search = {'by': Between(0, 1, log=True)}": "expected 0 < low < high, got 0",
    SHRINK + "shrink.search = [1]": "expected a table of settings and spaces, got list",
}


@pytest.mark.parametrize("code", WRONG)
def test_what_is_no_method_is_refused_in_a_line(code: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        find_method(named(tmp_path, code))
    assert WRONG[code] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"tims": 2}, "has no setting 'tims'; did you mean 'times'?"),
        ({"times": 0.5}, "times: expected a whole number, got 0.5"),
        ({"by": "half"}, "by: expected a number, got 'half'"),
        ({"biases": 1}, "biases: expected true or false, got 1"),
    ],
)
def test_settings_that_it_does_not_take_are_refused(settings: dict[str, object], says: str, tmp_path: Path) -> None:
    name = named(tmp_path)
    with pytest.raises(UserError) as caught:
        configure(name, find_method(name), settings)
    assert says in str(caught.value)


@pytest.mark.parametrize("address", ["shrink", "mine.py:shrink", "{folder}/mine.py:shrink"])
def test_settings_are_given_to_it_by_its_name(address: str, tiny_suite: Suite, tmp_path: Path) -> None:
    name = named(tmp_path)
    settings = {address.format(folder=tmp_path): {"by": 0.5}}
    plan = plan_bench(tiny_suite, [name], ["first"], models=2, settings=settings)
    [task] = [each for each in plan.tasks if each.name == name]
    assert (task.settings["by"], task.tuning) == (0.5, "default; set: by")


def test_a_name_that_two_files_have_is_no_address() -> None:
    with pytest.raises(UserError, match=r"'f' may be one.py:f or two.py:f; give one of them in full"):
        addressed("f", ["one.py:f", "two.py:f"])


def test_it_is_tuned_as_a_row_of_the_table(tiny_suite: Suite, tiny_store: Path, tmp_path: Path) -> None:
    name = named(tmp_path)
    with at_store(tiny_store):
        found = tune(name, tiny_suite, trials=3, models=2, oracles=2)
    assert found.frontier
    assert len({(each.settings.get("by"), each.settings.get("times")) for each in found.trials}) == 3
    assert {trial.status for trial in found.trials} == {"ok"}


def test_without_a_search_it_says_what_to_add(tiny_suite: Suite, tmp_path: Path) -> None:
    name = named(tmp_path, SHRINK.partition("shrink.search")[0])
    with pytest.raises(UserError, match=r"nothing says where to look; add to its file SEARCH = {'by': Between"):
        tune(name, tiny_suite)

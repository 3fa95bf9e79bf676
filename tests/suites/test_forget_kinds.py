"""The kind of a forget set: builders give it, stores keep it, and what is no kind is refused."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy import ndarray

from expunge.ensembles import Plan, build_all
from expunge.ensembles.builds import derive_forget_sets
from expunge.errors import StoreError, UnknownName, lookup
from expunge.store import user_store
from expunge.suites import ForgetSet, ForgetSets, Suite, load_suite
from expunge.suites.derived import DERIVED, with_derived
from expunge.suites.forget_set import FORGET_KINDS, Unmade
from expunge.suites.forget_sets import (
    by_metadata,
    influential,
    memorised,
    neighbours,
    random_examples,
    subclass,
    whole_class,
)
from expunge.suites.pictures import derived_forget_sets
from expunge.tuning.tuning_sets import tuning_set
from tests.tiny_suite import tiny

ROWS = np.random.default_rng(0).normal(size=(40, 3))
LABELS = np.arange(40) % 2
HALVES = np.random.default_rng(1).random((30, 40)) < 0.5
MARGINS = HALVES * 1.0 + np.arange(40) / 40
BUILT: dict[str, Callable[[], ndarray]] = {
    "random": lambda: random_examples(40, 5, seed=0),
    "class": lambda: whole_class(LABELS, 1),
    "subclass": lambda: subclass(ROWS, LABELS, 1, 5),
    "memorised": lambda: memorised(MARGINS, HALVES, 5),
    "influential": lambda: influential(MARGINS, HALVES, 5),
    "neighbours": lambda: neighbours(ROWS, LABELS, 5),
}


def test_there_is_a_builder_of_every_kind() -> None:
    assert BUILT.keys() == FORGET_KINDS.keys()


@pytest.mark.parametrize("kind", list(BUILT))
def test_what_a_builder_makes_is_of_its_kind_wherever_it_is_taken(kind: str) -> None:
    indices, suite = BUILT[kind](), tiny()
    assert ForgetSet("mine", indices).kind == kind
    assert suite.forget_set(indices).kind == kind
    assert ForgetSets({"mine": indices})["mine"].kind == kind
    assert replace(suite, forget_sets={"mine": lambda: indices}).forget_sets["mine"].kind == kind
    assert ForgetSet("mine", indices[1:]).kind == ""  # what is computed of it is something else
    assert ForgetSet("mine", indices, kind="class").kind == "class"  # its owner knows better


def test_what_nobody_has_said_the_kind_of_has_none() -> None:
    assert ForgetSet("mine", by_metadata(LABELS, 1)).kind == ""
    assert ForgetSet("mine", [1, 2]).kind == tiny().forget_set([1, 2]).kind == ""
    assert ForgetSet("mine", [1, 2], kind=None).kind == ""


@pytest.mark.parametrize("kind", ["clas", "Class", " class", "memorized"])
def test_a_kind_that_does_not_exist_is_answered_with_the_nearest(kind: str) -> None:
    line = f"unknown kind of forget set '{kind}'; did you mean '{'memorised' if kind[0] == 'm' else 'class'}'"
    with pytest.raises(UnknownName, match=line):
        ForgetSet("mine", [1], kind=kind)
    with pytest.raises(UnknownName, match=line):
        Unmade("mine", lambda: np.array([1]), "so", kind)()


@pytest.mark.parametrize("name", [3, ["class"], b"class"])
def test_what_is_no_name_is_refused_where_names_are_looked_up(name: Any) -> None:
    with pytest.raises(UnknownName, match=r"expected a name as kind, got \w+; choose from class, influential"):
        lookup("kind", name, FORGET_KINDS)


def test_the_sets_of_known_suites_are_of_the_kinds_of_their_names(suite: Suite) -> None:
    for known in (suite, load_suite("tabular"), load_suite("fashion-mnist-10k")):
        for name, each in known.forget_sets.items():
            assert each.kind == name.partition("-")[0]
    pictures, animals = (
        [each.kind for each in load_suite(name).forget_sets.values()]
        for name in ("cifar10-allcnn", "living17-resnet18")
    )
    assert pictures == ["random"] * 3 + ["influential"] * 6 + ["neighbours"]
    assert animals == ["random"] + ["subclass"] * 4


@pytest.fixture
def halved(own_store: Path) -> Suite:
    """A suite of which models trained on halves are built, and no forget set is derived yet."""
    suite = replace(tiny(), name="halved", subsets=20, derive=partial(derived_forget_sets, size=5))
    build_all([(Plan(suite, "subset"), suite.subsets)])
    return suite


def test_derived_sets_keep_their_kinds_through_the_store_and_tuning_looks_at_none_of_them(halved: Suite) -> None:
    derive_forget_sets(halved)
    suite = with_derived(halved)
    kinds = {each.name: each.kind for each in suite.forget_sets.values()}
    assert kinds == {"first": "", "more": "", "memorised-5": "memorised", "influential-5": "influential"}
    scored = np.concatenate([each.indices for each in suite.forget_sets.values()])
    for kind in ("random", "memorised", "influential", "neighbours"):
        assert not np.isin(tuning_set(suite, kind).indices, scored).any()
    assert len(tuning_set(suite, "memorised")) == 5


def test_an_older_store_is_told_to_build_again_and_its_files_stay_as_they_are(halved: Suite, own_store: Path) -> None:
    """Its sets were the first in the order, and left nothing as hard to tune on."""
    key = f"{halved.digest}/forget_sets"
    user_store().write(key, {"memorised-5": np.arange(30, 35)}, {"made": {"memorised-5": "the most memorised"}})
    before = {file: file.read_bytes() for file in (own_store / key).rglob("*") if file.is_file()}
    assert before
    assert list(with_derived(halved).forget_sets) == ["first", "more"]
    with pytest.raises(UnknownName, match=r"rebuild\(suite\).* makes more"):
        with_derived(halved).forget_sets["memorised-5"]
    with pytest.raises(StoreError, match=r"has forget sets that are not made yet.*rebuild\(suite\)"):
        tuning_set(halved, "random")
    derive_forget_sets(halved)
    assert "memorised-5" in with_derived(halved).forget_sets
    assert before == {file: file.read_bytes() for file in (own_store / key).rglob("*") if file.is_file()}


@pytest.mark.parametrize("kinds", [None, ["memorised"], {"memorised-5": 3}])
def test_derived_sets_that_do_not_say_their_kinds_are_refused_in_a_line(halved: Suite, kinds: object) -> None:
    told = {"made": {"memorised-5": "so"}, **({"kinds": kinds} if kinds else {})}
    user_store().write(f"{halved.digest}/{DERIVED}", {"memorised-5": np.arange(30, 35)}, told)
    with pytest.raises(StoreError, match="does not say how its forget sets were made; remove it and build anew"):
        with_derived(halved)

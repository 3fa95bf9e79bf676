"""Tuning looks at no example that is scored, and its sets are of each kind, as large and as hard."""

from dataclasses import replace

import numpy as np
import pytest

from expunge.ensembles.stored_margins import read_subsets
from expunge.errors import BadSetting, StoreError, UnknownName
from expunge.suites import ForgetSet, ForgetSets, Suite, load_suite
from expunge.suites.data import flat_features
from expunge.suites.derived import with_derived
from expunge.suites.forget_set import FORGET_KINDS
from expunge.suites.forget_sets import influence_direction, memorisation, neighbours_of, odd_one, random_examples
from expunge.tuning.tuning_sets import MAKERS, kinds_of, tuning_set
from tests.tiny_suite import crowded

OF_NONE = [kind for kind in FORGET_KINDS if kind != "class"]


def scored(suite: Suite) -> set[int]:
    return set(np.concatenate([each.indices for each in suite.forget_sets.values()]).tolist())


def test_there_is_a_tuning_set_of_every_kind_and_digits_has_them_all(suite: Suite) -> None:
    assert MAKERS.keys() == FORGET_KINDS.keys()
    assert kinds_of(suite) == tuple(FORGET_KINDS)


@pytest.mark.parametrize("kind", OF_NONE)
def test_its_examples_are_in_no_scored_set_and_as_many_as_the_largest_of_the_kind(suite: Suite, kind: str) -> None:
    found = tuning_set(suite, kind)
    assert (found.kind, found.name) == (kind, f"tuning-{kind}")
    assert not scored(suite) & set(found.indices.tolist())
    assert len(found) == max(len(each) for each in suite.forget_sets.values() if each.kind == kind)
    assert found.digest == tuning_set(suite, kind).digest


def test_the_class_is_whole_and_no_scored_set_is_one_or_part_of_one(suite: Suite) -> None:
    labels, found = suite.data.train.y.numpy(), tuning_set(suite, "class")
    (label,) = np.unique(labels[found.indices])
    assert len(found) == (labels == label).sum()
    for each in suite.forget_sets.values():
        assert set(np.unique(labels[each.indices])) != {label}
    (part,) = np.unique(labels[tuning_set(suite, "subclass").indices])
    assert part != label


@pytest.mark.parametrize("kind", ["memorised", "influential", "neighbours"])
def test_scored_and_tuning_sets_are_of_alternate_ranks_of_one_order(suite: Suite, kind: str) -> None:
    margins, masks = read_subsets(suite)
    own = np.asarray(margins[:, : suite.data.sizes[0]]).astype(np.float64)
    features = flat_features(suite.data.train.x)
    if kind == "neighbours":
        order = neighbours_of(features, odd_one(features, suite.data.train.y.numpy()))
    else:
        values = memorisation(own, masks) if kind == "memorised" else influence_direction(own, masks)
        order = np.argsort(-values, kind="stable")
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order))
    mine, theirs = suite.forget_sets[f"{kind}-50"], tuning_set(suite, kind)
    assert sorted(rank[mine.indices]) == list(range(0, 100, 2))
    assert np.isin(rank[theirs.indices], np.arange(100)).sum() > 25  # the others are in other scored sets
    skipped = set(order[: rank[theirs.indices].max()].tolist()) - set(theirs.indices.tolist())
    assert skipped <= scored(suite)


def test_a_suite_without_kinds_is_tuned_for_random_sets_of_its_middle_size(small: Suite) -> None:
    assert kinds_of(small) == ("random",)
    assert len(tuning_set(small, "random")) == 15  # between 10 and 20
    assert tuning_set(small, "random").indices[0] >= 25


def test_without_models_on_halves_the_largest_class_is_taken(small: Suite) -> None:
    labels = small.data.train.y.numpy()
    assert (labels[tuning_set(small, "class").indices] == np.bincount(labels).argmax()).all()
    with pytest.raises(BadSetting, match="a tuning set of kind 'memorised' needs models trained on random halves"):
        tuning_set(small, "memorised")


def test_forget_sets_that_leave_too_little_are_told_in_one_line() -> None:
    with pytest.raises(BadSetting, match=r"leave 50 of 200 training examples, expected more than 80"):
        tuning_set(crowded(), "random")


@pytest.mark.parametrize("kind", ["memorised", "influential", "neighbours", "subclass"])
def test_every_kind_leaves_some_to_be_retained(kind: str) -> None:
    with pytest.raises(BadSetting, match=r"leave 50 of 200 training examples, expected more than 80"):
        tuning_set(crowded(), kind)


def test_a_class_that_is_all_that_is_left_leaves_nothing_to_look_at(small: Suite) -> None:
    """The distance on retain is of examples that are not scored."""
    others = np.setdiff1d(np.arange(200), tuning_set(small, "class").indices)
    full = replace(small, forget_sets=ForgetSets({"even": others[::2], "odd": others[1::2]}))
    with pytest.raises(BadSetting, match=r"leave 21 of 200 training examples, expected more than 21"):
        tuning_set(full, "class")


def test_a_suite_whose_every_class_is_scored_has_none_to_tune_on(small: Suite) -> None:
    labels = small.data.train.y.numpy()
    parts = ForgetSets({f"class-{label}": np.flatnonzero(labels == label)[:9] for label in range(10)})
    for kind in ("class", "subclass"):
        with pytest.raises(BadSetting, match="its forget sets leave no class to tune for kind 'class' on"):
            tuning_set(replace(small, forget_sets=parts), kind)


def test_a_kind_that_does_not_exist_is_answered_with_the_nearest(small: Suite) -> None:
    with pytest.raises(UnknownName, match="unknown kind of forget set 'clas'; did you mean 'class'"):
        tuning_set(small, "clas")
    with pytest.raises(UnknownName, match="unknown kind of forget set 'memorized'; did you mean 'memorised'"):
        ForgetSet("mine", [1, 2], kind="memorized")


def test_a_forget_set_is_of_the_kind_that_it_names_or_its_builder_does(small: Suite) -> None:
    assert ForgetSet("mine", [1, 2]).kind == ""
    assert ForgetSet("mine", [1, 2], kind="class").kind == "class"
    drawn = random_examples(small.data, 5, seed=0)
    assert small.forget_set(drawn).kind == ForgetSet("mine", drawn).kind == "random"
    assert replace(small, forget_sets={"mine": drawn}).forget_sets["mine"].kind == "random"


def test_forget_sets_that_are_not_made_yet_are_asked_for_first() -> None:
    with pytest.raises(StoreError, match="run `expunge build fashion-mnist` first"):
        tuning_set(load_suite("fashion-mnist"), "random")


def test_a_suite_made_in_python_is_told_what_makes_its_forget_sets_there(small: Suite) -> None:
    derived = replace(small, name="of ones own", derive=lambda margins, masks: ForgetSets({}))
    with pytest.raises(StoreError, match=r"make them by expunge\.bench\.rebuild\.rebuild\(suite\)"):
        tuning_set(derived, "random")
    with pytest.raises(UnknownName, match=r"expunge\.bench\.rebuild\.rebuild\(suite\).* makes more"):
        with_derived(derived).forget_sets["nowhere"]


@pytest.mark.parametrize("kind", ["class", "subclass"])
def test_the_class_is_as_hard_as_the_scored_one(suite: Suite, kind: str) -> None:
    """Models trained on halves are no surer of it: what they are surer of leaves less to be forgotten."""
    margins, _ = read_subsets(suite)
    known = np.asarray(margins[:, : suite.data.sizes[0]]).astype(np.float64).mean(axis=0)
    (scored_one,) = [each for each in suite.forget_sets.values() if each.kind == kind]
    assert known[tuning_set(suite, kind).indices].mean() <= known[scored_one.indices].mean()

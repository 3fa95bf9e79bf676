"""Builders of forget sets on arrays small enough to know the answer."""

import numpy as np
import pytest
from numpy import ndarray

from expunge.errors import BadSetting, UnknownName
from expunge.suites import ForgetSet, Suite
from expunge.suites.forget_sets import (
    influence,
    influential,
    memorised,
    neighbours,
    random_examples,
    subclass,
    whole_class,
)

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])
FEATURES = np.array([[0.0], [0.1], [5.0], [5.1], [9.0], [9.1], [9.2], [30.0]])


def test_a_random_set_is_sorted_unique_and_repeatable() -> None:
    chosen = random_examples(1000, 100, seed=3)
    assert (np.diff(chosen) > 0).all()
    assert np.array_equal(chosen, random_examples(1000, 100, seed=3))
    assert not np.array_equal(chosen, random_examples(1000, 100, seed=4))


def test_a_whole_class_is_every_one_of_it() -> None:
    assert whole_class(LABELS, 1).tolist() == [4, 5, 6, 7]


def test_a_subclass_is_the_heart_of_one_cluster() -> None:
    assert subclass(FEATURES, LABELS, label=0, size=2, seed=0).tolist() in ([0, 1], [2, 3])
    assert subclass(FEATURES, LABELS, label=1, size=2, seed=0).tolist() in ([4, 5], [5, 6])


def test_a_subclass_larger_than_any_cluster_is_refused() -> None:
    with pytest.raises(BadSetting, match="no cluster of 4"):
        subclass(FEATURES, LABELS, label=0, size=4, seed=0)


def test_neighbours_gather_round_the_odd_one() -> None:
    assert neighbours(FEATURES, LABELS, size=2).tolist() == [6, 7]


def test_influence_is_the_mean_with_less_the_mean_without() -> None:
    masks = np.array([[1, 0], [1, 1], [0, 1], [0, 0]], dtype=bool)
    margins = np.array([[4.0, 1.0], [6.0, 3.0], [1.0, 3.0], [1.0, 1.0]])
    assert influence(margins, masks).tolist() == [[4.0, 0.0], [1.0, 2.0]]


def test_influence_needs_models_with_and_without_every_example() -> None:
    with pytest.raises(BadSetting, match="some of the models and outside"):
        influence(np.zeros((2, 2)), np.array([[True, True], [True, False]]))


def test_influential_examples_lead_the_first_direction_whatever_its_sign() -> None:
    effect = np.outer([0.1, 3.0, 2.0, -1.0], [1.0, 2.0, 0.0, 1.0])
    assert influential(effect, 2).tolist() == [1, 2]
    assert influential(-effect, 2).tolist() == [1, 2]


def test_memorised_examples_have_the_largest_own_effect() -> None:
    assert memorised(np.diag([1.0, 5.0, 2.0, 4.0]), 2).tolist() == [1, 3]


@pytest.mark.parametrize("size", [0, 9])
def test_sizes_that_do_not_fit_are_refused(size: int) -> None:
    with pytest.raises(BadSetting, match=f"1 to 8 examples, got {size}"):
        random_examples(8, size, seed=0)


@pytest.mark.parametrize("indices", [[], [3, 3], [4, 2], [-1, 2]])
def test_indices_that_are_no_set_are_refused(indices: list[int]) -> None:
    with pytest.raises(BadSetting, match="forget set 'mine'"):
        ForgetSet("mine", np.array(indices, dtype=int), "by hand")


@pytest.mark.parametrize("indices", [[1437], list(range(1437))])
def test_indices_beyond_the_training_set_or_all_of_it_are_refused(indices: list[int], suite: Suite) -> None:
    with pytest.raises(BadSetting, match="does not fit the 1437"):
        suite.columns(ForgetSet("mine", np.array(indices), "by hand"))


def test_an_unknown_forget_set_is_answered_with_the_nearest(suite: Suite) -> None:
    with pytest.raises(UnknownName, match="did you mean 'random-50'"):
        suite.forget_sets["random-5O"]


def test_columns_of_the_splits_are_sorted_and_cover_everything(suite: Suite, forget: ForgetSet) -> None:
    columns: dict[str, ndarray] = suite.columns(forget)
    assert all((np.diff(each) > 0).all() for each in columns.values())
    assert np.array_equal(np.sort(np.concatenate(list(columns.values()))), np.arange(1797))
    assert np.array_equal(columns["forget"], forget.indices)

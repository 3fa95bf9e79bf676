"""Ordinary records to remove in place of an attacker's: disjoint, of the same size, and what their names say."""

import numpy as np
import pytest

from expunge.attacks.controls import control_sets, random_like
from expunge.ensembles.stored_margins import read_subsets
from expunge.errors import BadSetting
from expunge.suites import Suite
from expunge.suites.forget_sets import influence_on_others, memorisation

LABELS = np.repeat(np.arange(10), 3)
TAKEN = np.arange(40)


def test_disjoint_sets_of_the_same_size_without_what_is_taken(suite: Suite) -> None:
    found = control_sets(suite, LABELS, TAKEN, 0, draws=3)
    assert list(found.sets) == ["random", "influential", "memorised"]
    every = [*found.sets.values(), *found.draws]
    assert [len(rows) for rows in every] == [30] * 5
    assert len(np.unique(np.concatenate([TAKEN, *every]))) == 40 + 5 * 30


def test_the_memorised_are_the_most_memorised_that_are_left(suite: Suite) -> None:
    margins, masks = read_subsets(suite)
    own = memorisation(margins[:, : masks.shape[1]].astype(np.float32), masks)
    found = control_sets(suite, LABELS, TAKEN, 0)
    own[np.concatenate([TAKEN, found.sets["random"]])] = -np.inf
    assert set(found.sets["memorised"].tolist()) == set(np.argsort(-own)[:30].tolist())


def test_random_records_have_the_classes_of_the_attack_and_are_drawn_of_all_that_is_free(suite: Suite) -> None:
    found = control_sets(suite, LABELS, TAKEN, 0, draws=20)
    labels = suite.data.train.y.numpy()
    draws = [found.sets["random"], *found.draws]
    assert all(np.bincount(labels[rows]).tolist() == [3] * 10 for rows in draws)
    margins, masks = read_subsets(suite)
    own = memorisation(margins[:, : masks.shape[1]].astype(np.float32), masks)
    most = np.argsort(-own)[:30]
    assert np.isin(most, np.concatenate(draws)).sum() > 3  # the most memorised are among them, as by chance


def test_what_measures_a_control_says_how_reliable_it_is(suite: Suite) -> None:
    found = control_sets(suite, LABELS, TAKEN, 0).reliability
    assert found["memorised"] > 0.9
    assert abs(found["influential"]) < 0.3  # a single digit is worth too little to the test set to be measured so


def test_a_suite_without_models_on_halves_has_random_records_alone(tiny_suite: Suite) -> None:
    assert list(control_sets(tiny_suite, LABELS, TAKEN, 0).sets) == ["random"]


def test_more_of_a_class_than_are_left_is_said(tiny_suite: Suite) -> None:
    with pytest.raises(BadSetting, match="records of class 3 left for the controls, of which 90 are needed"):
        random_like(tiny_suite, np.full(90, 3), TAKEN)


def test_influence_on_others_is_the_difference_of_two_means() -> None:
    rng = np.random.default_rng(0)
    masks, margins = rng.random((50, 4)) < 0.5, rng.normal(size=(50, 6))
    found = influence_on_others(margins, masks)
    mean = margins.mean(axis=1)
    assert np.allclose(found, [mean[masks[:, i]].mean() - mean[~masks[:, i]].mean() for i in range(4)])

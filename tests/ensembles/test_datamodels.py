"""Estimators of datamodels: exact where that can be said, and right about what the removal of a class does."""

import numpy as np
import pytest
from numpy import ndarray

from expunge.ensembles import Plan, read_margins, read_subsets
from expunge.ensembles.datamodels import ESTIMATORS, difference, ridge, soft_threshold
from expunge.suites import Suite

MODELS, TRAIN = 200, 30


def halves(rng: np.random.Generator) -> ndarray:
    return np.argsort(rng.random((MODELS, TRAIN)), axis=1) < TRAIN // 2


def linear(noise: float, seed: int = 0) -> tuple[ndarray, ndarray, ndarray]:
    """Margins of 5 examples that are linear in the masks, up to noise; masks, and weights that sum to 0."""
    rng = np.random.default_rng(seed)
    masks, beta = halves(rng), rng.normal(size=(TRAIN, 5))
    beta -= beta.mean(axis=0)
    return masks @ beta + 3 + noise * rng.normal(size=(MODELS, 5)), masks, beta


def test_ridge_finds_linear_margins_exactly_but_for_what_no_half_tells() -> None:
    margins, masks, beta = linear(noise=0.0)
    forget = np.array([0, 7, 20])
    np.testing.assert_allclose(ridge(margins, masks, forget), beta[forget].sum(axis=0), rtol=0.02, atol=0.02)
    np.testing.assert_allclose(ridge(margins, masks, np.arange(TRAIN)), 0, atol=1e-8)


def test_ridge_draws_noise_to_nothing() -> None:
    rng = np.random.default_rng(0)
    margins, masks = rng.normal(size=(MODELS, 400)), halves(rng)
    forget = np.array([0, 7, 20])
    assert np.abs(ridge(margins, masks, forget)).mean() < 0.2 * np.abs(difference(margins, masks, forget)).mean()


def test_difference_is_of_means_with_and_without() -> None:
    margins, masks, _ = linear(noise=1.0)
    forget = np.array([0, 7])
    by_hand = sum(margins[masks[:, i]].mean(axis=0) - margins[~masks[:, i]].mean(axis=0) for i in forget)
    np.testing.assert_allclose(difference(margins, masks, forget), by_hand)


def test_a_soft_threshold_is_half_of_the_universal_one_in_standard_errors() -> None:
    margins, masks, _ = linear(noise=1.0)
    with_it = masks[:, 4]
    means = margins[with_it].mean(axis=0) - margins[~with_it].mean(axis=0)
    error = margins.std(axis=0) * np.sqrt(1 / with_it.sum() + 1 / (~with_it).sum())
    wanted = np.sign(means) * np.maximum(np.abs(means) - 0.5 * np.sqrt(2 * np.log(TRAIN)) * error, 0)
    assert ((wanted == 0) != (means == 0)).any()
    np.testing.assert_allclose(soft_threshold(margins, masks, np.array([4])), wanted)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_margins_in_many_blocks_give_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    margins, masks, _ = linear(noise=1.0)
    forget = np.array([1, 2, 3])
    whole = ESTIMATORS[name](margins.astype(np.float16), masks, forget)
    monkeypatch.setattr("expunge.ensembles.datamodels._BLOCK", 2)
    np.testing.assert_allclose(ESTIMATORS[name](margins.astype(np.float16), masks, forget), whole, rtol=1e-9)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_what_is_predicted_of_a_lost_class_correlates_with_what_happens(name: str, suite: Suite) -> None:
    forget = suite.forget_sets["class-3"]
    before, after = (
        read_margins(plan, 100, 100).values.mean(axis=0)
        for plan in (Plan(suite, "pretrained"), Plan(suite, "oracle", forget))
    )
    test = suite.columns(forget)["test"]
    predicted = -ESTIMATORS[name](*read_subsets(suite), forget.indices)
    assert np.corrcoef(predicted[test], (after - before)[test])[0, 1] > 0.5
    shuffled = np.random.default_rng(0).permutation(predicted[test])
    assert abs(np.corrcoef(shuffled, (after - before)[test])[0, 1]) < 0.2

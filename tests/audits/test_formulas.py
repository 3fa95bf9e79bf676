"""The formulas of attacks against slow ones, and against what they must say."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.special import expit, logit
from scipy.stats import entropy as shannon
from scipy.stats import gumbel_r

from expunge.audits.completeness import completeness, first_unseen, signal
from expunge.audits.population import confidence, entropy, label_only, loss, surprise
from expunge.audits.probe import halves, ridge_probe
from expunge.audits.rmia import mean_probability, rmia
from expunge.errors import TooFewModels
from expunge.metrics.modified_entropy import modified_entropy

RNG = np.random.default_rng(0)
LOGITS, LABELS = 3 * RNG.normal(size=(40, 5)), RNG.integers(5, size=40)
P = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


def test_loss_is_that_of_the_probability_and_does_not_saturate() -> None:
    margins = RNG.normal(size=(3, 4))
    assert loss(margins) == pytest.approx(-np.log(expit(margins)))
    assert loss(np.array([[40.0]])) == pytest.approx(np.exp(-40.0))


def test_confidence_is_the_log_odds_of_the_first_choice() -> None:
    assert confidence(LOGITS, LABELS) == pytest.approx(logit(P.max(axis=1)))


def test_entropy_is_turned_and_looks_at_no_label() -> None:
    assert entropy(LOGITS, LABELS) == pytest.approx(-shannon(P, axis=1))


def test_modified_entropy_is_turned_and_is_the_right_one() -> None:
    assert surprise(LOGITS, LABELS) == pytest.approx(-modified_entropy(P, LABELS))


def test_label_only_counts_what_is_right() -> None:
    assert label_only(np.array([[True, False]])).tolist() == [[1.0, 0.0]]


def test_rmia_counts_the_others_that_are_no_likelier() -> None:
    margins, others = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 6))
    reference, of_others = np.log(expit(RNG.normal(size=4))), np.log(expit(RNG.normal(size=6)))
    found = rmia(margins, others, reference, of_others, gamma=1.3)
    for model in range(3):
        for example in range(4):
            mine = expit(margins[model, example]) / np.exp(reference[example])
            theirs = expit(others[model]) / np.exp(of_others)
            assert found[model, example] == pytest.approx((mine >= 1.3 * theirs).mean())


def test_half_of_the_reference_models_have_seen_the_example_however_many_there_are() -> None:
    found = mean_probability(np.zeros((2, 1)), np.full((9, 1), 100.0))
    assert np.exp(found) == pytest.approx([0.75])


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning:scipy")
def test_completeness_is_the_weighted_sum_of_gumbel_distributions() -> None:
    margins, shadows = RNG.normal(size=(2, 3)), RNG.normal(size=(6, 3))
    unseen = RNG.random((6, 3)) < 0.7
    unseen[0] = True
    out, way = signal(expit(shadows)), np.linspace(0, 1, 100)
    mean = np.array([out[unseen[:, column], column].mean() for column in range(3)])
    total = 0.0
    for first, second in pairwise(way):
        at = mean + first * (signal(np.ones(1)) - mean)
        scale = np.sqrt(6) / np.pi * out[unseen].std() * (1 - first)
        total += second * gumbel_r.cdf(signal(expit(margins)), at - np.euler_gamma * scale, scale)
    assert completeness(margins, shadows, unseen) == pytest.approx(1 - total / way[1:].sum(), abs=1e-6)


def test_completeness_falls_as_the_model_is_surer() -> None:
    shadows = RNG.normal(size=(8, 1))
    found = completeness(np.linspace(-4, 12, 9)[:, None], shadows, np.ones((8, 1), bool))[:, 0]
    assert (np.diff(found) < 0).all()
    assert found[0] > 0.95
    assert found[-1] < 0.2


def test_one_shadow_model_is_enough_and_none_is_told() -> None:
    assert completeness(np.zeros((1, 2)), np.ones((1, 2)), np.ones((1, 2), bool)).shape == (1, 2)
    with pytest.raises(TooFewModels, match="1 shadow model or more that never saw each example"):
        completeness(np.zeros((1, 2)), np.ones((1, 2)), np.array([[True, False]]))


def test_the_first_few_models_that_never_saw_an_example_are_its_shadow_models() -> None:
    member = np.array([[True, False], [False, False], [False, True], [False, False]])
    assert first_unseen(member, 2).tolist() == [[False, True], [True, True], [True, False], [False, False]]


def test_the_probe_is_ridge_regression_of_one_hot_labels() -> None:
    x, labels = torch.randn(2, 30, 4, dtype=torch.float64), torch.arange(30) % 3
    found = ridge_probe(x, labels, x, 3, strength=1e-9)
    for model in range(2):
        with_one = np.concatenate([x[model].numpy(), np.ones((30, 1))], axis=1)
        weights = np.linalg.lstsq(with_one, np.eye(3)[labels.numpy()], rcond=None)[0]
        assert found[model].numpy() == pytest.approx(with_one @ weights, abs=1e-6)


def test_halves_share_no_example() -> None:
    one, other = halves(7)
    assert sorted([*one, *other]) == list(range(7))

"""The embedded suite is what the documentation says, and what is shipped with it belongs to it."""

import numpy as np
import pytest

from expunge.ensembles import Plan, pretrain, read_margins, read_subsets
from expunge.ensembles.train import measure
from expunge.metrics.klom import klom
from expunge.suites import Data, Suite
from expunge.suites.digits import known_forget_sets
from expunge.suites.pictures import derived_forget_sets

SIZES = {
    "random-10": 10,
    "random-50": 50,
    "random-144": 144,
    "class-3": 146,
    "subclass-50": 50,
    "influential-50": 50,
    "neighbours-50": 50,
    "memorised-50": 50,
}


def test_the_data_are_split_as_stated(suite: Suite) -> None:
    assert len(suite.data.train) == 1437
    assert len(suite.data.test) == 360
    assert suite.data.train.x.shape[1:] == (1, 8, 8)
    assert [float(edge) for edge in suite.data.train.x.aminmax()] == [0, 1]
    shares = [np.bincount(part.y, minlength=10) / len(part) for part in (suite.data.train, suite.data.test)]
    assert np.abs(shares[0] - shares[1]).max() < 0.002  # stratified


def test_the_digest_is_that_of_the_shipped_ensembles(suite: Suite) -> None:
    """Should this fail, what is shipped no longer belongs to the suite: build and ship it again."""
    assert suite.digest == "990e6b7af336da19"


def test_there_are_exactly_eight_forget_sets(suite: Suite) -> None:
    assert {name: len(each) for name, each in suite.forget_sets.items()} == SIZES


def test_the_builders_give_the_shipped_forget_sets(suite: Suite) -> None:
    margins, masks = read_subsets(suite)
    built = {**known_forget_sets(suite.data), **derived_forget_sets(margins, masks, size=50)}
    assert {name: each.digest for name, each in built.items()} == {
        name: each.digest for name, each in suite.forget_sets.items()
    }


def test_the_pretrained_models_are_accurate(suite: Suite) -> None:
    correct = read_margins(Plan(suite, "pretrained"), 0, 200).correct
    assert correct is not None
    assert correct[:, 1437:].mean() >= 0.983


def test_subsets_are_halves_with_their_masks(suite: Suite) -> None:
    margins, masks = read_subsets(suite)
    assert margins.shape == (1000, 1797)
    assert margins.dtype == np.float16
    assert masks.shape == (1000, 1437)
    assert (masks.sum(axis=1) == 718).all()
    assert len(np.unique(masks, axis=0)) == 1000
    inside = np.where(masks, margins[:, :1437].astype(float), np.nan)
    outside = np.where(masks, np.nan, margins[:, :1437].astype(float))
    assert np.nanmean(inside) > np.nanmean(outside)  # training on an example helps it


def test_shipped_weights_give_the_shipped_margins(suite: Suite) -> None:
    """To float32 on another processor; a mix-up of models would be off by whole units."""
    values, correct = measure(pretrain(suite, 5, first=95), suite.data)
    shipped = read_margins(Plan(suite, "pretrained"), 95, 5)
    np.testing.assert_allclose(values, shipped.values, atol=1e-3)
    assert shipped.correct is not None
    assert (correct.numpy() == shipped.correct).mean() > 0.999


@pytest.mark.parametrize("name", sorted(SIZES))
def test_oracles_sit_at_the_floor_and_pretrained_do_not(name: str, suite: Suite) -> None:
    """P95 of KLoM at N = 100: two halves of the oracles, then pretrained against oracles."""
    forget = suite.forget_sets[name]
    oracles = read_margins(Plan(suite, "oracle", forget), 0, 200).values
    pretrained = read_margins(Plan(suite, "pretrained"), 0, 100).values
    floor, nothing = klom(oracles[100:], oracles[:100]), klom(pretrained, oracles[:100])
    for columns in suite.columns(forget).values():
        assert np.percentile(floor[columns], 95) < 1.0
    assert np.percentile(nothing[forget.indices], 95) > 1.7 * np.percentile(floor[forget.indices], 95)


def test_the_digits_are_those_whose_hash_is_pinned(suite: Suite) -> None:
    assert Data(suite.data.train, suite.data.test, 10).sha256 == suite.data.sha256

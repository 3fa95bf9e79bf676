"""A cheat does not win: a few exploded models hide the rest from KLoM, and are seen for what they are."""

import numpy as np
import pytest
from numpy import ndarray

from expunge.bench.external_margins import score_margins
from expunge.ensembles import Plan, read_margins
from expunge.errors import BadMargins
from expunge.metrics.klom import klom
from expunge.metrics.outliers import outliers
from expunge.suites import ForgetSet, Suite


@pytest.fixture
def masked(suite: Suite) -> ndarray:
    """Untouched models, one of which answers at random with margins of 100."""
    margins = np.array(read_margins(Plan(suite, "pretrained"), 0, 100).values)
    margins[42] = 100 * np.random.default_rng(0).choice([-1, 1], size=margins.shape[1])
    return margins


def test_one_exploded_model_hides_the_others_from_klom(
    masked: ndarray, oracle_margins: ndarray, forget: ForgetSet
) -> None:
    """Why outliers are counted at all: doing nothing would reach the floor."""
    floor = klom(oracle_margins[100:], oracle_margins[:100])
    values = klom(masked, oracle_margins[:100])
    assert np.percentile(values, 95) < np.percentile(floor, 95) / 2


def test_it_is_counted_as_an_outlier(masked: ndarray, oracle_margins: ndarray, forget: ForgetSet) -> None:
    assert np.flatnonzero(outliers(masked, oracle_margins[:100])).tolist() == [42]
    assert np.flatnonzero(outliers(masked[:, forget.indices], oracle_margins[:100, forget.indices])).tolist() == [42]


def test_no_honest_model_is_an_outlier_on_any_split_of_any_forget_set(suite: Suite) -> None:
    pretrained = read_margins(Plan(suite, "pretrained"), 0, 200).values
    for forget in suite.forget_sets.values():
        oracles = read_margins(Plan(suite, "oracle", forget), 0, 200).values
        for columns in suite.columns(forget).values():
            for margins in (oracles[:100], oracles[100:], pretrained[:100], pretrained[100:]):
                assert not outliers(margins[:, columns], oracles[:100, columns]).any()


def test_the_reference_oracles_are_no_method(suite: Suite, forget: ForgetSet) -> None:
    oracle = read_margins(Plan(suite, "oracle", forget), 0, 100)
    copied = np.array(read_margins(Plan(suite, "pretrained"), 0, 100).values)
    copied[:, forget.indices] = oracle.values[:, forget.indices] + np.float32(1e-5)
    with pytest.raises(BadMargins, match="forget margins of a reference oracle"):
        score_margins(suite, forget.name, copied)


def test_margins_beyond_all_measure_are_far_and_overflow_nowhere(suite: Suite, forget: ForgetSet) -> None:
    huge = np.array(read_margins(Plan(suite, "pretrained"), 0, 10).values, dtype=np.float64) * 1e200
    with (
        pytest.warns(UserWarning, match="the columns may be in another order"),  # at the clip all are alike
        pytest.warns(UserWarning, match="100 % of the values lie beyond 100"),
    ):
        scores = score_margins(suite, forget.name, huge)
    assert max(score.value or 0 for score in scores if score.subject.method == "yours") > 10


def test_models_that_agree_to_the_last_bit_are_no_outliers() -> None:
    same = np.ones((5, 3))
    assert not outliers(same, same).any()
    assert outliers(np.vstack([same, np.zeros((1, 3))]), same).tolist() == [False] * 5 + [True]


def test_models_on_their_way_to_the_oracles_are_no_outliers() -> None:
    rng = np.random.default_rng(0)
    oracle, unlearned = rng.normal(-10, 1, (50, 20)), rng.normal(8, 1, (50, 20))
    unlearned[:5] -= 17  # five have forgotten, the others have not
    assert not outliers(unlearned, oracle).any()


def test_where_some_oracles_got_stuck_models_that_did_are_no_outliers_and_exploded_ones_are() -> None:
    rng = np.random.default_rng(0)
    oracle, unlearned = rng.normal(6, 0.8, (20, 30)), rng.normal(6, 0.8, (20, 30))
    unlearned[3] = rng.normal(-1, 0.1, 30)
    assert np.flatnonzero(outliers(unlearned, oracle)).tolist() == [3]
    oracle[11] = rng.normal(-1, 0.1, 30)
    assert not outliers(unlearned, oracle).any()
    unlearned[5] *= 8
    assert np.flatnonzero(outliers(unlearned, oracle)).tolist() == [5]

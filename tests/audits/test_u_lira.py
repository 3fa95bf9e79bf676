"""U-LiRA is as good as can be where the truth is normal, and finds nothing where there is nothing."""

import numpy as np
import pytest
from numpy import ndarray
from scipy.stats import norm

from expunge.audits.game import auc
from expunge.audits.lira import lira
from expunge.audits.u_lira import cross_fitted, log_ratio, moments
from expunge.audits.u_lira_shadows import corrected, uncorrected
from expunge.errors import BadMargins, TooFewModels
from tests.metrics.simulated import draw


def best_auc(shift: float, spread: float) -> float:
    """The AUC of Neyman and Pearson's test of N(shift, spread^2) against N(0, 1): pairs ordered by the ratio."""
    x = np.linspace(-12, 12 + shift, 40001)
    seen, unseen = norm.pdf(x, shift, spread), norm.pdf(x)
    order = np.argsort(norm.logpdf(x, shift, spread) - norm.logpdf(x))
    below = np.cumsum(unseen[order]) / unseen.sum()
    return float((seen[order] / seen.sum()) @ below)


@pytest.mark.parametrize(("shift", "spread"), [(0.5, 1.0), (2.0, 1.0), (0.0, 3.0), (1.0, 0.5)])
def test_on_two_normals_it_gets_the_auc_of_neyman_and_pearson(shift: float, spread: float) -> None:
    rng = np.random.default_rng(0)
    mine, oracles = rng.normal(shift, spread, (3000, 20)), rng.normal(size=(3000, 20))
    found = auc(cross_fitted(mine, oracles, log_ratio), by_example=True).value
    assert found == pytest.approx(best_auc(shift, spread), abs=0.01)


def test_the_best_auc_of_equal_spreads_is_known() -> None:
    assert best_auc(2.0, 1.0) == pytest.approx(norm.cdf(2 / np.sqrt(2)), abs=1e-4)


def marked(rng: np.random.Generator, models: int) -> tuple[ndarray, ndarray]:
    """Models that are a little surer of every other example, and less sure of the rest."""
    sign = np.where(np.arange(50) % 2, 1.0, -1.0)
    return rng.normal(size=(models, 50)) + sign, rng.normal(size=(models, 50))


def test_it_finds_a_mark_that_goes_both_ways() -> None:
    found = auc(cross_fitted(*marked(np.random.default_rng(0), 40), log_ratio)).interval()
    assert found.low > 0.65


@pytest.mark.parametrize("models", [4, 20])
def test_where_there_is_nothing_the_interval_holds_one_half(models: int) -> None:
    held = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        mine, oracles = (np.sqrt(0.3) * rng.normal(size=(models, 1)) + rng.normal(size=(models, 20)) for _ in range(2))
        found = auc(cross_fitted(mine, oracles, log_ratio)).interval()
        held.append(found.low <= 0.5 <= found.high)
    assert np.mean(held) > 0.93


@pytest.mark.parametrize("by_example", [False, True])
def test_where_shadow_models_keep_nothing_the_interval_holds_one_half_too(by_example: bool) -> None:
    """Each model plays on both sides: with examples that it had seen, and with those that it never saw."""
    rng, held = np.random.default_rng(0), []
    for _ in range(60):
        seen = rng.random((40, 30)) < 0.5
        mine, retrained = (draw(rng, 40, 30) for _ in range(2))
        for games in (corrected(mine, seen), uncorrected(mine, seen, retrained)):
            found = auc(games, by_example=by_example).interval()
            held.append(found.low <= 0.5 <= found.high)
    assert np.mean(held) > 0.93


def test_nobody_is_judged_by_what_was_fitted_to_himself() -> None:
    rng = np.random.default_rng(0)
    mine, oracles = rng.normal(size=(6, 3)), rng.normal(size=(6, 3))
    seen: list[tuple[ndarray, ...]] = []

    def score(scores: ndarray, *shadows: ndarray) -> ndarray:
        seen.append((scores, *shadows))
        return scores

    games = cross_fitted(mine, oracles, score)
    assert [len(game.scores) for game in games] == [6, 6]
    for scores, *shadows in seen:
        rows = {row.tobytes() for side in shadows for row in side}
        assert not rows & {row.tobytes() for row in scores}


def test_an_attack_that_is_judged_on_its_own_shadow_models_is_refused() -> None:
    rng = np.random.default_rng(0)
    shadows, others = rng.normal(size=(8, 3)), rng.normal(size=(8, 3))
    with pytest.raises(BadMargins, match="model 2 under attack is one of the shadow models"):
        log_ratio(np.concatenate([others[:2] + 1, shadows[:1]]), shadows, others)


def test_too_few_models_are_told() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(TooFewModels, match="expected 4 models and 4 oracles or more"):
        cross_fitted(rng.normal(size=(3, 2)), rng.normal(size=(9, 2)), log_ratio)


def test_few_shadow_models_share_one_variance() -> None:
    rng = np.random.default_rng(0)
    shadows = rng.normal(size=(15, 4)) * [1, 2, 3, 4]
    assert moments(shadows)[1] == pytest.approx(np.full(4, shadows.var(axis=0, ddof=1).mean()))
    many = rng.normal(size=(16, 4))
    assert moments(many)[1] == pytest.approx(many.var(axis=0, ddof=1))


def test_shadow_models_may_differ_from_example_to_example() -> None:
    rng = np.random.default_rng(0)
    shadows, member = rng.normal(size=(80, 3)), rng.random((80, 3)) < 0.5
    scores = rng.normal(size=(5, 3))
    found = lira(scores, shadows, member)
    for column in range(3):
        seen, unseen = shadows[member[:, column], column], shadows[~member[:, column], column]
        expected = norm.logpdf(scores[:, column], seen.mean(), seen.std(ddof=1)) - norm.logpdf(
            scores[:, column], unseen.mean(), unseen.std(ddof=1)
        )
        assert found[:, column] == pytest.approx(expected)


def test_an_example_that_no_shadow_model_has_seen_is_told() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(TooFewModels, match="got 0 for one; give more models"):
        lira(rng.normal(size=(5, 3)), rng.normal(size=(9, 3)), np.zeros((9, 3), bool))

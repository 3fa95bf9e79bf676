"""AUC and TPR against their definitions, and intervals against the truth of simulations."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from expunge.audits.game import Game, auc, auc_of_each, tpr
from expunge.errors import TooFewModels
from tests.metrics.simulated import draw


def game(shift: float, models: int = 20, examples: int = 50, *, seed: int = 0, shared: float = 0.3) -> Game:
    rng = np.random.default_rng(seed)
    mine, oracles = (draw(rng, models, examples, shared=shared) for _ in range(2))
    return Game.against(mine + shift, oracles)


def test_the_auc_is_that_of_all_pairs_with_ties_for_half() -> None:
    played = game(0.7)
    played = replace(played, scores=played.scores.round(1))
    assert auc([played]).value == pytest.approx(roc_auc_score(played.member.ravel(), played.scores.ravel()))


def test_by_example_it_is_the_mean_of_each() -> None:
    played = game(0.7)
    each = [roc_auc_score(played.member[:, column], played.scores[:, column]) for column in range(50)]
    assert auc([played], by_example=True).value == pytest.approx(np.mean(each))
    assert auc_of_each([played]) == pytest.approx(np.array(each))


def test_a_pair_that_is_neither_does_not_play() -> None:
    played = game(0.7)
    member, other = played.member.copy(), ~played.member
    member[:, ::2], other[:, ::2] = False, False
    half = Game(played.scores[:, 1::2], played.member[:, 1::2])
    assert auc([Game(played.scores, member, other)]).value == pytest.approx(auc([half]).value)


def test_turned_scores_turn_the_auc() -> None:
    played = game(0.7)
    turned = replace(played, scores=-played.scores)
    one, other = auc([played]), auc([turned])
    assert one.value == pytest.approx(1 - other.value)
    assert one.error == pytest.approx(other.error)


def test_no_number_of_models_proves_an_auc_of_1() -> None:
    for models in (4, 20, 100):
        found = auc([game(50.0, models)]).interval()
        assert found.value == found.high == 1
        assert 1 - 8 / models < found.low < 1 - 1 / models


def test_one_model_a_side_is_too_few() -> None:
    with pytest.raises(TooFewModels, match="expected 2 models or more on each side of an attack, got 1"):
        auc([game(0.0, models=1)])


@pytest.mark.parametrize("shift", [0.0, 1.0])
@pytest.mark.parametrize("by_example", [False, True])
def test_the_interval_covers_the_auc_of_fresh_models(shift: float, by_example: bool) -> None:
    truth = auc([game(shift, 3000, 10, seed=10**6)], by_example=by_example).value
    found = [auc([game(shift, 20, 10, seed=seed)], by_example=by_example).interval() for seed in range(300)]
    assert np.mean([each.low <= truth <= each.high for each in found]) > 0.92


def test_by_its_p_value_chance_is_taken_for_a_leak_as_often_as_is_said() -> None:
    found = [auc([game(0.0, 20, 10, seed=seed)]).p_value() for seed in range(300)]
    assert np.mean(np.array(found) < 0.05) < 0.09
    assert auc([game(1.0)]).p_value() < 1e-4


def test_games_that_share_models_err_together() -> None:
    played = game(0.5)
    assert auc([played, played]).error == pytest.approx(auc([played]).error)


def test_the_tpr_is_the_share_of_members_above_what_a_share_of_others_exceeds() -> None:
    played = game(1.0, 100)
    others = played.scores[~played.member]
    found = tpr([played], 0.01)
    assert found is not None
    cut = np.sort(others)[-51]  # 50 of 5,000 lie above
    assert (others > cut).sum() == 50
    assert found.value == (played.scores[played.member] > cut).mean()
    assert found.low <= found.value <= found.high


def test_with_fewer_than_1000_scores_of_others_it_is_unscored() -> None:
    assert tpr([game(1.0, 19)], 0.01) is None
    assert tpr([game(1.0, 20)], 0.01) is not None


def test_guessing_gets_the_false_positive_rate_and_the_interval_says_so() -> None:
    found = [tpr([game(0.0, 40, seed=seed)], 0.01) for seed in range(100)]
    assert np.mean([each.value for each in found if each]) == pytest.approx(0.01, abs=0.002)
    assert np.mean([each.low <= 0.01 <= each.high for each in found if each]) > 0.94


def test_the_interval_covers_a_high_tpr_too() -> None:
    truth = tpr([game(3.0, 3000, 25, seed=10**6)], 0.01)
    assert truth is not None
    found = [tpr([game(3.0, 40, 25, seed=seed)], 0.01) for seed in range(100)]
    assert np.mean([each.low <= truth.value <= each.high for each in found if each]) > 0.94
    many = tpr([game(3.0, 400, 25)], 0.01)
    assert many is not None
    assert many.high - many.low < 0.25

"""Membership from a pair of models: where it must succeed, what is done by hand, what it refuses."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from expunge.attacks import ATTACKS, DEFENCES
from expunge.attacks.lab.arms import ARMS, ATTACK, NO_REQUEST, ORACLE, Played
from expunge.attacks.lab.cells import play_on
from expunge.attacks.lab.practised import practised
from expunge.attacks.lab.provider import Provider
from expunge.attacks.pair_membership import FEATURES, ORIGINAL, UNLEARNED, PairMembership, check, degradation
from expunge.attacks.removal import Attacked
from expunge.errors import BadSetting
from expunge.metrics.over_models import mean_over_models
from tests.attacks.overfitted import overfitted
from tests.attacks.small import small

pytestmark = pytest.mark.usefixtures("common_store")

NAME, MODELS = "pair-membership", 6
CONFIG = PairMembership(models=MODELS, budget=30, shadows=3, features="sorted-diff")


@cache
def played(classifier: str) -> Played:
    config = replace(CONFIG, classifier=classifier)
    return play_on(NAME, ATTACKS[NAME], overfitted(), config, config.methods[0], range(MODELS))


@pytest.mark.parametrize("classifier", ["logistic-regression", "random-forest"])
def test_on_models_that_know_their_data_by_heart_the_pair_beats_the_unlearned_model_alone(classifier: str) -> None:
    """Intervals apart: after exact removal one model alone tells nothing, and the pair does."""
    oracle = played(classifier).arms[ORACLE]
    assert oracle.success is not None
    pair, alone = (mean_over_models(each, (0.0, 1.0)) for each in (oracle.success, oracle.more[UNLEARNED]))
    assert pair.low > alone.high
    assert abs(alone.value - 0.5) < 0.1


def test_labels_alone_leave_less_of_it_to_an_attacker_who_knows_that() -> None:
    """Intervals apart, after the first-order update."""
    method = CONFIG.methods[0]
    found = practised(
        ATTACKS[NAME],
        Provider(overfitted(), method, range(MODELS)),
        CONFIG,
        DEFENCES["labels-alone"],
        played("logistic-regression"),
    )
    attack = played("logistic-regression").arms[ATTACK].success
    assert attack is not None
    assert found.success is not None
    assert mean_over_models(found.success, (0.0, 1.0)).high < mean_over_models(attack, (0.0, 1.0)).low
    assert np.array_equal(found.arrays["utility"], played("logistic-regression").arms[ATTACK].arrays["utility"])


def test_where_nothing_was_removed_the_difference_of_both_models_tells_nothing() -> None:
    arm = played(CONFIG.classifier).arms[NO_REQUEST]
    assert arm.success is not None
    assert (arm.success == 0.5).all()


def test_the_model_before_is_the_same_in_every_arm() -> None:
    arms = played(CONFIG.classifier).arms
    for name in ARMS:
        assert np.array_equal(arms[name].more[ORIGINAL], arms[ATTACK].more[ORIGINAL])


def test_features_by_hand() -> None:
    before, after = np.array([[[0.7, 0.1, 0.2]]]), np.array([[[0.2, 0.5, 0.3]]])
    found = {name: feature(before, after)[0, 0].round(6).tolist() for name, feature in FEATURES.items()}
    assert found == {
        "direct-concat": [0.7, 0.1, 0.2, 0.2, 0.5, 0.3],
        "sorted-concat": [0.1, 0.2, 0.7, 0.5, 0.3, 0.2],
        "direct-diff": [0.5, -0.4, -0.1],
        "sorted-diff": [-0.4, -0.1, 0.5],
        "l2": [round(0.42**0.5, 6)],
    }


def test_degradation_by_hand_counts_those_never_seen_by_the_probability_that_they_were_not() -> None:
    pair, alone = np.array([[0.9, 0.4, 0.2, 0.8]]), np.array([[0.5, 0.5, 0.5, 0.5]])
    count, rate = degradation(pair, alone, np.array([True, True, False, False]))
    assert count.tolist() == [0.5]
    assert rate == pytest.approx([(0.4 - 0.1 + 0.3 - 0.3) / 4])


def test_what_fails_on_shadow_models_is_the_reason_of_every_arm() -> None:
    config = replace(CONFIG, models=2, methods=(Attacked("first-order", {"tau": 1e38}),))
    found = play_on(NAME, ATTACKS[NAME], small(), config, config.methods[0], range(2))
    for arm in found.arms.values():
        assert arm.reason.startswith("on shadow models: diverged")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"budget": 0}, "expected a budget of 1 to 30 records to ask about"),
        ({"budget": 31}, "give --set budget=N"),
        ({"shadows": 1}, "expected 2 to 6 shadow models"),
        ({"shadows": 7}, "give --set shadows=N"),
        ({"models": 10}, "which leaves 9 victims, got 10; give --models"),
    ],
)
def test_what_cannot_be_is_refused_with_what_mends_it(changed: dict[str, int], message: str) -> None:
    with pytest.raises(BadSetting, match=message):
        check(small(), replace(CONFIG, **changed))  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"features": "sum"}, {"classifier": "svm"}, {"removed": "nobody"}])
def test_words_that_it_does_not_know_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="must be one of"):
        PairMembership(**wrong)  # type: ignore[arg-type]

"""A request for one class, counted by the class that fares worst."""

from dataclasses import replace

import numpy as np
import pytest

from expunge.attacks.fairness_harm import ASKED, ATTACK, SPREAD, FairnessHarm, class_errors, play
from expunge.attacks.lab.arms import ATTACK as ATTACKED
from expunge.attacks.lab.frame import require_attack
from expunge.attacks.lab.provider import Provider
from expunge.attacks.owned_classes import class_owned
from expunge.attacks.removal import Attacked
from expunge.errors import BadSetting, UnknownName
from expunge.suites import Examples
from tests.attacks.small import small

QUICK = FairnessHarm(budget=4, owned=0.4, models=3)


def provider() -> Provider:
    return Provider(small(), Attacked("gradient-ascent", {"lr": 0.5}), range(3))


def test_errors_of_classes_by_hand() -> None:
    right = np.array([[True, True, False, False], [True, False, True, True]])
    errors = class_errors(right, np.array([0, 0, 1, 1]), 2)
    assert errors.tolist() == [[0.0, 1.0], [0.5, 0.0]]


def test_all_that_is_asked_for_is_of_one_class_and_lies_in_the_training_data() -> None:
    for request in play(provider(), QUICK).requests:
        assert request.honest(small().data).all()
        assert len(request.examples.y.unique()) == 1


def test_of_a_half_concentrated_request_half_is_of_the_class() -> None:
    for request in play(provider(), replace(QUICK, concentration=0.5)).requests:
        assert len(np.unique(request.indices)) == 4
        assert np.bincount(request.examples.y).max() >= 2


def test_success_is_the_worst_class_and_the_class_asked_for_is_no_worse() -> None:
    arm = play(provider(), QUICK).arms[ATTACKED]
    assert arm.success is not None
    assert (arm.success >= arm.more[ASKED]).all()
    assert (arm.success >= arm.more[SPREAD]).all()


def test_the_commonest_class_is_the_one_with_most_owned_records() -> None:
    suite = small()
    labels = suite.data.train.y.numpy()
    owned = np.concatenate([np.flatnonzero(labels == 4)[:5], np.flatnonzero(labels == 7)[:3]])
    found = class_owned(suite, owned, "commonest", 5)
    assert found.label == 4
    assert set(labels[found.records]) == {4}
    assert set(labels[found.others]) == {7}


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "no budget": ({"budget": 0}, "expected a budget of 1 to 80"),
    "a budget over the class": ({"budget": 40}, "an attacker owns .* and 40 are to be asked for"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(case: str) -> None:
    changed, message = REFUSED[case]
    with pytest.raises(BadSetting, match=message):
        require_attack(ATTACK, small(), replace(QUICK, **changed))  # type: ignore[arg-type]


def test_a_class_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownName, match="give --set target_class=CLASS, or commonest"):
        require_attack(ATTACK, small(), replace(QUICK, target_class="11"))


def test_test_data_that_lack_a_class_are_refused() -> None:
    suite = small()
    test = suite.data.test
    kept = np.flatnonzero(test.y.numpy() != 6)
    lacking = replace(suite, data=suite.data.with_examples(suite.data.train, Examples(test.x, test.y).take(kept)))
    with pytest.raises(BadSetting, match="class 6 has no test example"):
        require_attack(ATTACK, lacking, QUICK)


def test_a_concentration_is_a_share() -> None:
    with pytest.raises(ValueError, match="concentration must lie in"):
        FairnessHarm(concentration=1.5)

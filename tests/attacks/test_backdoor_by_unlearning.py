"""A square in the corner, under one label where it is poison and under every label where it hides that."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from expunge.attacks.backdoor_by_unlearning import ATTACK, BackdoorByUnlearning, play, with_trigger
from expunge.attacks.lab.arms import ATTACK as ATTACKED
from expunge.attacks.lab.arms import NO_REQUEST, ORACLE, UNPERTURBED
from expunge.attacks.lab.frame import require_attack
from expunge.attacks.lab.owners import Range
from expunge.attacks.lab.provider import Provider
from expunge.attacks.preconditioned import CAMOUFLAGE_ONLY
from expunge.attacks.removal import Attacked
from expunge.errors import BadSetting, UnknownName
from expunge.suites import Suite
from tests.attacks.small import small
from tests.tiny_suite import tiny

QUICK = BackdoorByUnlearning(poisons=10, camouflages=20, trigger=2, models=3)


def provider(suite: Suite) -> Provider:
    return Provider(suite, Attacked("first-order"), range(3))


def test_the_trigger_is_a_square_in_the_last_corner() -> None:
    within = Range(torch.zeros(1, 1, 1), torch.full((1, 1, 1), 0.8))
    found = with_trigger(torch.zeros(1, 1, 3, 4), 2, within)
    wanted = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.8, 0.8], [0.0, 0.0, 0.8, 0.8]])
    assert torch.equal(found[0, 0], wanted)
    assert torch.equal(with_trigger(found, 0, within), found)


def test_what_is_asked_for_has_the_trigger_and_its_own_label() -> None:
    suite = small()
    for request in play(provider(suite), QUICK).requests:
        lay = suite.data.train.take(request.indices)
        assert (request.examples.x[..., -2:, -2:] == 1).all()
        assert torch.equal(request.examples.x[..., :-2, :-2], lay.x[..., :-2, :-2])
        assert torch.equal(request.examples.y, lay.y)
        assert (request.examples.y != 0).all()


def test_the_trigger_works_where_poison_was_trained_on_without_what_hides_it() -> None:
    found = play(provider(small()), QUICK).arms
    success = {name: each.success for name, each in found.items()}
    assert (success[ORACLE] > success[NO_REQUEST]).all()  # type: ignore[operator]
    assert (success[ORACLE] > success[UNPERTURBED]).all()  # type: ignore[operator]
    assert (found[ATTACKED].more[CAMOUFLAGE_ONLY] < success[ORACLE]).all()


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "no poison": ({"poisons": 0}, "give --set poisons=N --set camouflages=N"),
    "no camouflage": ({"camouflages": 0}, "at least 1 poison and 1 camouflage"),
    "over the data": ({"camouflages": 100}, "training examples of other classes"),
    "too wide": ({"trigger": 5}, "a trigger of at most half of the 8 x 8 pixels, got 5"),
    "a method with shards": ({"methods": (Attacked("sisa"),)}, "begins with what was kept of trainings"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(case: str) -> None:
    changed, message = REFUSED[case]
    with pytest.raises(BadSetting, match=message):
        require_attack(ATTACK, small(), replace(QUICK, **changed))  # type: ignore[arg-type]


def test_a_suite_without_pixels_is_refused() -> None:
    with pytest.raises(BadSetting, match=r"has no pixel range that a trigger .* attack another suite"):
        require_attack(ATTACK, tiny(), QUICK)


def test_a_class_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownName, match="give --set target_class=CLASS, or first"):
        require_attack(ATTACK, small(), replace(QUICK, target_class="11"))


def test_a_trigger_has_no_negative_width() -> None:
    with pytest.raises(ValueError, match="trigger must be at least 0"):
        BackdoorByUnlearning(trigger=-1)


def test_no_two_groups_share_a_record() -> None:
    for request in play(provider(small()), QUICK).requests:
        assert len(np.unique(request.indices)) == 20

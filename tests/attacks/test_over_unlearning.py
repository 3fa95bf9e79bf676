"""Points at the boundary of a class, found with few questions, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from expunge.attacks.decision_boundary import between, crossings, says, within_ball
from expunge.attacks.lab.frame import require_attack
from expunge.attacks.lab.owners import of_each
from expunge.attacks.lab.provider import Provider
from expunge.attacks.over_unlearning import ATTACK, STYLES, OverUnlearning, play
from expunge.attacks.removal import Attacked
from expunge.errors import BadSetting, UnknownName
from tests.attacks.small import small

QUICK = OverUnlearning(budget=2, owned=0.3, partners=2, steps=8, l2=100.0, models=3)


def above_one(x: Tensor) -> Tensor:
    """Class 1 of numbers above 0.3, class 0 of others."""
    return (x[..., 0] > 0.3).long()


def test_bisection_brackets_the_boundary() -> None:
    """From 0 to 1 the class changes at 0.3: after three halvings between 2/8 and 3/8."""
    x, other = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)
    inside, beyond = crossings(above_one, x, other, torch.zeros(1, 1, dtype=torch.int64), 3)
    assert (float(inside), float(beyond)) == (0.25, 0.375)


def test_where_the_other_end_is_of_the_same_class_there_is_no_crossing() -> None:
    x, other = torch.zeros(1, 1, 1), torch.full((1, 1, 1), 0.2)
    inside, beyond = crossings(above_one, x, other, torch.zeros(1, 1, dtype=torch.int64), 3)
    assert inside.isinf().all()
    assert beyond.isinf().all()


def test_a_bisection_asks_once_more_than_it_has_steps() -> None:
    asked = []

    def counted(x: Tensor) -> Tensor:
        asked.append(len(x))
        return above_one(x)

    crossings(counted, torch.zeros(1, 1, 1), torch.ones(1, 1, 1), torch.zeros(1, 1, dtype=torch.int64), 5)
    assert len(asked) == 6


def test_what_is_too_far_comes_back_along_its_line() -> None:
    x, moved = torch.zeros(1, 2, 2), torch.tensor([[[3.0, 4.0], [0.3, 0.4]]])
    assert torch.allclose(within_ball(moved, x, 1.0), torch.tensor([[[0.6, 0.8], [0.3, 0.4]]]))
    assert torch.equal(within_ball(x, x, 1.0), x)


def test_between_goes_from_one_end_to_the_other() -> None:
    x, other = torch.zeros(1, 1, 2), torch.ones(1, 1, 2)
    assert torch.equal(between(x, other, torch.tensor([[0.25]])), torch.full((1, 1, 2), 0.25))


@pytest.mark.parametrize(("style", "own_class"), [("pushing-1", True), ("pushing-2", False)])
def test_pushed_points_lie_just_on_their_side(style: str, own_class: bool) -> None:
    suite = small()
    provider = Provider(suite, Attacked("first-order"), range(3))
    found = play(provider, replace(QUICK, style=style)).requests
    x, rows = torch.stack([each.examples.x for each in found]), np.stack([each.indices for each in found])
    before, y = of_each(suite.data.train.x, rows), of_each(suite.data.train.y, rows)
    say = says(provider.victims)
    right = say(before) == y  # a point that the victim gets wrong lies beyond already
    assert right.any()
    assert ((say(x) == y) == own_class)[right].all()


@pytest.mark.parametrize("style", STYLES)
def test_points_move_by_no_more_than_the_bound(style: str) -> None:
    suite = small()
    found = play(Provider(suite, Attacked("first-order"), range(3)), replace(QUICK, style=style, l2=0.5)).requests
    for each in found:
        moved = (each.examples.x - suite.data.train.x[each.indices]).flatten(1).norm(dim=1)
        assert (moved <= 0.5 + 1e-5).all()
        assert (moved > 0).any()


def test_a_blend_has_the_class_that_the_victim_names() -> None:
    suite = small()
    provider = Provider(suite, Attacked("first-order"), range(3))
    found = play(provider, replace(QUICK, style="blending")).requests
    x, y = (torch.stack([getattr(each.examples, name) for each in found]) for name in ("x", "y"))
    assert torch.equal(says(provider.victims)(x), y)


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "no budget": ({"budget": 0}, "expected a budget of 1 to 60"),
    "a budget over what is owned": ({"budget": 61}, "give --set budget=N, or --set owned=SHARE"),
    "a budget over the class": ({"budget": 40}, "an attacker owns .* and 40 are to be asked for"),
    "an owner of no share": ({"owned": 0.0}, "give --set owned=0.2"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(case: str) -> None:
    changed, message = REFUSED[case]
    with pytest.raises(BadSetting, match=message):
        require_attack(ATTACK, small(), replace(QUICK, **changed))  # type: ignore[arg-type]


def test_a_class_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownName, match="give --set target_class=CLASS, or commonest"):
        require_attack(ATTACK, small(), replace(QUICK, target_class="11"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"style": "pulling"}, "style must be one of"), ({"l2": -1.0}, "l2 of 0 or more"), ({"steps": 0}, "1 step")],
)
def test_wrong_settings_are_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(QUICK, **changed)  # type: ignore[arg-type]

"""Records that nobody trained on destroy a model that climbs their loss; a comparison of bytes tells them."""

from dataclasses import asdict, replace

import pytest
import torch

from expunge.attacks.defence import Scene
from expunge.attacks.defences.membership import requests as share_of_strangers
from expunge.attacks.lab.arms import ATTACK as ATTACKED
from expunge.attacks.lab.arms import HONEST
from expunge.attacks.lab.frame import require_attack
from expunge.attacks.lab.provider import Provider
from expunge.attacks.operators import Points
from expunge.attacks.removal import Attacked
from expunge.attacks.unlearn_and_burn import ATTACK, UnlearnAndBurn, play
from expunge.attacks.unrolled_ascent import unrolled_ascent
from expunge.ensembles import Ensemble
from expunge.errors import BadSetting
from expunge.methods.parts.per_sample import flat_weights
from expunge.methods.zoo.gradient_ascent import GradientAscent
from expunge.suites import Suite
from tests.attacks.small import small

QUICK = UnlearnAndBurn(budget=4, steps=6, l2=2.0, models=3)
ASCENT = GradientAscent(lr=0.1, epochs=3, momentum=0.5)


def provider(suite: Suite) -> Provider:
    return Provider(suite, Attacked("gradient-ascent", asdict(ASCENT)), range(3))


def test_unrolled_ascent_is_the_method_of_that_name() -> None:
    """A request that fits a batch, and a network in which no example depends on another."""
    suite = small()
    serving = provider(suite)
    request = play(serving, QUICK).requests[0]
    served = serving.serve([request] * 3).ensemble
    x, y = (each.expand(3, *each.shape) for each in (request.examples.x, request.examples.y))
    planned = unrolled_ascent(serving.victims, ASCENT)(Points(x, y, torch.ones(3, 4)))
    torch.testing.assert_close(planned.detach(), flat_weights(served), rtol=1e-4, atol=1e-5)


def test_gradients_through_the_ascent_are_finite_differences() -> None:
    suite = small()
    victims = provider(suite).victims.double()
    x = suite.data.test.x[:2].double().expand(3, 2, 1, 8, 8).clone()
    y = suite.data.test.y[:2].expand(3, 2)
    operator = unrolled_ascent(victims, ASCENT)

    def value(at: torch.Tensor) -> torch.Tensor:
        return operator(Points(at, y, torch.ones(3, 2, dtype=torch.float64))).square().sum()

    point = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(value(point), point)
    step = torch.zeros_like(x)
    step[1, 0, 0, 3, 4] = 1e-5
    measured = (value(x + step) - value(x - step)) / 2e-5
    torch.testing.assert_close(slope[1, 0, 0, 3, 4], measured.detach(), rtol=1e-5, atol=1e-7)


def test_changed_strangers_do_more_than_strangers_as_they_are() -> None:
    found = play(provider(small()), QUICK).arms
    errors = [found[name].success for name in (ATTACKED, HONEST)]
    assert (errors[0] > errors[1]).all()  # type: ignore[operator]


def test_records_move_within_their_ball_and_the_range_of_pixels() -> None:
    suite = small()
    near = play(provider(suite), replace(QUICK, l2=0.5)).requests
    still = play(provider(suite), replace(QUICK, l2=0.0)).requests
    for moved, lay in zip(near, still, strict=True):
        distance = (moved.examples.x - lay.examples.x).flatten(1).norm(dim=1)
        assert (distance <= 0.5 + 1e-5).all()
        assert (distance > 0).any()
        assert ((moved.examples.x >= 0) & (moved.examples.x <= 1)).all()
        assert torch.equal(moved.examples.y, lay.examples.y)


@pytest.mark.parametrize("l2", [0.0, 2.0])
def test_membership_stops_every_record(l2: float) -> None:
    """Whether changed or not: nobody trained on them."""
    suite = small()
    asked = play(provider(suite), replace(QUICK, l2=l2)).requests

    def never(*_: object) -> Ensemble:
        raise AssertionError("a comparison of bytes removes nothing")

    scene = Scene(suite, provider(suite).victims, asked, never)
    assert (share_of_strangers(scene) == 1).all()


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "no budget": ({"budget": 0}, "expected a budget of 1 to 30"),
    "over the data": ({"budget": 31}, "at most half of the 60 test examples .* give --set budget=N"),
    "an owner of all": ({"owned": 1.0}, "give --set owned=0.2"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(case: str) -> None:
    changed, message = REFUSED[case]
    with pytest.raises(BadSetting, match=message):
        require_attack(ATTACK, small(), replace(QUICK, **changed))  # type: ignore[arg-type]


@pytest.mark.parametrize("changed", [{"l2": -1.0}, {"steps": 0}])
def test_wrong_settings_are_refused(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected l2 of 0 or more and at least 1 step"):
        replace(QUICK, **changed)  # type: ignore[arg-type]

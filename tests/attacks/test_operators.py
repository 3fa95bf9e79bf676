"""Operators that can be differentiated are the methods of their names; their gradients are finite differences."""

import pytest
import torch
from torch import Tensor

from expunge.attacks.operators import Operator, Points, example_losses, first_order, outputs_at
from expunge.ensembles import Ensemble, Origin
from expunge.ensembles.seeds import Generators
from expunge.methods.parts.per_sample import flat_weights
from expunge.methods.zoo.first_order import FirstOrder
from expunge.methods.zoo.first_order import first_order as first_order_method
from tests.methods.equations.conv_toy import FORGET, SPLIT, network, starts

MODELS = 2


def models() -> Ensemble:
    """Two convolutional networks in float64 that differ."""
    origin = Origin("test", "0", "pretrained", None, tuple(range(MODELS)))
    return Ensemble.from_state(network(), starts(MODELS), origin, (1, 5, 5)).eval()


def points(omega: Tensor | None = None) -> Points:
    """What is to be forgotten, whole, or by ``omega``."""
    y = FORGET.y.expand(MODELS, -1)
    whole = torch.ones(y.shape, dtype=torch.float64)
    return Points(FORGET.x.expand(MODELS, *FORGET.x.shape).clone(), y, whole if omega is None else omega)


def adversary(ensemble: Ensemble, weights: Tensor) -> Tensor:
    """A loss of the unlearned models, one value for each: of a kept example, taken for another class."""
    x = SPLIT.retain.x[:1].expand(MODELS, 1, 1, 5, 5)
    return example_losses(outputs_at(ensemble, weights, x), torch.full((MODELS, 1), 1)).sum(1)


def operators() -> dict[str, Operator]:
    ensemble = models()
    return {
        "first-order": first_order(ensemble, 0.3),
        "first-order, zeros": first_order(ensemble, 0.3, zeros=True),
    }


@pytest.mark.parametrize("replacement", ["nothing", "zeros"])
def test_first_order_of_whole_points_is_the_method(replacement: str) -> None:
    config = FirstOrder(tau=0.3, replacement=replacement)
    (expected,) = first_order_method(models(), SPLIT, config, Generators(range(MODELS)))
    found = first_order(models(), 0.3, zeros=replacement == "zeros")(points())
    torch.testing.assert_close(found, flat_weights(expected), rtol=0, atol=1e-12)


def test_weights_that_are_given_are_those_that_speak() -> None:
    ensemble = models()
    x = FORGET.x.expand(MODELS, *FORGET.x.shape)
    torch.testing.assert_close(outputs_at(ensemble, flat_weights(ensemble), x), ensemble(x), rtol=0, atol=1e-12)
    other = flat_weights(ensemble) * 1.1
    assert not torch.allclose(outputs_at(ensemble, other, x), ensemble(x))


@pytest.mark.parametrize("name", sorted(operators()))
@pytest.mark.parametrize("by", ["omega", "x"])
def test_gradients_are_those_of_finite_differences(name: str, by: str) -> None:
    operator, ensemble = operators()[name], models()
    generator = torch.Generator().manual_seed(0)
    given = points(torch.rand(MODELS, 3, dtype=torch.float64, generator=generator))
    place = getattr(given, by).requires_grad_()
    (slope,) = torch.autograd.grad(adversary(ensemble, operator(given)).sum(), place)
    direction = torch.randn(place.shape, dtype=torch.float64, generator=generator)
    step, ends = 1e-6, []
    for side in (-1, 1):
        with torch.no_grad():
            moved = {"x": given.x, "y": given.y, "omega": given.omega} | {by: place + side * step * direction}
        ends.append(adversary(ensemble, operator(Points(**moved))).detach())
    expected = (ends[1] - ends[0]) / (2 * step)
    found = (slope * direction).flatten(1).sum(1)
    assert expected.abs().min() > 1e-4  # else all would pass
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", sorted(operators()))
def test_nothing_removed_changes_nothing(name: str) -> None:
    found = operators()[name](points(torch.zeros(MODELS, 3, dtype=torch.float64)))
    torch.testing.assert_close(found, flat_weights(models()), rtol=0, atol=0)

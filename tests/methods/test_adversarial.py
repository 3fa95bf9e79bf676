"""Inputs near examples: who pays for the search, balls, and what cannot be moved."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.linalg import vector_norm

from expunge.ensembles import Ensemble
from expunge.ensembles.origin import Meter
from expunge.ensembles.seeds import Generators
from expunge.errors import CostsTooMuch
from expunge.methods.parts.adversarial import of_length, within
from expunge.methods.zoo.amun import Amun, nearest_errors
from expunge.methods.zoo.l2ul import L2ul, spared, targeted
from tests.ensembles.plain import ensemble_of
from tests.methods.equations.toy import SIX, W, linear

CFG = Amun(bound=0.2, step=0.5, steps=3, doublings=3)


def two(first: float, second: float) -> Ensemble:
    """The linear network twice, its logits so many times as large, which makes it no farther from its boundaries."""
    both = linear()
    both.state()["0.weight"].data *= torch.tensor([first, second], dtype=torch.float64)[:, None, None]
    return both


def search(ensemble: Ensemble) -> tuple[torch.Tensor, torch.Tensor, int]:
    ensemble.meter = Meter()
    inputs, classes = nearest_errors(ensemble, (SIX.forget.x, SIX.forget.y), SIX, CFG)
    return inputs, classes, ensemble.meter.units


def test_a_model_pays_for_its_own_search_and_finds_what_it_finds_alone() -> None:
    """The second errs on all examples at once, and waits for the first."""
    both = two(1.0, -1.0)
    (first, _, much), (second, _, little) = (search(both.take([row])) for row in (0, 1))
    inputs, classes, units = search(both)
    torch.testing.assert_close(inputs, torch.cat([first, second]))
    assert (classes != SIX.forget.y).all()
    assert units == much + little
    assert much != little


def test_a_search_is_stopped_where_it_costs_too_much() -> None:
    both = two(1.0, 1.0)
    both.meter = Meter(most=30)
    with pytest.raises(CostsTooMuch):
        nearest_errors(both, (SIX.forget.x, SIX.forget.y), SIX, CFG)


def test_inputs_without_a_slope_stay_and_their_second_choice_counts() -> None:
    flat = linear(torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]], dtype=torch.float64))
    forget = replace(SIX, forget=replace(SIX.forget, y=torch.tensor([0, 0, 0])))
    inputs, classes = nearest_errors(flat, (forget.forget.x, forget.forget.y), forget, CFG)
    assert torch.equal(inputs, SIX.forget.x.expand(2, -1, -1))
    assert (classes == 1).all()


def test_moves_are_measured_over_all_of_an_input() -> None:
    moves = torch.randn(2, 3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    lengths = vector_norm(of_length(moves, 0.3).flatten(2), dim=2)
    torch.testing.assert_close(lengths, torch.full((2, 3), 0.3))
    inside = within(moves, torch.ones_like(moves), 0.5) - 1
    torch.testing.assert_close(vector_norm(inside.flatten(2), dim=2), torch.full((2, 3), 0.5))


def test_adversaries_stay_in_their_ball_and_each_model_has_its_own() -> None:
    cfg = L2ul(adversaries=3, bound=0.4, steps=5)
    inputs, wrong = targeted(linear(), SIX, cfg, Generators([0, 1]))
    assert inputs.shape == (2, 9, 2)
    assert (wrong != SIX.forget.y.repeat(3)).all()
    assert (vector_norm(inputs - SIX.forget.x.repeat(3, 1), dim=2) <= 0.4 + 1e-12).all()
    assert not torch.equal(inputs[0], inputs[1])


def test_a_tensor_whose_weights_all_matter_alike_is_held_whole() -> None:
    """A bias of one number has no least and no most. A larger network's outputs turn as much, and held is as much."""
    network = nn.Sequential(nn.Linear(2, 1)).double()
    network.load_state_dict({"0.weight": W[:1], "0.bias": torch.zeros(1)})
    larger = nn.Sequential(nn.Linear(2, 1)).double()
    larger.load_state_dict({"0.weight": 5 * W[:1], "0.bias": torch.zeros(1)})
    stack = ensemble_of([network, larger])
    stack.sample_shape = (2,)
    weights, bias = spared(stack, SIX)
    assert (bias == 1).all()
    torch.testing.assert_close(weights, torch.tensor([[[1.0, 0.0]]]).double().expand(2, 1, 2))

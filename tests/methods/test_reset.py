"""Layers drawn anew: as the suite draws its networks, each model from its own stream, nothing else touched."""

import pytest
import torch
from torch import nn

from expunge.ensembles import Ensemble, Origin
from expunge.ensembles.plan import new_networks
from expunge.ensembles.seeds import Generators
from expunge.errors import MethodFailed
from expunge.methods.parts.layers import convolutions, last_linear, linears
from expunge.methods.parts.reset import fresh, reset_by_seeds, reset_layers
from expunge.suites.networks import resnet18_large
from tests.ensembles.plain import NormedAttention


def network() -> nn.Module:
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU()),
        nn.Conv2d(8, 4, 3),
        nn.Flatten(),
        nn.Linear(16, 32),
        nn.Linear(32, 3),
    )


def threes() -> nn.Module:
    """The same in a way of its own: weights of 3 where its layers would draw theirs."""
    result = network()
    nn.init.constant_(result.get_parameter("4.weight"), 3)
    return result


def stacked(each: nn.Module, models: int = 3) -> Ensemble:
    origin = Origin("test", "0", "pretrained", None, tuple(range(models)))
    ensemble = Ensemble.stack([each] * models, origin, (1, 6, 6))
    for tensor in ensemble.state().values():
        tensor.fill_(7)
    return ensemble


def test_paths_are_in_the_order_of_the_network() -> None:
    ensemble = stacked(network())
    assert convolutions(ensemble) == ["0.0", "1"]
    assert linears(ensemble) == ["3", "4"]
    assert last_linear(ensemble) == "4"


@pytest.mark.parametrize(("find", "kind"), [(convolutions, "convolution"), (last_linear, "linear layer")])
def test_a_network_without_the_layer_fails_in_one_line(find: object, kind: str) -> None:
    ensemble = stacked(nn.Sequential(nn.BatchNorm2d(1), nn.Flatten()))
    with pytest.raises(MethodFailed, match=f"^expected a network with a {kind}, found none$"):
        find(ensemble)  # type: ignore[operator]


def test_a_fresh_network_is_drawn_anew_and_the_given_one_is_as_it_was() -> None:
    ensemble = stacked(network())
    result = fresh(ensemble, network, Generators(range(3))).state()
    assert all((tensor == 7).all() for tensor in ensemble.state().values())
    assert (result["0.1.running_mean"] == 0).all()
    assert (result["0.1.running_var"] == 1).all()
    assert (result["0.1.num_batches_tracked"] == 0).all()
    assert (result["0.1.weight"] == 1).all()
    for key, fan in (("0.0.weight", 9), ("0.0.bias", 9), ("1.weight", 72), ("3.weight", 16), ("4.weight", 32)):
        bound, values = fan**-0.5, result[key].flatten(1)  # uniform in +-1 / sqrt(fan in)
        assert (values.abs() <= bound).all()
        assert values.std() == pytest.approx(bound / 3**0.5, rel=0.25)
        assert not torch.equal(values[0], values[1])


@pytest.mark.parametrize("draw", [network, threes, NormedAttention, resnet18_large])
def test_all_layers_by_the_seeds_of_a_training_are_its_first_weights_to_the_last_bit(draw) -> None:  # type: ignore[no-untyped-def]
    student = stacked(draw(), 2)
    reset_by_seeds(student, [""], draw, [5, 6])
    expected = [each.state_dict() for each in new_networks(draw, [5, 6])]
    for key, tensor in student.state().items():
        assert torch.equal(tensor, torch.stack([each[key] for each in expected])), key


def test_a_models_draw_is_its_own_and_leaves_the_global_generator_alone() -> None:
    three, one, rng = stacked(network()), stacked(network(), 1), Generators([6])
    state = torch.get_rng_state()
    together, alone = fresh(three, threes, Generators([5, 6, 7])).state(), fresh(one, threes, rng).state()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor[0], together[key][1]) for key, tensor in alone.items())
    assert not torch.equal(fresh(one, threes, rng).state()["3.weight"], alone["3.weight"])


def test_only_the_layers_at_the_paths_are_reset_with_all_within_as_the_suite_draws_them() -> None:
    student = stacked(network())
    reset_layers(student, ["0", "4"], threes, Generators(range(3)))
    changed = {key for key, tensor in student.state().items() if (tensor != 7).any()}
    assert {key.rpartition(".")[0] for key in changed} == {"0.0", "0.1", "4"}
    assert (student.state()["4.weight"] == 3).all()

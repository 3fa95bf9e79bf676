"""Layers drawn anew: as the class of the layer draws them, each model from its own stream, nothing else touched."""

import pytest
import torch
from torch import Tensor, nn

from expunge.ensembles import Ensemble, Origin
from expunge.ensembles.seeds import Generators
from expunge.errors import MethodFailed
from expunge.methods._layers import convolutions, last_linear, linears
from expunge.methods._reset import first_weights, fresh, reset_layers
from tests.ensembles.plain import NormedAttention


def network() -> nn.Module:
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU()),
        nn.Conv2d(8, 4, 3),
        nn.Flatten(),
        nn.Linear(16, 32),
        nn.Linear(32, 3),
    )


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


def test_a_fresh_network_is_drawn_as_its_layers_draw_and_the_given_one_is_as_it_was() -> None:
    ensemble = stacked(network())
    result = fresh(ensemble, Generators(range(3))).state()
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


def test_a_models_draw_is_its_own_and_leaves_the_global_generator_alone() -> None:
    three, one, rng = stacked(network()), stacked(network(), 1), Generators([6])
    state = torch.get_rng_state()
    together, alone = first_weights(three, [""], Generators([5, 6, 7])), first_weights(one, [""], rng)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor[0], together[key][1]) for key, tensor in alone.items())
    assert not torch.equal(first_weights(one, [""], rng)["4.weight"], alone["4.weight"])


def test_only_the_layers_at_the_paths_are_reset_with_all_within() -> None:
    student = stacked(network())
    reset_layers(student, ["0", "4"], Generators(range(3)))
    changed = {key for key, tensor in student.state().items() if (tensor != 7).any()}
    assert {key.rpartition(".")[0] for key in changed} == {"0.0", "0.1", "4"}


def test_a_layer_that_cannot_be_drawn_anew_fails_in_one_line() -> None:
    class Shift(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.by = nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            return x + self.by

    ensemble = stacked(nn.Sequential(nn.Linear(2, 2), Shift()))
    with pytest.raises(MethodFailed, match=r"^Shift \(layer '1'\) has parameters, but no reset_parameters\(\)"):
        fresh(ensemble, Generators(range(3)))
    reset_layers(ensemble, ["0"], Generators(range(3)))


def test_a_parent_that_initialises_its_children_has_the_last_word() -> None:
    class Zeros(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 2)

        def reset_parameters(self) -> None:
            nn.init.zeros_(self.inner.weight)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.inner(x)
            return out

    result = fresh(stacked(Zeros()), Generators(range(3))).state()
    assert (result["inner.weight"] == 0).all()
    assert (result["inner.bias"] != 0).all()


def test_attention_is_drawn_anew_in_all_its_parts() -> None:
    ensemble = stacked(NormedAttention())
    assert all((tensor != 7).all() for tensor in fresh(ensemble, Generators(range(3))).state().values())

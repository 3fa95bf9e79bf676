"""Features of a stack are what goes into the last linear layer of each of its models."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from expunge.ensembles.features import features, in_parts, last_inputs, outputs
from expunge.metrics.linear_probe import representation
from expunge.suites.networks import Residual, Vote
from tests.attacks.defences.scenes import MODELS, WIDTH, hidden, stacked
from tests.ensembles.plain import SHAPE, Attention, NormedAttention, convolutional

PICTURES = torch.randn(7, *SHAPE, generator=torch.Generator().manual_seed(0))
ROWS = torch.randn(7, WIDTH, generator=torch.Generator().manual_seed(0))

pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")


class Opaque(nn.Module):
    """A network that the stack has no rule for, whose first layer stands last in it."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 3)
        self.first = nn.Conv2d(2, 6, 4)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.first(x).flatten(1))
        return logits


def all_convolutional() -> nn.Module:
    """A linear layer in it, but not last."""
    body = Residual(nn.Sequential(nn.Flatten(), nn.Linear(32, 32), nn.Unflatten(1, SHAPE)))
    return nn.Sequential(body, nn.Conv2d(2, 3, 4), nn.Flatten())


@pytest.mark.parametrize("network", [convolutional, Attention, NormedAttention])
def test_they_are_those_of_each_model_alone(network: Callable[[], nn.Module]) -> None:
    ensemble = stacked(network, PICTURES)
    alone = torch.stack([representation(model, PICTURES) for model in ensemble])
    torch.testing.assert_close(features(ensemble, PICTURES), alone, rtol=0, atol=1e-6)


def test_the_last_layer_is_the_last_that_runs() -> None:
    ensemble = stacked(Opaque, PICTURES)
    wanted = torch.stack([model.get_submodule("first")(PICTURES).flatten(1) for model in ensemble])
    torch.testing.assert_close(features(ensemble, PICTURES), wanted, rtol=0, atol=1e-6)


def test_of_a_network_that_ends_in_a_convolution_they_are_the_logits() -> None:
    ensemble = stacked(all_convolutional, PICTURES)
    assert last_inputs(ensemble, PICTURES) is None
    assert features(ensemble, PICTURES).equal(outputs(ensemble, PICTURES))


def test_of_voters_they_stand_side_by_side() -> None:
    ensemble = stacked(lambda: Vote([hidden(), hidden()]), ROWS)
    members = [model.get_submodule("members").children() for model in ensemble]
    alone = [torch.cat([representation(voter, ROWS) for voter in voters], dim=1) for voters in members]
    torch.testing.assert_close(features(ensemble, ROWS), torch.stack(alone), rtol=0, atol=1e-6)


def test_inputs_of_16_bits_are_computed_on_in_32() -> None:
    ensemble = stacked(hidden, ROWS)
    assert features(ensemble, ROWS.half()).equal(features(ensemble, ROWS.half().float()))


def test_the_models_stay_as_they_are() -> None:
    ensemble = stacked(convolutional, PICTURES).train()
    before = {key: value.clone() for key, value in ensemble.state().items()}
    features(ensemble, PICTURES)
    assert ensemble.training
    assert all(value.equal(before[key]) for key, value in ensemble.state().items())
    assert not [layer for layer in ensemble.modules() if layer._forward_pre_hooks]


@pytest.mark.parametrize("examples", [1, 2**16])
def test_in_parts_are_all_models_in_order(examples: int) -> None:
    parts = list(in_parts(stacked(hidden, ROWS), examples))
    assert [number for part in parts for number in part.origin.models] == list(range(MODELS))
    assert len(parts) == (1 if examples == 1 else MODELS)


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(32, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x -= 0.5
        out: Tensor = self.head(self.body(x.flatten(1)))
        return out


def test_a_network_that_changes_its_input_leaves_the_examples_as_they_are() -> None:
    x, ensemble = PICTURES.clone(), stacked(InPlace, PICTURES.clone())
    alone = torch.stack([representation(model, x) for model in ensemble])
    torch.testing.assert_close(features(ensemble, x), alone, rtol=0, atol=1e-6)
    assert torch.equal(x, PICTURES)
